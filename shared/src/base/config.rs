//! Configuration. Production reads the environment and fails on any missing variable; the
//! local run passes the same names from the same template. There are no defaults.

/// Names of the resources that one deployment owns.
#[derive(Clone, Debug)]
pub struct Config {
    pub records_table: String,
    pub keyring_table: String,
    pub bucket: String,
    /// The KMS key that wraps tenant keys and encrypts the bucket.
    pub key: String,
    /// The KMS key that signs receipts and seals.
    pub signing_key: String,
    /// For how many days data deleted from a table can be recovered, backups and older
    /// versions of files included.
    pub records_recovery_days: u8,
    pub keyring_recovery_days: u8,
    /// The AWS region of all resources.
    pub region: String,
    pub endpoints: Endpoints,
}

/// Endpoint overrides for services that do not run at AWS: the SDKs' own variables. One for a
/// service takes precedence over the one for all.
#[derive(Clone, Debug, Default)]
pub struct Endpoints {
    pub dynamodb: Option<String>,
    pub s3: Option<String>,
    pub kms: Option<String>,
    pub backup: Option<String>,
}

/// A required variable is not set or not valid.
#[derive(Debug, thiserror::Error)]
#[error("environment variable {variable} {problem}")]
pub struct ConfigError {
    pub variable: &'static str,
    pub problem: &'static str,
}

impl Config {
    /// Reads the configuration through `variable`.
    ///
    /// # Errors
    /// The first variable that is missing, empty or invalid.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
        let need = |name: &'static str| {
            variable(name)
                .filter(|value| !value.is_empty())
                .ok_or(ConfigError {
                    variable: name,
                    problem: "is not set",
                })
        };
        // The range that DynamoDB's point-in-time recovery allows.
        let days = |name: &'static str| {
            let days = need(name)?.parse().ok();
            days.filter(|days| (1..=35).contains(days))
                .ok_or(ConfigError {
                    variable: name,
                    problem: "is not a number of days from 1 to 35",
                })
        };
        let endpoint = |name| variable(name).or_else(|| variable("AWS_ENDPOINT_URL"));
        Ok(Config {
            records_table: need("LETHE_RECORDS_TABLE")?,
            keyring_table: need("LETHE_KEYRING_TABLE")?,
            bucket: need("LETHE_BUCKET")?,
            key: need("LETHE_KEY")?,
            signing_key: need("LETHE_SIGNING_KEY")?,
            records_recovery_days: days("LETHE_RECORDS_RECOVERY_DAYS")?,
            keyring_recovery_days: days("LETHE_KEYRING_RECOVERY_DAYS")?,
            region: need("AWS_REGION")?,
            endpoints: Endpoints {
                dynamodb: endpoint("AWS_ENDPOINT_URL_DYNAMODB"),
                s3: endpoint("AWS_ENDPOINT_URL_S3"),
                kms: endpoint("AWS_ENDPOINT_URL_KMS"),
                backup: endpoint("AWS_ENDPOINT_URL_BACKUP"),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(recovery: &str) -> Result<Config, String> {
        let read = Config::read(|name| match name {
            "LETHE_RECORDS_RECOVERY_DAYS" => Some(recovery.to_owned()),
            "LETHE_KEYRING_RECOVERY_DAYS" => Some("1".to_owned()),
            _ => Some(name.to_lowercase()),
        });
        read.map_err(|e| e.to_string())
    }

    #[test]
    fn days_are_numbers_that_dynamodb_takes() {
        let config = read("30").unwrap();
        assert_eq!(
            (config.records_recovery_days, config.keyring_recovery_days),
            (30, 1)
        );
        let name = "environment variable LETHE_RECORDS_RECOVERY_DAYS";
        for wrong in ["0", "36", "a month", "-1", "300"] {
            let problem = format!("{name} is not a number of days from 1 to 35");
            assert_eq!(read(wrong).unwrap_err(), problem, "{wrong}");
        }
        assert_eq!(read("").unwrap_err(), format!("{name} is not set"));
    }
}
