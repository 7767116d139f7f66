//! The outcome of a slice of events, stored in the transaction that stores the slice. A
//! request that is repeated under its idempotency key stores nothing twice, even if its
//! response was lost. Knows nothing of how a slice is stored.

use jiff::Timestamp;
use shared::aws::dynamo::Write;
use shared::base::error::Result;
use shared::base::id::{MessageId, SubjectId};
use shared::domain::app::App;
use shared::domain::idempotency::IdempotencyKey;
use shared::http::Call;

use crate::draft::{Fate, Incoming, too_many_values};

/// The completed parts of one request, if it has an idempotency key.
pub struct Done {
    once: Option<IdempotencyKey>,
    now: Timestamp,
}

/// One person's slice of a request's events.
#[derive(Clone, Copy)]
pub struct Slice {
    pub subject: SubjectId,
    pub number: usize,
}

impl Slice {
    fn name(self) -> String {
        format!("{}#{}", self.subject, self.number)
    }
}

impl Done {
    pub fn of(call: &Call, now: Timestamp) -> Done {
        Done {
            once: call.once().cloned(),
            now,
        }
    }

    /// Records the outcome of a slice, in the transaction that stores it. Refused when another
    /// attempt has stored the slice.
    pub fn write(&self, slice: Slice, fates: &[Fate]) -> Option<Write> {
        let words: Vec<_> = fates.iter().map(word).collect();
        let once = self.once.as_ref()?;
        Some(once.part_write(&slice.name(), &words.join(" "), self.now))
    }

    /// The outcome of a slice that an earlier attempt has stored.
    ///
    /// # Errors
    /// [`shared::base::error::Error::Unavailable`] when DynamoDB does not answer.
    pub async fn find(
        &self,
        app: &App,
        slice: Slice,
        incoming: &[Incoming<'_>],
    ) -> Result<Option<Vec<Fate>>> {
        let Some(once) = &self.once else {
            return Ok(None);
        };
        let kept = app.store.part(once, &slice.name(), self.now).await?;
        Ok(kept.map(|words| {
            let words = words.split(' ').chain(std::iter::repeat("stored"));
            let each = words.zip(incoming);
            each.map(|(word, incoming)| fate(word, incoming)).collect()
        }))
    }
}

/// The encoded form of an outcome.
fn word(fate: &Fate) -> String {
    match fate {
        Fate::Stored(None) => "stored".to_owned(),
        Fate::Stored(Some(id)) => format!("stored:{id}"),
        Fate::Duplicate(id) => format!("duplicate:{id}"),
        Fate::Ignored(why) => format!("ignored:{why}"),
        Fate::StoredWithout(_) => "without".to_owned(),
    }
}

fn fate(word: &str, incoming: &Incoming<'_>) -> Fate {
    let (what, about) = word.split_once(':').unwrap_or((word, ""));
    match (what, MessageId::parse(about)) {
        ("duplicate", Some(id)) => Fate::Duplicate(id),
        ("ignored", _) => {
            let whys = [
                "objected",
                "no_consent",
                "held",
                "suppressed",
                "erasing",
                "erased",
            ];
            let why = whys.into_iter().find(|why| *why == about);
            Fate::Ignored(why.unwrap_or("unknown"))
        }
        // Only one field has a limit for each person.
        ("without", _) => Fate::StoredWithout(too_many_values(incoming.base)),
        (_, id) => Fate::Stored(id),
    }
}
