//! Rate limits for browser keys: a count for each key and network in each minute. Kept by one
//! running instance of a function; API Gateway throttles overall traffic.
//!
//! For IPv6 a network is a /64: the least that a subscriber gets (RFC 6177), so a caller can
//! use any address of it.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Mutex;

use jiff::Timestamp;

use crate::base::error::{Error, Result};
use crate::base::id::KeyId;

/// A limited operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Spending {
    Request,
    /// A presigned upload link.
    Link,
}

impl Spending {
    /// The limit for one network with one `collect` key per minute.
    const fn limit(self) -> u32 {
        match self {
            Spending::Request => 600,
            Spending::Link => 100,
        }
    }
}

/// The counts of the current minute.
#[derive(Default)]
pub struct RateLimit(Mutex<Minute>);

#[derive(Default)]
struct Minute {
    number: i64,
    spent: HashMap<(Spending, KeyId, Option<IpAddr>), u32>,
}

impl RateLimit {
    /// Takes one request, or one link, from a key's budget for an address.
    ///
    /// # Errors
    /// [`Error::TooMany`] until the minute is over.
    pub fn spend(
        &self,
        what: Spending,
        key: KeyId,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<()> {
        let mut minute = self.0.lock().expect("no holder panics");
        let number = now.as_second().div_euclid(60);
        if minute.number != number {
            *minute = Minute {
                number,
                spent: HashMap::new(),
            };
        }
        let spent = (what, key, address.map(network));
        let spent = minute.spent.entry(spent).or_default();
        *spent += 1;
        if *spent > what.limit() {
            let retry_after = 60 - u32::try_from(now.as_second().rem_euclid(60)).unwrap_or(0);
            return Err(Error::TooMany { retry_after });
        }
        Ok(())
    }
}

/// The network of an address: the address itself, or its /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-03-01T12:00:20Z";

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    /// A budget that one address has exhausted.
    fn spent(what: Spending, key: KeyId, by: &str) -> RateLimit {
        let budget = RateLimit::default();
        for _ in 0..what.limit() {
            budget
                .spend(what, key, address(by), NOW.parse().unwrap())
                .unwrap();
        }
        budget
    }

    #[test]
    fn an_address_has_its_own_budget_and_a_new_one_each_minute() {
        let (key, now): (_, Timestamp) = (KeyId::random(), NOW.parse().unwrap());
        let budget = spent(Spending::Request, key, "203.0.113.7");
        let spend = |what, by, now| budget.spend(what, key, address(by), now);
        let refused = spend(Spending::Request, "203.0.113.7", now).unwrap_err();
        assert!(matches!(refused, Error::TooMany { retry_after: 40 }));
        // The same address, as a dual-stack listener reports it.
        spend(Spending::Request, "::ffff:203.0.113.7", now).unwrap_err();
        spend(Spending::Request, "203.0.113.8", now).unwrap();
        spend(Spending::Link, "203.0.113.7", now).unwrap();
        let later = now + jiff::SignedDuration::from_secs(40);
        spend(Spending::Request, "203.0.113.7", later).unwrap();
    }

    #[test]
    fn all_addresses_of_a_64_have_one_budget() {
        let (key, now): (_, Timestamp) = (KeyId::random(), NOW.parse().unwrap());
        let budget = spent(Spending::Link, key, "2001:db8:1:2::3");
        let spend = |by| budget.spend(Spending::Link, key, address(by), now);
        spend("2001:db8:1:2:ffff:ffff:ffff:ffff").unwrap_err();
        spend("2001:db8:1:3::3").unwrap();
    }
}
