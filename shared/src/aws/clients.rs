//! How AWS is called: for how long an answer is awaited, how often a call is made again, and
//! what is told of one that fails.
//!
//! Each try of a call has an end of its own, so that an answer that never comes costs a second
//! or two and not all of the function's time: a connection that was cut while the function lay
//! frozen, a host that dies, a packet that is lost. A write whose answer is lost is then made
//! twice. [`crate::aws::dynamo`] says why it happens once.

use std::time::Duration;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::SharedCredentialsProvider;
use aws_sdk_dynamodb::config::retry::{RetryPartition, TokenBucket};
use aws_sdk_dynamodb::error::ProvideErrorMetadata;

use crate::aws::tls;
use crate::base::config::{Config, ConfigError, Endpoints};
use crate::base::error::Error;

/// TCP and TLS within a region take some milliseconds.
const CONNECT: Duration = Duration::from_secs(1);
/// The longest pause between two tries.
const MAX_BACKOFF: Duration = Duration::from_secs(1);
/// Between the first bytes of an answer and its end: a page of DynamoDB is up to 1 MB, a batch
/// up to 16 MB, and reading it takes a small function's CPU.
const BODY: Duration = Duration::from_secs(4);

/// How many retries a function's instance has for a service before it must save them up, and
/// how many it saves up in a second. Without a rate the SDK gives one back for some successful
/// calls alone: after an outage, nothing would be made again for a long time.
const RETRIES: u32 = 100;
const RETRIES_A_SECOND: f32 = 5.0;

/// How patient the calls to one service are.
struct Patience {
    /// From the first byte of a request to the first of its answer.
    answer: Duration,
    /// With the first. Together they stay below the 15 s of a function that answers callers.
    tries: u32,
    /// The pause before the second try, on average half of this; twice as long before the next.
    backoff: Duration,
}

/// DynamoDB answers in milliseconds, so a second is an answer that does not come. Its reference
/// advises no less for transactions. Its own SDKs pause for 25 to 50 ms, and try often: what is
/// throttled passes in a moment, when a partition has split or its capacity has adapted.
const TABLES: Patience = Patience {
    answer: Duration::from_secs(1),
    tries: 6,
    backoff: Duration::from_millis(25),
};

/// KMS answers in tens of milliseconds. Three tries fit into the 5 s of the console's function.
const KEYS: Patience = Patience {
    answer: Duration::from_secs(1),
    tries: 3,
    backoff: Duration::from_millis(50),
};

/// S3's performance guidelines: a small request that has had no answer for two seconds is
/// better made again.
const OBJECTS: Patience = Patience {
    answer: Duration::from_secs(2),
    tries: 4,
    backoff: Duration::from_millis(50),
};

/// AWS Backup lists what it has in its own time.
const LISTS: Patience = Patience {
    answer: Duration::from_secs(5),
    tries: 3,
    backoff: Duration::from_millis(50),
};

/// What S3 takes at the least of a body within a second: a function sends many times as much.
const SENT_A_SECOND: u64 = 1024 * 1024;
/// How many versions S3 deletes at the least within a second.
const DELETED_A_SECOND: u64 = 250;
/// S3 puts parts together before it answers, or answers at once and goes on for minutes.
const COMPLETION: Duration = Duration::from_secs(3);
const COMPLETED: Duration = Duration::from_secs(120);
/// For how long a body may stand still, either way.
const STALLED: Duration = Duration::from_secs(5);

impl Patience {
    fn timeouts(&self) -> TimeoutConfig {
        timeouts(self.answer, self.answer + BODY)
    }

    fn retries(&self) -> RetryConfig {
        RetryConfig::standard()
            .with_max_attempts(self.tries)
            .with_initial_backoff(self.backoff)
            .with_max_backoff(MAX_BACKOFF)
    }
}

/// Of each client its own, so that one service's outage costs another no retry.
fn quota(service: &'static str) -> RetryPartition {
    let cost = 5;
    let bucket = TokenBucket::builder()
        .retry_cost(cost)
        .timeout_retry_cost(cost)
        .throttling_retry_cost(cost)
        .capacity((RETRIES * cost) as usize)
        .refill_rate(RETRIES_A_SECOND * cost as f32);
    let partition = RetryPartition::custom(service).token_bucket(bucket.build());
    partition.build()
}

fn timeouts(answer: Duration, attempt: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .read_timeout(answer)
        .operation_attempt_timeout(attempt)
        .build()
}

