//! Request bodies, verified against every checksum in a header or trailer.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures::StreamExt;
use hyper::body::Bytes;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Md5, Sha1};
use s3s::dto::StreamingBlob;
use s3s::{S3Request, S3Result, s3_error};

/// The largest body of one request: bodies are held in memory.
const MAX_BODY: usize = 512 * 1024 * 1024;

/// A body, and its SHA-256 in base64.
pub(super) struct Received {
    pub(super) bytes: Bytes,
    pub(super) sha256: String,
    /// The checksums that were sent, by algorithm.
    pub(super) checksums: BTreeMap<&'static str, String>,
}

impl Received {
    /// With SSE-KMS an ETag is not an MD5: S3 guarantees only that it changes with the body.
    pub(super) fn etag(&self) -> String {
        hex(&digest(&SHA256, &self.bytes).as_ref()[..16])
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads `body`, the body of `request`, to its end.
pub(super) async fn receive<T>(
    request: &S3Request<T>,
    body: Option<StreamingBlob>,
) -> S3Result<Received> {
    let mut bytes = Vec::new();
    let mut body = body;
    while let Some(chunk) = match &mut body {
        Some(body) => body.next().await,
        None => None,
    } {
        let chunk = chunk.map_err(|_| s3_error!(IncompleteBody))?;
        if bytes.len() + chunk.len() > MAX_BODY {
            return Err(s3_error!(EntityTooLarge));
        }
        bytes.extend_from_slice(&chunk);
    }
    let sha256 = BASE64.encode(digest(&SHA256, &bytes));
    let checksums = check(request, &bytes, &sha256)?;
    Ok(Received {
        bytes: bytes.into(),
        sha256,
        checksums,
    })
}

fn check<T>(
    request: &S3Request<T>,
    bytes: &[u8],
    sha256: &str,
) -> S3Result<BTreeMap<&'static str, String>> {
    let said = |name: &str| {
        let header = request.headers.get(name).cloned();
        let trailer = || {
            request
                .trailing_headers
                .as_ref()?
                .read(|headers| headers.get(name).cloned())?
        };
        header
            .or_else(trailer)
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let mut hasher = ChecksumHasher {
        crc32: said("x-amz-checksum-crc32").map(|_| Crc32::new()),
        crc32c: said("x-amz-checksum-crc32c").map(|_| Crc32c::new()),
        crc64nvme: said("x-amz-checksum-crc64nvme").map(|_| Crc64Nvme::new()),
        sha1: said("x-amz-checksum-sha1").map(|_| Sha1::new()),
        sha256: None,
    };
    hasher.update(bytes);
    let sums = hasher.finalize();
    let sums = [
        ("x-amz-checksum-crc32", "CRC32", sums.checksum_crc32),
        ("x-amz-checksum-crc32c", "CRC32C", sums.checksum_crc32c),
        (
            "x-amz-checksum-crc64nvme",
            "CRC64NVME",
            sums.checksum_crc64nvme,
        ),
        ("x-amz-checksum-sha1", "SHA1", sums.checksum_sha1),
        ("x-amz-checksum-sha256", "SHA256", Some(sha256.to_owned())),
        (
            "content-md5",
            "MD5",
            said("content-md5").map(|_| BASE64.encode(Md5::checksum(bytes))),
        ),
    ];
    let mut checksums = BTreeMap::new();
    for (name, algorithm, sum) in sums {
        let Some(said) = said(name) else { continue };
        if Some(&said) != sum.as_ref() {
            return Err(s3_error!(
                BadDigest,
                "The {name} you specified did not match the calculated checksum."
            ));
        }
        checksums.insert(algorithm, said);
    }
    checksums.remove("MD5");
    Ok(checksums)
}
