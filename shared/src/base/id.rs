//! Identifiers. Owns their format and parsing; knows nothing of what they identify.
//!
//! Every id is `prefix_` + lower-case hexadecimal, so it contains neither a `#`, the separator
//! of keys, nor anything personal.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use uuid::Uuid;

/// 128 bits of a keyed hash. In keys it replaces a name that a tenant chose.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyedHash(pub [u8; 16]);

impl fmt::Display for KeyedHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Uuid::from_bytes(self.0).simple().fmt(f)
    }
}

impl fmt::Debug for KeyedHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl KeyedHash {
    /// The hash in `text`, if it is one.
    pub fn parse(text: &str) -> Option<KeyedHash> {
        parse_hex(text).map(KeyedHash)
    }
}

fn parse_hex(text: &str) -> Option<[u8; 16]> {
    let canonical =
        text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    canonical
        .then(|| Uuid::try_parse(text).ok())
        .flatten()
        .map(Uuid::into_bytes)
}

/// IDs are strings in JSON.
macro_rules! as_text {
    ($name:ident, $pattern:expr) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<$name, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
                $name::parse(&text)
                    .ok_or_else(|| serde::de::Error::custom("not an id of this kind"))
            }
        }

        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string", "pattern": $pattern})
            }
        }
    };
}

as_text!(KeyedHash, "^[0-9a-f]{32}$");
as_text!(MessageId, "^msg_[0-9a-f]{64}$");

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; 16]);

        impl $name {
            /// The id in `text`, if it is one.
            pub fn parse(text: &str) -> Option<$name> {
                text.strip_prefix($prefix).and_then(parse_hex).map($name)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", $prefix, Uuid::from_bytes(self.0).simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        as_text!($name, concat!("^", $prefix, "[0-9a-f]{32}$"));
    };
}

id!(
    /// A customer of the vendor: the GDPR controller.
    TenantId, "ten_"
);
id!(
    /// An end user inside Lethe: a keyed hash of tenant and visitor id.
    SubjectId, "sub_"
);
id!(
    /// One life of a subject. Random: it reveals neither the person nor the time.
    LifeId, "life_"
);
id!(
    /// An uploaded file.
    AttachmentId, "att_"
);
id!(
    /// The public half of an API key.
    KeyId, "key_"
);
id!(
    /// Work that outlives a request. Ordered by time (UUID v7).
    JobId, "job_"
);

impl TenantId {
    pub fn new() -> TenantId {
        TenantId(Uuid::new_v4().into_bytes())
    }
}

impl Default for TenantId {
    fn default() -> TenantId {
        TenantId::new()
    }
}

impl From<KeyedHash> for SubjectId {
    /// Only [`crate::crypto::HashKey::subject`] makes these from a visitor id.
    fn from(hash: KeyedHash) -> SubjectId {
        SubjectId(hash.0)
    }
}

impl From<KeyedHash> for LifeId {
    /// Only [`crate::crypto::HashKey::nobody`] makes one that is not random.
    fn from(hash: KeyedHash) -> LifeId {
        LifeId(hash.0)
    }
}

impl LifeId {
    pub fn random() -> LifeId {
        LifeId(Uuid::new_v4().into_bytes())
    }
}

impl AttachmentId {
    pub fn random() -> AttachmentId {
        AttachmentId(Uuid::new_v4().into_bytes())
    }

    /// The form used in keys.
    pub fn uuid(&self) -> Uuid {
        Uuid::from_bytes(self.0)
    }

    pub fn from_uuid(uuid: Uuid) -> AttachmentId {
        AttachmentId(uuid.into_bytes())
    }
}

impl KeyId {
    pub fn random() -> KeyId {
        KeyId(Uuid::new_v4().into_bytes())
    }
}

/// A UUID v7 for a moment by the app's clock. UUIDs that one process makes for the same
/// millisecond sort in the order of their creation.
pub fn uuid_at(at: jiff::Timestamp) -> Uuid {
    static MADE: AtomicU64 = AtomicU64::new(0);
    /// Bits of the counter; RFC 9562 leaves 74 for counter and randomness.
    const COUNTED: u8 = 42;
    let count = u128::from(MADE.fetch_add(1, Ordering::Relaxed) & ((1 << COUNTED) - 1));
    let millis = u64::try_from(at.as_millisecond()).unwrap_or(0);
    let nanos = (millis % 1000) as u32 * 1_000_000;
    let stamp = uuid::Timestamp::from_unix_time(millis / 1000, nanos, count, COUNTED);
    Uuid::new_v7(stamp)
}

impl JobId {
    pub fn at(at: jiff::Timestamp) -> JobId {
        JobId(uuid_at(at).into_bytes())
    }

    /// Sorts before every id made at this moment or later, and after every earlier one.
    pub fn bound(at: jiff::Timestamp) -> JobId {
        let millis = u64::try_from(at.as_millisecond()).unwrap_or(0);
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
        JobId(bytes)
    }
}

/// A message: the keyed hash of its conversation and its own UUID (never the one that the
/// sender chose), so that the public id is enough to find the row.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId {
    pub conversation: KeyedHash,
    pub uuid: Uuid,
}

impl MessageId {
    pub fn parse(text: &str) -> Option<MessageId> {
        let hex = text
            .strip_prefix("msg_")
            .filter(|hex| hex.is_ascii() && hex.len() == 64)?;
        let (conversation, uuid) = hex.split_at(32);
        Some(MessageId {
            conversation: KeyedHash(parse_hex(conversation)?),
            uuid: Uuid::from_bytes(parse_hex(uuid)?),
        })
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "msg_{}{}", self.conversation, self.uuid.simple())
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_one_millisecond_sort_in_the_order_in_which_they_were_made() {
        let at = "2026-03-01T12:00:00.5Z".parse().unwrap();
        let made: Vec<_> = (0..1000).map(|_| uuid_at(at)).collect();
        assert!(made.is_sorted());
        assert!(made[999] < uuid_at("2026-03-01T12:00:00.501Z".parse().unwrap()));
        let id = JobId::at(at);
        assert!(JobId::bound(at) < id);
        assert!(id < JobId::bound("2026-03-01T12:00:00.501Z".parse().unwrap()));
    }

    #[test]
    fn an_id_is_read_only_in_its_own_form() {
        let id = AttachmentId::random();
        assert_eq!(AttachmentId::parse(&id.to_string()), Some(id));
        assert_eq!(AttachmentId::parse(&id.to_string().to_uppercase()), None);
        assert_eq!(AttachmentId::parse(&format!("{id}0")), None);
        assert_eq!(KeyId::parse(&id.to_string()), None);
    }
}