/// The clients of every service that functions call.
pub struct Clients {
    pub dynamodb: aws_sdk_dynamodb::Client,
    pub s3: aws_sdk_s3::Client,
    pub kms: aws_sdk_kms::Client,
    pub backup: aws_sdk_backup::Client,
}

impl Clients {
    pub fn new(sdk: &SdkConfig, endpoints: &Endpoints) -> Clients {
        Clients {
            dynamodb: tables(sdk, endpoints),
            s3: objects(sdk, endpoints),
            kms: keys(sdk, endpoints),
            backup: backups(sdk, endpoints),
        }
    }

    /// With credentials from the environment, and from nowhere else: the SDK's own search for
    /// them would look for files and ask the network.
    ///
    /// # Errors
    /// Names the variable that is wrong.
    pub fn from_environment(config: &Config) -> Result<Clients, ConfigError> {
        let roots = std::env::var_os("AWS_CA_BUNDLE").map(std::fs::read);
        let roots = roots.transpose().map_err(|_| ConfigError {
            variable: "AWS_CA_BUNDLE",
            problem: "names no file that can be read",
        })?;
        let sdk = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(config.region.clone()))
            .credentials_provider(SharedCredentialsProvider::new(
                EnvironmentVariableCredentialsProvider::new(),
            ))
            .http_client(tls::http_client(roots))
            .build();
        Ok(Clients::new(&sdk, &config.endpoints))
    }
}

fn tables(sdk: &SdkConfig, endpoints: &Endpoints) -> aws_sdk_dynamodb::Client {
    let mut config = aws_sdk_dynamodb::config::Builder::from(sdk)
        .timeout_config(TABLES.timeouts())
        .retry_config(TABLES.retries())
        .retry_partition(quota("dynamodb"));
    config.set_endpoint_url(endpoints.dynamodb.clone());
    aws_sdk_dynamodb::Client::from_conf(config.build())
}

fn keys(sdk: &SdkConfig, endpoints: &Endpoints) -> aws_sdk_kms::Client {
    let mut config = aws_sdk_kms::config::Builder::from(sdk)
        .timeout_config(KEYS.timeouts())
        .retry_config(KEYS.retries())
        .retry_partition(quota("kms"));
    config.set_endpoint_url(endpoints.kms.clone());
    aws_sdk_kms::Client::from_conf(config.build())
}

/// Asked once a day: nobody waits for it.
fn backups(sdk: &SdkConfig, endpoints: &Endpoints) -> aws_sdk_backup::Client {
    let mut config = aws_sdk_backup::config::Builder::from(sdk)
        .timeout_config(LISTS.timeouts())
        .retry_config(LISTS.retries())
        .retry_partition(quota("backup"));
    config.set_endpoint_url(endpoints.backup.clone());
    aws_sdk_backup::Client::from_conf(config.build())
}

/// The body of an object that is read may take as long as it moves.
fn objects(sdk: &SdkConfig, endpoints: &Endpoints) -> aws_sdk_s3::Client {
    let stalled = StalledStreamProtectionConfig::enabled().grace_period(STALLED);
    let mut config = aws_sdk_s3::config::Builder::from(sdk)
        .timeout_config(OBJECTS.timeouts())
        .retry_config(OBJECTS.retries())
        .retry_partition(quota("s3"))
        .stalled_stream_protection(stalled.build());
    config.set_endpoint_url(endpoints.s3.clone());
    aws_sdk_s3::Client::from_conf(config.build())
}

/// For a call to S3 that sends a body of so many bytes.
pub fn sending(bytes: usize) -> aws_sdk_s3::config::Builder {
    taking(bytes as u64, SENT_A_SECOND)
}

/// For a call to S3 that deletes so many versions.
pub fn deleting(versions: usize) -> aws_sdk_s3::config::Builder {
    taking(versions as u64, DELETED_A_SECOND)
}

fn taking(amount: u64, a_second: u64) -> aws_sdk_s3::config::Builder {
    let answer = OBJECTS.answer + Duration::from_millis(amount * 1000 / a_second);
    aws_sdk_s3::config::Builder::new().timeout_config(timeouts(answer, answer + BODY))
}

/// For the call that completes an upload in parts.
pub fn completing() -> aws_sdk_s3::config::Builder {
    aws_sdk_s3::config::Builder::new().timeout_config(timeouts(COMPLETION, COMPLETED))
}

/// An AWS call that failed, by operation and error code: messages may repeat what was
/// sent, so they go nowhere.
pub fn unavailable(operation: &str, cause: &impl ProvideErrorMetadata) -> Error {
    Error::Unavailable(format!(
        "{operation}: {}",
        cause.code().unwrap_or("no answer")
    ))
}
