//! The engines of the local run, each through the real AWS SDK.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_s3::error::ProvideErrorMetadata;

mod dynamo;
mod kms;
mod objects;
mod presigned;

const ACCESS_KEY: &str = "AKIDLOCAL";
const SECRET_KEY: &str = "a-secret-of-this-test";

fn sdk(endpoint: &str) -> SdkConfig {
    sdk_as(endpoint, ACCESS_KEY, SECRET_KEY)
}

fn sdk_as(endpoint: &str, access_key: &str, secret_key: &str) -> SdkConfig {
    let credentials = Credentials::new(access_key, secret_key, None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}

/// The code of the error that the service answered with.
fn code<T: std::fmt::Debug, E: ProvideErrorMetadata + std::fmt::Debug>(
    result: Result<T, E>,
) -> String {
    let error = result.expect_err("the service should have refused");
    error
        .code()
        .unwrap_or_else(|| panic!("no code in {error:?}"))
        .to_owned()
}
