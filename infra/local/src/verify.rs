//! Verifies one day of a tenant's activity log from the outside: uses only API responses, the
//! published keys and arithmetic.
//!
//! Owns the conditions of a valid day. Knows nothing of the evidence's source, and trusts only
//! what is signed.

use std::collections::HashMap;
use std::fmt;

use jiff::civil::Date;
use serde_json::Value;
use shared::proof::jws;
use shared::proof::leaf::{SEAL, leaf};
use shared::proof::merkle::{Hash, Tree};

mod evidence;

pub use evidence::{Before, Evidence, Seal, Source};

/// The result of a verification, line by line.
#[derive(Debug)]
pub struct Report {
    day: Date,
    lines: Vec<(Verdict, String)>,
}

/// The effect of a line on the whole result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Holds,
    /// Worth noting, but not a sign of a change: a day that was not provided, or the log of a
    /// tenant that has left.
    Noted,
    Broken,
}

impl Report {
    /// Whether the day is unchanged since it was signed.
    pub fn valid(&self) -> bool {
        self.lines
            .iter()
            .all(|(verdict, _)| *verdict != Verdict::Broken)
    }

    fn holds(&mut self, text: impl Into<String>) {
        self.lines.push((Verdict::Holds, text.into()));
    }

    fn noted(&mut self, text: impl Into<String>) {
        self.lines.push((Verdict::Noted, text.into()));
    }

    fn broken(&mut self, text: impl Into<String>) {
        self.lines.push((Verdict::Broken, text.into()));
    }

    fn hold(&mut self, holds: bool, text: impl Into<String>, otherwise: impl Into<String>) {
        match holds {
            true => self.holds(text),
            false => self.broken(otherwise),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (verdict, text) in &self.lines {
            let mark = match verdict {
                Verdict::Holds => "ok  ",
                Verdict::Noted => "note",
                Verdict::Broken => "FAIL",
            };
            writeln!(f, "{mark}  {text}")?;
        }
        let verdict = if self.valid() { "valid" } else { "NOT VALID" };
        write!(f, "{}: {verdict}", self.day)
    }
}

/// Verifies a day: the signature of its log root, the root over the leaves, each entry against
/// its leaf, and the chain to the previous day.
pub fn check(evidence: &Evidence) -> Report {
    let Evidence {
        day,
        jwks,
        seal,
        before,
        entries,
        left,
    } = evidence;
    let mut report = Report {
        day: *day,
        lines: Vec::new(),
    };
    let claims = match jws::verify(&seal.jws, SEAL, jwks) {
        Ok(claims) => claims,
        Err(doubt) => {
            report.broken(format!("signature: {doubt}"));
            return report;
        }
    };
    let said = |name: &str| claims[name].as_str().unwrap_or_default();
    let tenant = said("tenant");
    report.holds(format!("signature: the log root of {tenant} is signed"));
    report.hold(
        said("day") == day.to_string(),
        format!("day: the log root is of {day}"),
        format!("day: the log root is of {}", said("day")),
    );
    root(&mut report, seal, &claims);
    chain(&mut report, before, jwks, &claims);
    let missing = compare(&mut report, &seal.leaves, entries);
    for place in &missing {
        let (at, of) = (place + 1, seal.leaves.len());
        let text = format!(
            "missing: entry {at} of {of}, with the leaf {}",
            seal.leaves[*place]
        );
        match left {
            true => report.noted(text),
            false => report.broken(text),
        }
    }
    if *left && !missing.is_empty() {
        report.noted("missing: the log of a tenant that has left is deleted, its roots are kept");
    }
    report
}

fn root(report: &mut Report, seal: &Seal, claims: &Value) {
    let tree: Tree = seal.leaves.iter().copied().collect();
    let (made, signed) = (tree.root().to_string(), claims["root"].as_str());
    let signed = signed.unwrap_or_default();
    report.hold(
        made == signed && claims["entries"] == tree.size(),
        format!(
            "root: {} leaves produce the signed root {made}",
            tree.size()
        ),
        format!(
            "root: {} leaves produce {made}, but the signed root of {} leaves is {signed}",
            tree.size(),
            claims["entries"]
        ),
    );
    report.hold(
        seal.root == signed && claims["entries"] == seal.entries,
        "seal: the response matches the signed root",
        format!(
            "seal: the response has the root {}, which is not signed",
            seal.root
        ),
    );
}

/// Each log root also signs the previous day's root: a day that is signed again breaks the
/// chain at the next.
fn chain(report: &mut Report, before: &Before, jwks: &Value, claims: &Value) {
    let previous = claims["previous"].as_str();
    let seal = match (before, previous) {
        (Before::Unknown, _) => {
            return report
                .noted("chain: not checked, the log root of the previous day is not available");
        }
        (Before::Unsealed, None) => {
            return report.holds("chain: this is the first day of the log");
        }
        (Before::Unsealed, Some(root)) => {
            return report.broken(format!(
                "chain: the previous day, with the root {root}, is missing"
            ));
        }
        (Before::Sealed(seal), _) => seal,
    };
    match jws::verify(&seal.jws, SEAL, jwks) {
        Err(doubt) => report.broken(format!("chain: log root of the previous day: {doubt}")),
        Ok(other) => report.hold(
            other["tenant"] == claims["tenant"]
                && other["day"].as_str() == yesterday(report.day).as_deref()
                && other["root"].as_str() == previous,
            "chain: the log continues from the previous day",
            format!(
                "chain: the log continues from the root {}, but the previous day has {}",
                claims["previous"], other["root"]
            ),
        ),
    }
}

fn yesterday(day: Date) -> Option<String> {
    day.yesterday().ok().map(|day| day.to_string())
}

/// Compares the current entries with the signed leaves. Both are in the order of the entries'
/// ids, so unmatched items between two matches belong together. Returns the positions of
/// leaves without an entry.
fn compare(report: &mut Report, leaves: &[Hash], entries: &[Value]) -> Vec<usize> {
    let mut free: HashMap<Hash, usize> = leaves.iter().copied().zip(0..).collect();
    let mut entries: Vec<_> = entries.iter().collect();
    entries.sort_by_key(|entry| entry["id"].as_str().unwrap_or_default());
    let mut kept = 0;
    let mut missing = Vec::new();
    let mut strange: Vec<&Value> = Vec::new();
    let mut next = 0;
    // `None` represents the end: a match behind the last leaf.
    for entry in entries.into_iter().map(Some).chain([None]) {
        let place = match entry {
            None => leaves.len(),
            Some(entry) => match leaf(entry).and_then(|hash| free.remove(&hash)) {
                Some(place) if place >= next => place,
                _ => {
                    strange.push(entry);
                    continue;
                }
            },
        };
        kept += usize::from(entry.is_some());
        let mut gone = next..place;
        for entry in strange.drain(..) {
            match gone.next() {
                Some(_) => report.broken(format!("changed: {}", name(entry))),
                None => report.broken(format!("added: {}", name(entry))),
            }
        }
        missing.extend(gone);
        next = place + 1;
    }
    report.holds(format!(
        "entries: {kept} of {} match their signed leaves",
        leaves.len()
    ));
    missing
}

fn name(entry: &Value) -> String {
    let text = |name: &str| entry[name].as_str().unwrap_or("?").to_owned();
    format!("{}, {} at {}", text("id"), text("kind"), text("at"))
}
