//! Receipts: what an erasure did, as a signed statement (compact JWS, RFC 7515, ES256) that
//! anybody can check against the published keys. Owns the claims and where receipts are
//! kept; made only when a look after the last upload link has found nothing.
//!
//! A receipt names lives, which are random, and never a subject. It says until when a
//! backup could bring anything back: what was sealed, as long as the keyring's recovery
//! window could bring back its key; rows without content, as long as the records' could.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::aws::dynamo::{Item, Write};
use crate::base::error::Result;
use crate::base::id::TenantId;
use crate::domain::app::App;
use crate::domain::audit::mask::mask;
use crate::domain::erasure::spec::Closed;
use crate::domain::erasure::spec::Erasing;
use crate::domain::jobs::Job;
use crate::domain::keys::{self, LifeKey};
use crate::proof::merkle::Tree;

/// The media type of a receipt's header, without `application/`.
const TYPE: &str = "lethe-receipt+jwt";
/// What an erasure does not reach, and a receipt says so.
const NOT_COVERED: [&str; 3] = ["downloaded_exports", "processors", "tenant_copies"];

/// The lives that a receipt is about.
pub enum Lives {
    Named(Vec<String>),
    /// The root of a Merkle tree (RFC 6962) over their names, in the order in which they
    /// were erased.
    Root(Tree),
}

impl Lives {
    pub fn of(lives: &[LifeKey]) -> Lives {
        Lives::after(Closed::default(), lives)
    }

    /// The lives that were closed before, followed by these.
    pub fn after(mut closed: Closed, lives: &[LifeKey]) -> Lives {
        lives.iter().for_each(|life| closed.push(life));
        match closed.names.len() as u64 == closed.tree.size() {
            true => Lives::Named(closed.names),
            false => Lives::Root(closed.tree),
        }
    }

    /// The lives in the log: by name while they are few, otherwise their number.
    pub fn about(&self) -> Vec<String> {
        match self {
            Lives::Named(names) => names.clone(),
            Lives::Root(tree) => vec![format!("lives:{}", tree.size())],
        }
    }
}

/// One receipt, before it is signed.
pub struct Receipt {
    tenant: TenantId,
    /// A job's id, or the day of some expiries.
    name: String,
    claims: Value,
    unreadable_at: Timestamp,
    erased_at: Timestamp,
}

impl Receipt {
    /// The receipt of an erasure that has just been verified.
    pub fn of_job(job: &Job<Erasing>, lives: Lives, now: Timestamp) -> Receipt {
        let outcome = &job.outcome;
        let unreadable_at = outcome.unreadable_at.as_ref().and_then(|at| at.records);
        let mut receipt = Receipt::new(job.key.tenant, job.key.id.to_string(), lives, now);
        receipt.unreadable_at = unreadable_at.unwrap_or(now);
        receipt.claims["kind"] = json!(match job.spec.tenant {
            true => "tenant",
            false => "erasure",
        });
        receipt.claims["requested_at"] = json!(job.created_at);
        receipt.claims["unreadable_at"] = json!(outcome.unreadable_at);
        receipt.claims["stores"] = json!(outcome.stores);
        // As in the log: a receipt is kept permanently and names nobody.
        for (name, said) in [
            ("reason", &outcome.reason),
            ("reference", &outcome.reference),
        ] {
            if let Some(said) = said {
                receipt.claims[name] = json!(mask(said));
            }
        }
        receipt
    }

    /// The receipt of all expiries of a day. `stores`: the total that was removed from each
    /// store.
    pub fn of_day(
        tenant: TenantId,
        day: jiff::civil::Date,
        lives: &[LifeKey],
        stores: &BTreeMap<String, u64>,
        ended: (Timestamp, Timestamp),
        now: Timestamp,
    ) -> Receipt {
        let mut receipt = Receipt::new(tenant, day.to_string(), Lives::of(lives), now);
        (receipt.unreadable_at, receipt.erased_at) = ended;
        receipt.claims["kind"] = json!("expiry");
        receipt.claims["day"] = json!(day.to_string());
        receipt.claims["unreadable_at"] = json!({"records": receipt.unreadable_at});
        receipt.claims["stores"] = json!(stores);
        receipt
    }

    fn new(tenant: TenantId, name: String, lives: Lives, now: Timestamp) -> Receipt {
        let lives = match lives {
            Lives::Named(names) => json!({"count": names.len(), "names": names}),
            Lives::Root(tree) => {
                json!({"count": tree.size(), "root": tree.root().to_string()})
            }
        };
        let claims = json!({
            "iss": "lethe",
            "jti": name,
            "iat": now.as_second(),
            "tenant": tenant.to_string(),
            "lives": lives,
            "verified_at": now,
            "not_covered": NOT_COVERED,
        });
        Receipt {
            tenant,
            name,
            claims,
            unreadable_at: now,
            erased_at: now,
        }
    }

    /// Signs the receipt and writes it to the bucket. Returns its text, and the write that
    /// stores it in the table as part of the transaction that ends the work. Idempotent.
    ///
    /// # Errors
    /// [`crate::base::error::Error::Unavailable`] when KMS or S3 does not answer.
    pub async fn issue(mut self, app: &App) -> Result<(String, Write)> {
        self.claims["erased_at"] = json!(self.erased_at);
        let clear = app
            .config
            .backups_clear_by(self.unreadable_at, self.erased_at);
        self.claims["backups_clear_by"] = json!(clear.sealed);
        self.claims["pseudonymous_rows_clear_by"] = json!(clear.pseudonymous);
        let signed = app.vault.sign(TYPE, &self.claims).await?;
        let object = keys::receipt_object(self.tenant, &self.name);
        let body = signed.clone().into_bytes();
        app.objects.put(&object, "application/jose", body).await?;
        let row = Item::new(&keys::receipts(self.tenant), &self.name)
            .with("jws", signed.clone())
            .with("at", self.erased_at);
        Ok((signed, Write::put(row)))
    }
}
