//! What an erasure would remove, in the form in which its job says what it did. Changes
//! nothing.

use futures::FutureExt;
use shared::aws::dynamo::{Query, Range};
use shared::base::error::Result;
use shared::domain::app::App;
use shared::domain::erasure::outcome::{ErasureCounts, Stores};
use shared::domain::keys::LOOKUPS;

use crate::end::Present;

/// People who are looked at at the same time.
const AT_ONCE: usize = 16;
/// Rows of a life that no door counts: the person and the expiry index entry.
const UNCOUNTED: u64 = 2;

/// What there is of one person. A file that was announced and never uploaded is a row, and no
/// file.
#[derive(Default)]
struct Stored {
    records: u64,
    attachments: u64,
    exports: u64,
}

/// The counts for each store.
///
/// # Errors
/// [`shared::base::error::Error::Unavailable`] when a store does not answer.
pub async fn preview(app: &App, found: &[Present]) -> Result<ErasureCounts> {
    let looks = found.iter().map(|it| look(app, it).boxed());
    let all = crate::at_once(AT_ONCE, looks.collect()).await?;
    let sum = |count: fn(&Stored) -> u64| all.iter().map(count).sum::<u64>();
    Ok(ErasureCounts {
        dry_run: true,
        subjects: found.len(),
        blocked: found.iter().filter(|it| it.entry.rules.held).count(),
        stores: Stores {
            keyring: Some(found.len() as u64),
            records: Some(sum(|it| it.records)),
            attachments: Some(sum(|it| it.attachments)),
            exports: Some(sum(|it| it.exports)),
        },
    })
}

async fn look(app: &App, it: &Present) -> Result<Stored> {
    let life = it.entry.key;
    let [(_, attachments), (_, exports)] = life.object_prefixes();
    let attachments = async {
        match it.door.counts.attachments {
            0 => Ok(0),
            _ => app.objects.count_versions(&attachments).await,
        }
    };
    let exports = async {
        match it.door.edition {
            0 => Ok(0),
            _ => app.objects.count_versions(&exports).await,
        }
    };
    let partition = life.partition();
    let lookups = app.store.query_sorts(Query {
        partition: &partition,
        range: Range::Prefix(LOOKUPS),
        ascending: true,
        limit: None,
        after: None,
    });
    let (attachments, exports, lookups) = futures::try_join!(attachments, exports, lookups)?;
    Ok(Stored {
        records: UNCOUNTED + it.door.counts.total() + lookups.0.len() as u64,
        attachments,
        exports,
    })
}
