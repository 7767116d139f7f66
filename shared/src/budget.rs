//! What a page's key may cost: a count for each key and address in each minute. Held by one
//! running instance of a function; API Gateway throttles the whole besides.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;

use jiff::Timestamp;

use crate::error::{Error, Result};
use crate::id::KeyId;

/// Requests that one address may send with one `collect` key in a minute.
const REQUESTS: u32 = 600;

/// The counts of the current minute.
#[derive(Default)]
pub struct Budget(Mutex<Minute>);

#[derive(Default)]
struct Minute {
    number: i64,
    spent: HashMap<(KeyId, Option<IpAddr>), u32>,
}

impl Budget {
    /// Takes one request from a key's budget for an address.
    ///
    /// # Errors
    /// [`Error::TooMany`] until the minute is over.
    pub fn spend(&self, key: KeyId, address: Option<IpAddr>, now: Timestamp) -> Result<()> {
        let mut minute = self.0.lock().expect("no holder panics");
        let number = now.as_second().div_euclid(60);
        if minute.number != number {
            *minute = Minute {
                number,
                spent: HashMap::new(),
            };
        }
        let spent = minute.spent.entry((key, address)).or_default();
        *spent += 1;
        if *spent > REQUESTS {
            let retry_after = 60 - u32::try_from(now.as_second().rem_euclid(60)).unwrap_or(0);
            return Err(Error::TooMany { retry_after });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_own_budget_and_a_new_one_each_minute() {
        let (budget, key) = (Budget::default(), KeyId::random());
        let (here, there) = ("203.0.113.7".parse().ok(), "203.0.113.8".parse().ok());
        let now: Timestamp = "2026-03-01T12:00:20Z".parse().unwrap();
        for _ in 0..REQUESTS {
            budget.spend(key, here, now).unwrap();
        }
        let refused = budget.spend(key, here, now).unwrap_err();
        assert!(matches!(refused, Error::TooMany { retry_after: 40 }));
        budget.spend(key, there, now).unwrap();
        budget
            .spend(key, here, now + jiff::SignedDuration::from_secs(40))
            .unwrap();
    }
}
