//! Who is there: a subject of whom the keyring and the door agree that they live. Owns
//! that rule for every reader; anybody else is not found, whatever rows are left of them.

use std::collections::{HashMap, HashSet};

use crate::base::error::Result;
use crate::base::id::{SubjectId, TenantId};
use crate::domain::app::App;
use crate::domain::keyring::{Rules, State};
use crate::domain::keys::{DOOR, LifeKey, PERSON};
use crate::domain::life::door::Door;
use crate::domain::people::lookups::{Found, Whose};

/// Somebody who lives, as lists show them: nothing of it is sealed.
#[derive(Clone, Debug)]
pub struct Present {
    pub key: LifeKey,
    pub door: Door,
    pub rules: Rules,
    pub verified: bool,
}

impl App {
    /// Those of `subjects` who live, in the order given, each once.
    ///
    /// # Errors
    /// [`crate::base::error::Error::Unavailable`] when a store does not answer.
    pub async fn present(&self, tenant: TenantId, subjects: &[SubjectId]) -> Result<Vec<Present>> {
        let mut seen = HashSet::new();
        let subjects: Vec<_> = subjects
            .iter()
            .copied()
            .filter(|subject| seen.insert(*subject))
            .collect();
        let entries = self.keyring.entries(tenant, &subjects).await?;
        let lives: Vec<(LifeKey, Rules)> = subjects
            .iter()
            .filter_map(|subject| entries.get(subject))
            .filter(|entry| entry.state == State::Active)
            .map(|entry| (entry.key, entry.rules))
            .collect();
        let wanted: Vec<_> = lives
            .iter()
            .flat_map(|(key, _)| [DOOR, PERSON].map(|sort| (key.partition(), sort.to_owned())))
            .collect();
        let rows: HashMap<_, _> = self
            .store
            .get_many(&wanted)
            .await?
            .into_iter()
            .map(|row| ((row.partition().to_owned(), row.sort().to_owned()), row))
            .collect();
        let now = self.clock.now();
        let mut present = Vec::new();
        for (key, rules) in lives {
            let row = |sort: &str| rows.get(&(key.partition(), sort.to_owned()));
            let Some(door) = row(DOOR).map(Door::read).transpose()? else {
                continue;
            };
            if !door.expired(now) {
                let verified = row(PERSON).is_some_and(|row| row.flag("verified"));
                present.push(Present {
                    key,
                    door,
                    rules,
                    verified,
                });
            }
        }
        Ok(present)
    }

    /// Those who live and are found by a value of a kind: their own name (`visitor_id`),
    /// or one that their lookup holds (`user_id`, `email`, `phone`). `verified` is then
    /// that value's.
    ///
    /// # Errors
    /// As [`App::present`].
    pub async fn find(
        &self,
        tenant: TenantId,
        kind: &'static str,
        value: &str,
        whose: Whose,
    ) -> Result<Vec<Present>> {
        let keys = self.keyring.tenant(tenant).await?;
        if kind == "visitor_id" {
            return self.present(tenant, &[keys.hash.subject(value)]).await;
        }
        let Some(hash) = keys.hash.lookup(kind, value) else {
            return Ok(Vec::new());
        };
        let found = self.store.holders(tenant, kind, hash, whose, None).await?;
        self.present_of(tenant, &found).await
    }

    /// Those who live of the ones that a value leads to; `verified` is that value's.
    ///
    /// # Errors
    /// As [`App::present`].
    pub async fn present_of(&self, tenant: TenantId, found: &[Found]) -> Result<Vec<Present>> {
        let found: HashMap<_, _> = found
            .iter()
            .map(|it| ((it.subject, it.life), it.verified))
            .collect();
        let mut subjects: Vec<_> = found.keys().map(|(subject, _)| *subject).collect();
        subjects.sort();
        let mut present = self.present(tenant, &subjects).await?;
        // A row that an earlier life left is not about this one.
        present.retain_mut(|it| {
            let verified = found.get(&(it.key.subject, it.key.life));
            it.verified = verified.is_some_and(|verified| *verified);
            verified.is_some()
        });
        Ok(present)
    }
}
