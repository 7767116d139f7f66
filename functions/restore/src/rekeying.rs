//! Re-keyings of surviving lives, whose jobs the restore may have lost. One under way is
//! completed here; one that was scheduled gets another job. Otherwise redacted data would stay
//! readable in backups unnoticed.

use serde_json::Value;
use shared::aws::dynamo::{Filter, Query, Range};
use shared::base::error::Result;
use shared::domain::keyring::{self, Entry, Rekey};
use shared::domain::keys::{JobKey, JobKind};
use shared::domain::life::rekey::Rekeying;
use shared::domain::records::rows::reseal;

use crate::Replay;
use crate::handover::carry_out;
use crate::tally::Tally;

pub async fn see_to(replay: &Replay<'_>, entry: &Entry, tally: &mut Tally) -> Result<()> {
    if entry.rekeying() {
        tally.rekeyings_repaired += 1;
        if replay.acts {
            finish(replay, entry).await?;
        }
    }
    let Some(rekey) = entry.rekey else {
        return Ok(());
    };
    let job = JobKey {
        tenant: entry.key.tenant,
        kind: JobKind::Rekey,
        id: rekey.job,
    };
    let job = replay.app.store.job::<Value>(job).await?;
    if job.is_none_or(|job| job.state.over()) {
        tally.rekeyings_repaired += 1;
        if replay.acts {
            begin_anew(replay, entry, rekey).await?;
        }
    }
    Ok(())
}

/// Seals again what is sealed under the previous key, as the worker would, then deletes that
/// key. Ignores rows that neither key opens.
async fn finish(replay: &Replay<'_>, entry: &Entry) -> Result<()> {
    let app = replay.app;
    let Some(living) = app.keyring.open(entry).await? else {
        return Ok(());
    };
    let partition = entry.key.partition();
    let mut after = None;
    loop {
        let query = Query {
            partition: &partition,
            range: Range::All,
            ascending: true,
            limit: None,
            after,
        };
        let filter = Filter {
            expression: "#key = :before",
            names: &[("#key", "key")],
            values: vec![(":before", entry.generation.saturating_sub(1).into())],
        };
        let page = app.store.query_where(query, Some(filter)).await?;
        for row in &page.rows {
            carry_out(app, vec![reseal(row, &living)?]).await?;
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    carry_out(app, vec![keyring::retire_write(&living, app.clock.now())]).await
}

/// Schedules another job for the time at which the lost one was to begin.
async fn begin_anew(replay: &Replay<'_>, entry: &Entry, lost: Rekey) -> Result<()> {
    let now = replay.app.clock.now();
    let mut job = Rekeying::job(&entry.key, now);
    let rekey = Rekey {
        job: job.key.id,
        at: lost.at.max(now),
    };
    let writes = vec![entry.rekey_anew_write(rekey), job.begin_later(rekey.at)];
    carry_out(replay.app, writes).await
}
