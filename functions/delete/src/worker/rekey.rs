//! One turn of a re-keying. A life gets a new data key, and all rows sealed under the previous
//! key are sealed again. When a pass over every row finds none left, the old key is deleted.
//! Data redacted before then cannot be read in any backup.
//!
//! Nothing can be sealed under the old key once the re-keying has begun: the transaction that
//! stores the new key also increments the rules version, so a writer with the old key is
//! refused at the door. Ingest, redaction and other writes may therefore continue, and an
//! erasure ends the re-keying. A crash can follow any step, and every step is idempotent.

use futures::stream::{self, TryStreamExt};
use jiff::{SignedDuration, Timestamp};
use shared::aws::dynamo::{Filter, Item, Query, Range};
use shared::base::error::Result;
use shared::base::retry::Tries;
use shared::domain::app::App;
use shared::domain::audit::entry::{self, AuditEvent, Entry};
use shared::domain::jobs::{Job, JobState};
use shared::domain::keyring::{self, Living};
use shared::domain::keys::LifeKey;
use shared::domain::life::door::next_rules_version_write;
use shared::domain::life::rekey::{Progress, Rekeying};
use shared::domain::records::rows::reseal;
use shared::domain::turn::{End, Halt, Turn};

/// Rows read before the progress is saved.
const PAGE: usize = 200;
/// Rows that are sealed again concurrently.
const ABREAST: usize = 8;
/// How long to wait for an earlier re-keying that is overdue.
const PATIENCE: SignedDuration = SignedDuration::from_hours(1);

/// The state of a re-keying.
enum Stand {
    /// It has begun: the life with its new key and the old.
    Begun(Box<Living>),
    /// An earlier re-keying of the same life is still under way.
    Early,
    /// The life has ended, and its keys are deleted.
    Over,
}

/// Works on a re-keying until it is done, or the turn's time is over.
pub async fn work(turn: &mut Turn<'_, Rekeying>) -> Result<End, Halt> {
    let app = turn.app;
    let life = turn.job.spec.life()?;
    let living = match begin(app, &turn.job, &life).await? {
        Stand::Begun(living) => living,
        Stand::Early => {
            let until = app.clock.now() + PATIENCE;
            return Ok(End::Wait(JobState::Running, until));
        }
        Stand::Over => return Ok(End::Job(JobState::Cancelled, Vec::new())),
    };
    while !look(app, &mut turn.job, &living).await? {
        turn.still_time()?;
        turn.save().await?;
    }
    Ok(finish(&mut turn.job, &living, app.clock.now()))
}

/// Stores the new key, unless an earlier turn has.
async fn begin(app: &App, job: &Job<Rekeying>, life: &LifeKey) -> Result<Stand> {
    let mut tries = Tries::default();
    loop {
        tries.next().await?;
        let now = app.clock.now();
        let entry = app.keyring.entry(life.tenant, life.subject).await?;
        let Some(entry) = entry.filter(|entry| entry.key == *life) else {
            return Ok(Stand::Over);
        };
        let door = app.store.door(life).await?;
        let stands = door.is_some_and(|door| !door.expired(now));
        let Some(living) = app.keyring.open(&entry).await?.filter(|_| stands) else {
            return Ok(Stand::Over);
        };
        if entry.rekey.is_none_or(|rekey| rekey.job != job.key.id) {
            return Ok(Stand::Begun(Box::new(living)));
        }
        if entry.rekeying() {
            return Ok(Stand::Early);
        }
        let writes = vec![
            app.keyring.rekey_write(&entry, job.key.id, now).await?,
            next_rules_version_write(&entry, now),
        ];
        // Refused: something has changed. In either case, read again.
        let _refused = app.store.transact(writes).await?;
    }
}

/// Reads one page of the life's rows and seals again what is sealed under an old key. True at
/// the end of a pass that found no such row.
async fn look(app: &App, job: &mut Job<Rekeying>, living: &Living) -> Result<bool> {
    let partition = living.key.partition();
    let query = Query {
        partition: &partition,
        range: Range::All,
        ascending: true,
        limit: Some(PAGE),
        after: job.progress.after.clone(),
    };
    let filter = Filter {
        expression: "#key < :key",
        names: &[("#key", "key")],
        values: vec![(":key", living.generation.into())],
    };
    let page = app.store.query_where(query, Some(filter)).await?;
    let found = page.rows.len();
    stream::iter(page.rows.into_iter().map(Ok))
        .try_for_each_concurrent(ABREAST, |row| renew(app, row, living))
        .await?;
    job.done += found as u64;
    let clean = found == 0 && !job.progress.found;
    let ends = page.next.is_none();
    // After the last page, start again.
    job.progress = Progress {
        found: !clean && !ends,
        after: page.next,
    };
    Ok(ends && clean)
}

async fn renew(app: &App, row: Item, living: &Living) -> Result<()> {
    // Refused: another writer has sealed it again or deleted it.
    let _renewed = app.store.write(reseal(&row, living)?).await?;
    Ok(())
}

/// The old key goes, in one transaction with the job and the log. That is refused when the
/// life has ended, too.
fn finish(job: &mut Job<Rekeying>, living: &Living, now: Timestamp) -> End {
    job.total = job.done;
    job.progress = Progress::default();
    let about = [
        living.key.life.to_string(),
        job.key.id.to_string(),
        format!("records:{}", job.done),
    ];
    let entry = Entry::new(job.key.tenant, AuditEvent::Rekeyed, "lethe", &about, now);
    let mut writes = vec![keyring::retire_write(living, now)];
    writes.extend(entry::writes(&[entry]));
    End::Job(JobState::Completed, writes)
}
