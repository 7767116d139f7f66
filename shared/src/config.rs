//! What a function needs to be told. Production reads the environment and fails loudly;
//! the local run passes the same names out of the same template. Nothing has a default.

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
    pub endpoints: Endpoints,
}

/// Where each service answers, when not at AWS. The SDKs' own variables.
#[derive(Clone, Debug, Default)]
pub struct Endpoints {
    pub dynamodb: Option<String>,
    pub s3: Option<String>,
    pub kms: Option<String>,
}

/// A variable that must be set is not.
#[derive(Debug)]
pub struct ConfigError(pub &'static str);

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "environment variable {} is not set", self.0)
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads the configuration through `variable`.
    ///
    /// # Errors
    /// The first variable that is missing or empty.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
        let need = |name: &'static str| {
            variable(name)
                .filter(|value| !value.is_empty())
                .ok_or(ConfigError(name))
        };
        Ok(Config {
            records_table: need("LETHE_RECORDS_TABLE")?,
            keyring_table: need("LETHE_KEYRING_TABLE")?,
            bucket: need("LETHE_BUCKET")?,
            key: need("LETHE_KEY")?,
            signing_key: need("LETHE_SIGNING_KEY")?,
            endpoints: Endpoints {
                dynamodb: variable("AWS_ENDPOINT_URL_DYNAMODB"),
                s3: variable("AWS_ENDPOINT_URL_S3"),
                kms: variable("AWS_ENDPOINT_URL_KMS"),
            },
        })
    }
}
