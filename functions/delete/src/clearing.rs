//! What is left of a life goes, object by object and row by row.
//!
//! Every step may be the last before a crash, and may be done again: what is gone stays
//! gone, and keys carry the life. What a step removes is counted, and the count saved,
//! before it is removed; who comes after a crash removes the rest of it without counting
//! again. So progress only grows, and the counts are exact.

use serde::{Deserialize, Serialize};
use shared::app::App;
use shared::error::Result;
use shared::store::keys::{self, CLOCK, LifeKey};
use shared::store::{Query, Range, Write};

use crate::turn::{Halt, Turn};

/// Rows removed in one step.
const PAGE: usize = 500;

/// What is removed from, in this order: rows last, since they lead to everything else.
pub const STORES: [&str; 3] = ["attachments", "exports", "records"];

/// How far the removal is within one life, or within all of a tenant's objects.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Place {
    /// Which of the [`STORES`].
    pub store: usize,
    /// Up to and including which key everything is counted.
    pub counted: Option<String>,
}

impl Place {
    pub fn store(&self) -> &'static str {
        STORES.get(self.store).copied().unwrap_or("records")
    }

    fn next_store(&mut self) {
        self.store += 1;
        self.counted = None;
    }

    /// How many of these keys, which are in order, have not been counted yet. From here on
    /// they have.
    pub fn count(&mut self, keys: &[&str]) -> u64 {
        let counted = self.counted.as_deref();
        let new = keys.iter().filter(|key| Some(**key) > counted).count();
        if let Some(last) = keys.last().filter(|last| Some(**last) > counted) {
            self.counted = Some((*last).to_owned());
        }
        new as u64
    }
}

/// Removes what is left of a life but its clock.
pub async fn clear(turn: &mut Turn<'_>, life: &LifeKey) -> Result<(), Halt> {
    clear_objects(turn, &life.object_prefixes()).await?;
    clear_rows(turn, life).await?;
    turn.place.within = Place::default();
    Ok(())
}

/// Removes all objects under these prefixes, one for each store, in every version; and
/// unfinished uploads.
pub async fn clear_objects(turn: &mut Turn<'_>, prefixes: &[(&str, String)]) -> Result<(), Halt> {
    while let Some((_, prefix)) = prefixes.get(turn.place.within.store) {
        clear_prefix(turn, prefix).await?;
        turn.place.within.next_store();
    }
    Ok(())
}

async fn clear_prefix(turn: &mut Turn<'_>, prefix: &str) -> Result<(), Halt> {
    let app = turn.app;
    turn.place.found += app.objects.abort_uploads(prefix).await?;
    loop {
        let mut versions = app.objects.versions(prefix).await?;
        if versions.is_empty() {
            return Ok(());
        }
        versions.sort_by(|one, other| one.object.cmp(&other.object));
        let keys: Vec<_> = versions.iter().map(|it| it.object.as_str()).collect();
        turn.count(&keys).await?;
        app.objects.delete(&versions).await?;
        turn.still_time()?;
    }
}

/// Removes a life's rows; a lookup's reverse goes after its lookup, so that a crash between
/// the two leaves the way to it.
pub async fn clear_rows(turn: &mut Turn<'_>, life: &LifeKey) -> Result<(), Halt> {
    let app = turn.app;
    let partition = life.partition();
    loop {
        let query = Query {
            partition: &partition,
            range: Range::All,
            ascending: true,
            limit: Some(PAGE),
            after: None,
        };
        let (mut sorts, next) = app.store.query_sorts(query).await?;
        sorts.retain(|sort| sort != CLOCK);
        if !sorts.is_empty() {
            let keys: Vec<_> = sorts.iter().map(String::as_str).collect();
            turn.count(&keys).await?;
            for sort in &sorts {
                clear_lookup(app, life, sort).await?;
            }
            app.store.delete_many(&partition, &sorts).await?;
        }
        if next.is_none() {
            return Ok(());
        }
        turn.still_time()?;
    }
}

/// Deletes the lookup that a reverse row points to, unless a later life has taken it over.
async fn clear_lookup(app: &App, life: &LifeKey, sort: &str) -> Result<()> {
    let Some(lookup) = keys::lookup_of_reverse(life.tenant, sort) else {
        return Ok(());
    };
    let write = Write::delete(&lookup, &life.subject.to_string())
        .only_if("attribute_not_exists(PK) OR life = :life")
        .value(":life", life.life.to_string());
    // Refused: it belongs to a later life.
    let _taken_over = app.store.write(write).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_before_a_crash_is_not_counted_again() {
        let mut place = Place::default();
        assert_eq!(place.count(&["a", "b", "c"]), 3);
        // The crash left "c", and a page holds more now.
        assert_eq!(place.count(&["c", "d", "e"]), 2);
        assert_eq!(place.count(&["b"]), 0);
        assert_eq!(place.counted.as_deref(), Some("e"));
        place.next_store();
        assert_eq!(place.count(&["a"]), 1);
    }
}
