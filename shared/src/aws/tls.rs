//! Whom a connection to AWS may be with: a server whose certificate Amazon's own
//! authorities vouch for, and no other.
//!
//! Reading the machine's hundred and more roots is most of a start, and every one of them
//! could vouch for a server that is not AWS. `amazon.pem` holds the roots of Amazon
//! Trust Services, as its repository lists them; the first of them ends in 2037. They
//! cover the partitions `aws` and `aws-us-gov`, not `aws-cn`. The SDKs' own variable
//! `AWS_CA_BUNDLE` names a file of other roots in their place.

use aws_sdk_dynamodb::config::SharedHttpClient;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};

const ROOTS: &[u8] = include_bytes!("amazon.pem");

/// What the SDKs send their requests with: TLS 1.2 or 1.3, and plain HTTP only where an
/// endpoint asks for it. Other roots than Amazon's, in PEM, are for what is not AWS.
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
