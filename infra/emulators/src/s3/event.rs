//! Event notifications in the form that Lambda receives: event message structure 2.1.

use serde_json::{Value, json};
use uuid::Uuid;

use super::store::Version;
use crate::{ACCOUNT, REGION};

/// The `Records[]` entry for a new object. `how` is `Put` or `CompleteMultipartUpload`.
pub(super) fn created(bucket: &str, version: &Version, how: &str) -> Value {
    let (size, etag) = version
        .object
        .as_ref()
        .map_or((0, ""), |object| (object.size, object.etag.as_str()));
    json!({
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": REGION,
        "eventTime": format!("{:.3}", version.modified),
        "eventName": format!("ObjectCreated:{how}"),
        "userIdentity": {"principalId": format!("AWS:{ACCOUNT}")},
        "requestParameters": {"sourceIPAddress": "127.0.0.1"},
        "responseElements": {
            "x-amz-request-id": Uuid::new_v4().simple().to_string(),
            "x-amz-id-2": Uuid::new_v4().simple().to_string(),
        },
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "local",
            "bucket": {
                "name": bucket,
                "ownerIdentity": {"principalId": ACCOUNT},
                "arn": format!("arn:aws:s3:::{bucket}"),
            },
            "object": {
                "key": encode_key(&version.key),
                "size": size,
                "eTag": etag,
                "versionId": version.id,
                "sequencer": sequencer(&version.id),
            },
        },
    })
}

/// URL-encoded as in a form, where a space is `+`, except for slashes.
fn encode_key(key: &str) -> String {
    let mut encoded = String::new();
    for byte in key.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' | b'/' => {
                encoded.push(byte.into())
            }
            b' ' => encoded.push('+'),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// Increases with every version of a key, as ids do.
fn sequencer(version_id: &str) -> String {
    version_id.get(..16).unwrap_or(version_id).to_uppercase()
}

#[cfg(test)]
mod tests {
    use super::encode_key;

    #[test]
    fn keys_are_encoded_as_s3_encodes_them() {
        assert_eq!(
            encode_key("attachments/a b+ü.txt"),
            "attachments/a+b%2B%C3%BC.txt"
        );
    }
}
