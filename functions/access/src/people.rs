//! Lists of people: found by a value, or all that a tenant knows.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::Value;
use shared::aws::dynamo::{Query, Range};
use shared::base::error::{Error, Result};
use shared::base::id::SubjectId;
use shared::domain::app::App;
use shared::domain::expiry_index::Cursor;
use shared::domain::keyring::{Entry, PersonState};
use shared::domain::keys::{self, Rule};
use shared::domain::people::lookups::Whose;
use shared::domain::people::person::Present;
use shared::http::answers::{FoundPeople, PersonRow};
use shared::http::{Answer, Call};
use shared::schema::violations::{self, Violations};

/// Pages of the index that one request reads at most; what is left comes with the cursor.
const READS: usize = 20;

/// A person of whom nothing is stored but a rule that they asked for.
fn bare_row(entry: &Entry) -> PersonRow {
    PersonRow {
        subject: entry.key.subject,
        last_seen: None,
        expires_at: None,
        state: match entry.rules.suppressed {
            true => PersonState::Suppressed,
            false => PersonState::Objected,
        },
        verified: false,
    }
}

/// `POST /v1/lookup`
pub async fn lookup(app: &App, call: &Call) -> Result<Answer> {
    let (kind, value) = one_value(call.body())?;
    let people = app.find(call.tenant(), kind, &value, Whose::All).await?;
    let subjects = people.iter().map(PersonRow::from).collect();
    Ok(Answer::ok(&FoundPeople { subjects }))
}

/// The one value that a lookup is by.
fn one_value(body: &Value) -> Result<(&'static str, String)> {
    let mut violations = Violations::default();
    let value = violations::lookup(body, "", &mut violations);
    violations.unless_any(value)
}

/// `GET /v1/subjects`
pub async fn list(app: &App, call: &Call) -> Result<Answer> {
    let parse = |name: &str| {
        let expected = "must be held, restricted, objected or suppressed";
        Rule::parse(name).ok_or_else(|| Error::field("state", "choice", expected))
    };
    let before = super::moment(call, "expires_before")?;
    match call.query("state").map(parse).transpose()? {
        Some(rule) => under(app, call, rule, before).await,
        None => everybody(app, call, before).await,
    }
}

/// Those who stand under a rule, by their subjects.
async fn under(app: &App, call: &Call, rule: Rule, before: Option<Timestamp>) -> Result<Answer> {
    let tenant = call.tenant();
    let partition = keys::listed(tenant, rule);
    let query = Query {
        partition: &partition,
        range: Range::All,
        ascending: true,
        limit: Some(call.limit()?),
        after: call.cursor(app).await?,
    };
    let (sorts, next) = app.store.query_sorts(query).await?;
    let subjects: Vec<_> = sorts
        .iter()
        .filter_map(|sort| SubjectId::parse(sort))
        .collect();
    let entries = app.keyring.entries(tenant, &subjects).await?;
    let present = app.present(tenant, &subjects).await?;
    let present: HashMap<_, _> = present.iter().map(|it| (it.key.subject, it)).collect();
    let mut data = Vec::new();
    for subject in subjects {
        match (present.get(&subject), entries.get(&subject)) {
            (Some(person), _) if person.rules.under(rule) && ends_before(person, before) => {
                data.push(PersonRow::from(*person));
            }
            (None, Some(entry)) if entry.rules.under(rule) && before.is_none() => {
                data.push(bare_row(entry));
            }
            _ => {}
        }
    }
    call.page(app, data, next).await
}

fn ends_before(person: &Present, before: Option<Timestamp>) -> bool {
    before.is_none_or(|at| person.door.expires_at.is_some_and(|end| end < at))
}

/// Everybody who lives, about in the order in which they will be forgotten.
async fn everybody(app: &App, call: &Call, before: Option<Timestamp>) -> Result<Answer> {
    let limit = call.limit()?;
    // An expiry index entry has the day of the door's end, or an earlier one: visits leave it.
    let until = before.map(keys::day_of);
    let mut cursor: Cursor = call.cursor(app).await?.unwrap_or_default();
    let mut data = Vec::new();
    for _ in 0..READS {
        if cursor.over() || data.len() >= limit {
            break;
        }
        let left = limit - data.len();
        let due = app.store.due_lives(call.tenant(), until, left, &mut cursor);
        let lives = due.await?;
        let subjects: Vec<_> = lives.iter().map(|life| life.subject).collect();
        for person in app.present(call.tenant(), &subjects).await? {
            // The entry of an ended life stays until its erasure is verified.
            let current = lives.contains(&person.key);
            if current && ends_before(&person, before) {
                data.push(PersonRow::from(&person));
            }
        }
    }
    let next = (!cursor.over()).then_some(cursor);
    call.page(app, data, next).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_lookup_is_by_exactly_one_value() {
        let email = one_value(&json!({"email": "ada@example.com"})).unwrap();
        assert_eq!(email, ("email", "ada@example.com".into()));
        let cases = [
            (json!([]), "", "type"),
            (json!({}), "", "exactly_one"),
            (
                json!({"email": "a@b.example", "phone": "+49 151 2345678"}),
                "",
                "exactly_one",
            ),
            (json!({"visitor_id": 7}), "/visitor_id", "type"),
            (json!({"email": "canary"}), "/email", "email"),
            (json!({"username": "canary"}), "/username", "unknown"),
        ];
        for (body, pointer, code) in cases {
            let Err(Error::Invalid(errors)) = one_value(&body) else {
                panic!("{body} is refused")
            };
            assert_eq!(
                (errors[0].pointer.as_str(), errors[0].code),
                (pointer, code)
            );
            assert!(!errors[0].message.contains("canary"));
        }
    }
}
