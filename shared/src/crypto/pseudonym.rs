//! Pseudonyms: keyed hashes that replace the names a tenant chose.

use aws_lc_rs::hmac;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{KEY, SealingKey};
use crate::base::id::{KeyedHash, LifeId, SubjectId};

/// The key that turns a tenant's names into pseudonyms. It never rotates: a name must always
/// give the same hash.
pub struct HashKey {
    /// The owner of the names.
    pub(super) owner: String,
    pub(super) key: Zeroizing<[u8; KEY]>,
}

impl HashKey {
    /// The operator belongs to no tenant, so its names are hashed without a secret.
    pub fn of_operator() -> HashKey {
        HashKey {
            owner: "operator".to_owned(),
            key: Zeroizing::default(),
        }
    }

    /// The owner of the names: a tenant's id, or the operator.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// The keyed hash of `parts`, for one purpose.
    pub fn hash(&self, purpose: &str, parts: &[&[u8]]) -> KeyedHash {
        let mut short = [0; 16];
        short.copy_from_slice(&self.mac(purpose, parts)[..16]);
        KeyedHash(short)
    }

    /// A hash key derived from `parts`. Only the same parts derive it again.
    pub fn within(&self, purpose: &str, parts: &[&[u8]]) -> HashKey {
        HashKey {
            owner: self.owner.clone(),
            key: self.mac(purpose, parts),
        }
    }

    /// The key that seals data belonging to this hash key.
    pub fn sealing(&self) -> SealingKey {
        SealingKey(self.mac("sealing", &[]))
    }

    fn mac(&self, purpose: &str, parts: &[&[u8]]) -> Zeroizing<[u8; KEY]> {
        // aws-lc's copy of the key is made for each call, so only the zeroised original
        // outlives it.
        let key = hmac::Key::new(hmac::HMAC_SHA256, &*self.key);
        let mut context = hmac::Context::with_key(&key);
        for part in [purpose.as_bytes(), self.owner.as_bytes()]
            .iter()
            .chain(parts)
        {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut mac = Zeroizing::new([0; KEY]);
        mac.copy_from_slice(context.sign().as_ref());
        mac
    }

    /// The subject behind a visitor id. There is no other way to make one.
    pub fn subject(&self, visitor_id: &str) -> SubjectId {
        SubjectId::from(self.hash("subject", &[visitor_id.as_bytes()]))
    }

    /// The life id of a subject that has no life. No random life id equals it.
    pub fn nobody(&self, subject: SubjectId) -> LifeId {
        LifeId::from(self.hash("nobody", &[subject.to_string().as_bytes()]))
    }

    /// The hash of a conversation's id, as keys hold it.
    pub fn conversation(&self, subject: SubjectId, conversation_id: &str) -> KeyedHash {
        self.hash(
            "conversation",
            &[subject.to_string().as_bytes(), conversation_id.as_bytes()],
        )
    }

    /// The hash of the UUID that the sender gave a message, as keys hold it. It is
    /// deterministic, so a message that is sent twice is stored once.
    pub fn message(&self, conversation: KeyedHash, id: Uuid) -> Uuid {
        Uuid::from_bytes(self.hash("message", &[&conversation.0, id.as_bytes()]).0)
    }

    /// The hash of a help item within a scope, as keys hold it.
    pub fn interaction(&self, item_id: &str, scope: &str) -> KeyedHash {
        self.hash("interaction", &[item_id.as_bytes(), scope.as_bytes()])
    }

    /// The hash by which people are looked up: of a value of a kind (`user_id`, `email`,
    /// `phone`) in its normal form. `None` when the value has no such form.
    pub fn lookup(&self, kind: &str, value: &str) -> Option<KeyedHash> {
        let value = Zeroizing::new(crate::schema::normalize::found_by(kind, value)?);
        Some(self.hash("lookup", &[kind.as_bytes(), value.as_bytes()]))
    }

    /// A fingerprint of a text that does not reveal the text.
    pub fn content(&self, text: &str) -> KeyedHash {
        self.hash("content", &[text.as_bytes()])
    }
}
