//! How AWS is called: timeouts, retries, and what is reported of a failed call.
//!
//! Each attempt has its own timeout, so a lost response costs a second or two, not all of the
//! function's time. Causes are a connection that was cut while the function was frozen, a host
//! that fails, a lost packet. A write whose response is lost is then sent twice.
//! [`crate::aws::dynamo`] explains why it takes effect once.

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
/// The longest backoff between two attempts.
const MAX_BACKOFF: Duration = Duration::from_secs(1);
/// From the first byte of a response to its end: a DynamoDB page is up to 1 MB, a batch up to
/// 16 MB, and reading it takes a small function's CPU.
const BODY: Duration = Duration::from_secs(4);

/// The retry quota that a function's instance has for a service, and its refill rate per
/// second. Without a rate, the SDK refills only on some successful calls, so after an outage
/// there would be no retries for a long time.
const RETRIES: u32 = 100;
const RETRIES_A_SECOND: f32 = 5.0;

/// Timeouts and retries for one service.
struct Patience {
    /// From the first byte of a request to the first byte of its response.
    answer: Duration,
    /// Attempts, the first included. Together they stay below the 15 s of a function that
    /// answers callers.
    tries: u32,
    /// The backoff before the second attempt, on average half of this. It doubles each time.
    backoff: Duration,
}

/// DynamoDB answers in milliseconds, so after a second no response will come. Its reference
/// advises no less for transactions. Its own SDKs back off for 25 to 50 ms and retry often:
/// throttling ends quickly, once a partition has split or its capacity has adapted.
const TABLES: Patience = Patience {
    answer: Duration::from_secs(1),
    tries: 6,
    backoff: Duration::from_millis(25),
};

/// KMS answers in tens of milliseconds. Three attempts fit into the 5 s of the console's
/// function.
const KEYS: Patience = Patience {
    answer: Duration::from_secs(1),
    tries: 3,
    backoff: Duration::from_millis(50),
};

/// S3's performance guidelines advise retrying a small request after two seconds without a
/// response.
const OBJECTS: Patience = Patience {
    answer: Duration::from_secs(2),
    tries: 4,
    backoff: Duration::from_millis(50),
};

/// AWS Backup takes longer to list recovery points.
const LISTS: Patience = Patience {
    answer: Duration::from_secs(5),
    tries: 3,
    backoff: Duration::from_millis(50),
};

/// The minimum upload rate to S3, in bytes per second. A function sends many times as much.
const SENT_A_SECOND: u64 = 1024 * 1024;
/// The minimum number of versions that S3 deletes per second.
const DELETED_A_SECOND: u64 = 250;
/// S3 either completes an upload before it answers, or answers at once and continues for
/// minutes.
const COMPLETION: Duration = Duration::from_secs(3);
const COMPLETED: Duration = Duration::from_secs(120);
/// How long a body may stall, in either direction.
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

/// Each client has its own quota, so that one service's outage uses up no other's retries.
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

/// Clients for every service that functions call.
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

    /// Takes credentials from the environment only. The SDK's default chain would also read
    /// files and call the network.
    ///
    /// # Errors
    /// Names the variable that is missing or invalid.
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

/// Called once a day; no request waits for it.
fn backups(sdk: &SdkConfig, endpoints: &Endpoints) -> aws_sdk_backup::Client {
    let mut config = aws_sdk_backup::config::Builder::from(sdk)
        .timeout_config(LISTS.timeouts())
        .retry_config(LISTS.retries())
        .retry_partition(quota("backup"));
    config.set_endpoint_url(endpoints.backup.clone());
    aws_sdk_backup::Client::from_conf(config.build())
}

/// Reading an object's body has no time limit as long as data arrives.
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

/// For an S3 call that sends a body of this size.
pub fn sending(bytes: usize) -> aws_sdk_s3::config::Builder {
    taking(bytes as u64, SENT_A_SECOND)
}

/// For an S3 call that deletes this many versions.
pub fn deleting(versions: usize) -> aws_sdk_s3::config::Builder {
    taking(versions as u64, DELETED_A_SECOND)
}

fn taking(amount: u64, a_second: u64) -> aws_sdk_s3::config::Builder {
    let answer = OBJECTS.answer + Duration::from_millis(amount * 1000 / a_second);
    aws_sdk_s3::config::Builder::new().timeout_config(timeouts(answer, answer + BODY))
}

/// For the call that completes a multipart upload.
pub fn completing() -> aws_sdk_s3::config::Builder {
    aws_sdk_s3::config::Builder::new().timeout_config(timeouts(COMPLETION, COMPLETED))
}

/// A failed AWS call, by operation and error code. The message is dropped because it may
/// repeat what was sent.
pub fn unavailable(operation: &str, cause: &impl ProvideErrorMetadata) -> Error {
    Error::Unavailable(format!(
        "{operation}: {}",
        cause.code().unwrap_or("no answer")
    ))
}
