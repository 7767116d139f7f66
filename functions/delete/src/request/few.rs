//! An erasure of a few people: one transaction.

use shared::base::error::{Error, Result};
use shared::base::id::SubjectId;
use shared::base::retry::Tries;
use shared::domain::app::App;
use shared::domain::jobs::JobState;
use shared::domain::keyring::block_write;
use shared::domain::life::door::erase_writes;
use shared::http::jobs::accepted;
use shared::http::{Answer, Call};

use super::{DAY, Erase, expect_room, job, requested};
use crate::end::{Present, present, set_ended};

/// One transaction: keys gone, doors closed, job written; on the rows of those who are held
/// it is noted that it waits. Then the answer.
pub(super) async fn begin(
    app: &App,
    call: &Call,
    erase: &Erase,
    people: &[SubjectId],
    mut found: Vec<Present>,
) -> Result<Answer> {
    let mut tries = Tries::default();
    loop {
        tries.next().await?;
        if !tries.first() {
            found = present(app, call.tenant(), people).await?;
        }
        if found.is_empty() {
            return Err(Error::NotFound);
        }
        expect_room(&found)?;
        let now = app.clock.now();
        let (held, free): (Vec<_>, Vec<_>) = found.iter().partition(|it| it.entry.rules.held);
        let mut erasing = erase.erasing();
        erasing.ended = !free.is_empty();
        erasing.uploads_until = free.iter().filter_map(|it| it.door.uploads_until()).max();
        let (mut job, lists) = job(call, erase, &found, erasing, now);
        let blocked: Vec<_> = held.iter().map(|it| it.entry.key.subject).collect();
        set_ended(app, &mut job, &blocked, now);
        let mut writes = lists;
        match free.is_empty() {
            true => {
                job.state = JobState::Blocked;
                writes.push(job.begin_later(now + DAY));
            }
            false => writes.extend(job.begin_writes()),
        }
        let id = job.key.id;
        writes.extend(held.iter().map(|it| block_write(&it.entry, id)));
        let end = |it: &&Present| erase_writes(&it.entry, Some(&it.door), erase.suppress);
        writes.extend(free.iter().flat_map(end));
        writes.extend(requested(call, &job, &found, now));
        let answer = accepted(&job, "erasures");
        let answer = call.kept_with(answer, &mut writes);
        if app.store.transact(writes).await?.is_ok() {
            return Ok(answer);
        }
        // Somebody began, ended, was held or was handed a link meanwhile: look again.
    }
}
