//! One uploaded version, read from S3's event and from S3. Owns the decoding of keys in
//! events, and reads no more into memory than was announced.

use aws_lambda_events::s3::S3EventRecord;
use shared::base::error::{Error, Result};
use shared::base::id::AttachmentId;
use shared::domain::app::App;
use shared::domain::keys::{self, LifeKey};
use shared::domain::records::content::Verdict;
use shared::domain::records::rows::Attachment;

use crate::inspect;

/// One version of an attachment's object.
pub struct Arrival {
    pub object: String,
    pub version: String,
    pub life: LifeKey,
    pub attachment: AttachmentId,
}

impl Arrival {
    /// The version that an event names; `None` when it is not an attachment.
    pub fn read(record: &S3EventRecord) -> Option<Arrival> {
        record
            .event_name
            .as_deref()?
            .strip_prefix("ObjectCreated:")?;
        let object = decode(record.s3.object.key.as_deref()?)?;
        let (life, attachment) = keys::parse_attachment_object(&object)?;
        let version = record.s3.object.version_id.clone()?;
        Some(Arrival {
            object,
            version,
            life,
            attachment,
        })
    }

    /// The verdict on this version; `None` when the version no longer exists.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when S3 does not answer, or stops.
    pub async fn judge(&self, app: &App, file: &Attachment) -> Result<Option<Verdict>> {
        let now = app.clock.now();
        let Some(mut answer) = app.objects.open(&self.object, &self.version).await? else {
            return Ok(None);
        };
        let Some(said) = file.content.clone() else {
            return Err(Error::Corrupt("a record is not as it was written".into()));
        };
        let size = file.size;
        let announced = |length: u64| length <= size;
        let length = answer
            .content_length()
            .and_then(|it| u64::try_from(it).ok());
        if !length.is_none_or(announced) {
            return Ok(Some(inspect::too_large(now)));
        }
        let mut bytes = Vec::new();
        while let Some(part) = answer.body.next().await {
            let part = part.map_err(|_| Error::Unavailable("GetObject: body".into()))?;
            bytes.extend_from_slice(&part);
            if !announced(bytes.len() as u64) {
                return Ok(Some(inspect::too_large(now)));
            }
        }
        // Unpacking and matching take up to seconds; other requests continue meanwhile.
        let judged =
            tokio::task::spawn_blocking(move || inspect::inspect(&bytes, size, &said, now)).await;
        judged
            .map(Some)
            .map_err(|_| Error::Unavailable("a file could not be examined".into()))
    }
}

/// Decodes a key of an event: form-encoded, with `+` for a space.
fn decode(key: &str) -> Option<String> {
    let mut bytes = key.bytes();
    let mut decoded = Vec::with_capacity(key.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use aws_lambda_events::s3::S3Event;
    use serde_json::json;
    use shared::base::id::{KeyedHash, LifeId, TenantId};

    use super::*;

    fn read(name: &str, key: &str) -> Option<Arrival> {
        let event: S3Event = serde_json::from_value(json!({"Records": [{
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": "eu-central-1",
            "eventTime": "2026-01-02T03:04:05.678Z",
            "eventName": name,
            "userIdentity": {"principalId": "AWS:AIDA"},
            "requestParameters": {"sourceIPAddress": "192.0.2.1"},
            "responseElements": {"x-amz-request-id": "C3D13FE58DE4C810"},
            "s3": {
                "s3SchemaVersion": "1.0",
                "bucket": {"name": "files", "arn": "arn:aws:s3:::files"},
                "object": {"key": key, "size": 5, "versionId": "v1", "sequencer": "0055"},
            },
        }]}))
        .unwrap();
        Arrival::read(&event.records[0])
    }

    #[test]
    fn an_event_names_a_version_of_an_attachment() {
        let life = LifeKey {
            tenant: TenantId::new(),
            subject: KeyedHash([7; 16]).into(),
            life: LifeId::random(),
        };
        let attachment = AttachmentId::random();
        let object = life.attachment_object(attachment);
        let encoded = object.replace('/', "%2F").replace("ten_", "ten%5f");
        for key in [&object, &encoded] {
            let arrival = read("ObjectCreated:Put", key).unwrap();
            assert_eq!((arrival.life, arrival.attachment), (life, attachment));
            assert_eq!(
                (arrival.object.as_str(), arrival.version.as_str()),
                (object.as_str(), "v1")
            );
        }
        assert!(read("ObjectRemoved:Delete", &object).is_none());
        for foreign in [
            "exports/a",
            "attachments/",
            "a+b",
            &format!("{object}/x"),
            &object.to_uppercase(),
        ] {
            assert!(read("ObjectCreated:Put", foreign).is_none(), "{foreign}");
        }
    }

    #[test]
    fn keys_are_decoded_as_forms_are() {
        assert_eq!(decode("a+b%2Bc%c3%A9/d"), Some("a b+cé/d".into()));
        for broken in ["%", "%2", "%zz", "%+1", "%ff"] {
            assert_eq!(decode(broken), None, "{broken}");
        }
    }
}
