//! The trust store for connections to AWS: only servers with a certificate from Amazon's own
//! authorities.
//!
//! Loading the machine's hundred and more roots takes most of a cold start, and each of them
//! could vouch for a server that is not AWS. `amazon.pem` holds the roots of Amazon Trust
//! Services, as listed in its repository; the first of them expires in 2037. They cover the
//! partitions `aws` and `aws-us-gov`, not `aws-cn`. The SDKs' own variable `AWS_CA_BUNDLE`
//! names a file with roots to use instead.

use aws_sdk_dynamodb::config::SharedHttpClient;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};

const ROOTS: &[u8] = include_bytes!("amazon.pem");

/// The HTTP client of the SDKs: TLS 1.2 or 1.3, and plain HTTP only where an endpoint requires
/// it. Pass other roots, in PEM, only for endpoints that are not AWS.
pub fn http_client(roots: Option<Vec<u8>>) -> SharedHttpClient {
    let roots = roots.unwrap_or_else(|| ROOTS.to_vec());
    let context = TlsContext::builder()
        .with_trust_store(TrustStore::empty().with_pem_certificate(roots))
        .build()
        .expect("a trust store is all it needs");
    Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .tls_context(context)
        .build_https()
}
