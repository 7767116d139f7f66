//! Rules about a person, asked for by those who govern: restriction, objection, hold,
//! suppression. Asking again is no fault.

use jiff::{SignedDuration, Timestamp};
use shared::base::error::{Error, Result};
use shared::domain::app::App;
use shared::domain::keyring::Hold;
use shared::domain::keys::Rule;
use shared::domain::rules::change::Change;
use shared::http::{Answer, Call};
use shared::schema::violations::{self, Violations};

/// The longest that a hold may be made at once: ten years.
const LONGEST: SignedDuration = SignedDuration::from_hours(24 * 3653);

/// `PUT /v1/subjects/{subject}/…`
pub async fn put(app: &App, call: &Call) -> Result<Answer> {
    let change = match rule(call)? {
        Rule::Restricted => Change::Restrict,
        Rule::Objected => Change::Object,
        Rule::Held => Change::Hold(hold(call, app.clock.now())?),
        Rule::Suppressed => Change::Suppress,
    };
    change_rule(app, call, &change).await
}

/// `DELETE /v1/subjects/{subject}/…`
pub async fn lift(app: &App, call: &Call) -> Result<Answer> {
    change_rule(app, call, &Change::Lift(rule(call)?)).await
}

async fn change_rule(app: &App, call: &Call, change: &Change) -> Result<Answer> {
    let (tenant, subject) = (call.tenant(), call.subject()?);
    app.change_rule(tenant, subject, change, &call.by()).await?;
    Ok(Answer::nothing())
}

/// The rule that the route is about.
fn rule(call: &Call) -> Result<Rule> {
    match call.route().rsplit('/').next() {
        Some("restriction") => Ok(Rule::Restricted),
        Some("objection") => Ok(Rule::Objected),
        Some("hold") => Ok(Rule::Held),
        Some("suppression") => Ok(Rule::Suppressed),
        _ => Err(Error::NotFound),
    }
}

fn hold(call: &Call, now: Timestamp) -> Result<Hold> {
    let mut violations = Violations::default();
    let Some(body) = violations.object(call.body(), "", &["reason", "until"]) else {
        return Err(violations.into());
    };
    if !body.has("reason") {
        violations.add("/reason", "required", "is required");
    }
    let expected = "must match [A-Za-z0-9._-]{1,64}";
    let reason = body.parsed("reason", expected, &mut violations, violations::code);
    let expected = "must be an RFC 3339 timestamp";
    let until = body.parsed("until", expected, &mut violations, moment);
    if until.is_some_and(|until| until <= now || until > now + LONGEST) {
        let expected = "must be in the future, at most ten years ahead";
        violations.add("/until", "range", expected);
    }
    violations.end()?;
    Ok(Hold {
        reason: reason.unwrap_or_default().to_owned(),
        until,
    })
}

/// A moment in whole milliseconds: what the stored form keeps.
fn moment(text: &str) -> Option<Timestamp> {
    let at: Timestamp = text.parse().ok()?;
    Timestamp::from_millisecond(at.as_millisecond()).ok()
}
