//! What the body of `POST /v1/erasures` asks for.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use shared::base::error::Result;
use shared::base::id::SubjectId;
use shared::domain::app::App;
use shared::domain::erasure::offboarding::GRACE;
use shared::http::Call;
use shared::schema::catalog::{self, Record};
use shared::schema::violations::{self, Object, Violations};

use super::{Erase, Whom, people};

/// People in one request.
pub const PEOPLE: usize = 5000;
/// How far ahead the erasure of a tenant may be asked for.
const FURTHEST: SignedDuration = SignedDuration::from_hours(24 * 30);

pub(super) async fn parse(app: &App, call: &Call) -> Result<Erase> {
    let known = [
        "subjects",
        "visitors",
        "lookup",
        "all",
        "tenant",
        "confirm",
        "not_before",
        "suppress",
        "reason",
        "reference",
        "dry_run",
    ];
    let mut violations = Violations::default();
    let Some(body) = violations.object(call.body(), "", &known) else {
        return Err(violations.into());
    };
    let mut code = |name| {
        let expected = "must match [A-Za-z0-9._-]{1,64}";
        let code = body.parsed(name, expected, &mut violations, violations::code);
        code.map(str::to_owned)
    };
    let (reason, reference) = (code("reason"), code("reference"));
    let mut flag = |name| body.flag(name, &mut violations);
    let (all, tenant) = (flag("all"), flag("tenant"));
    let (suppress, dry_run) = (flag("suppress"), flag("dry_run"));
    let named = ["subjects", "visitors", "lookup"];
    let given = named.iter().filter(|name| body.has(name)).count() + usize::from(tenant);
    if given != 1 {
        let expected = "must have exactly one of: subjects, visitors, lookup, tenant";
        violations.add("", "exactly_one", expected);
    }
    if all && !body.has("lookup") {
        violations.add("/all", "not_allowed", "is allowed only with lookup");
    }
    if suppress && tenant {
        violations.add("/suppress", "not_allowed", "is not allowed with tenant");
    }
    let not_before = not_before(app, call, &body, tenant, &mut violations);
    let lookup = body
        .get("lookup")
        .and_then(|it| violations::lookup(it, "/lookup", &mut violations));
    let keys = app.keyring.tenant(call.tenant()).await?;
    let name = |visitor: &str| {
        let visitor = catalog::text(Record::Person, "visitor_id", visitor).ok()?;
        Some(keys.hash.subject(&visitor))
    };
    let mut people = listed(&body, "subjects", SubjectId::parse, &mut violations);
    people.extend(listed(&body, "visitors", name, &mut violations));
    violations.end()?;
    if let Some((kind, value)) = lookup {
        people = people::found(app, call.tenant(), kind, &value, all).await?;
    }
    let whom = match tenant {
        true => Whom::Tenant(not_before),
        false => Whom::People(people),
    };
    Ok(Erase {
        whom,
        suppress,
        reason,
        reference,
        dry_run,
    })
}

/// People in a list of the body.
fn listed(
    body: &Object<'_>,
    name: &str,
    parse: impl Fn(&str) -> Option<SubjectId>,
    violations: &mut Violations,
) -> Vec<SubjectId> {
    let list = body.list(name, PEOPLE, violations).unwrap_or_default();
    let mut people = Vec::new();
    for (at, value) in list.iter().enumerate() {
        match value.as_str().and_then(&parse) {
            Some(subject) => people.push(subject),
            None => violations.add(format!("/{name}/{at}"), "format", "must be a valid ID"),
        }
    }
    people
}

/// When the erasure of a tenant begins: a day ahead unless said.
fn not_before(
    app: &App,
    call: &Call,
    body: &Object<'_>,
    tenant: bool,
    violations: &mut Violations,
) -> Timestamp {
    let now = app.clock.now();
    let confirmed = body.text("confirm", violations) == Some(&call.tenant().to_string());
    let dry = body.get("dry_run") == Some(&json!(true));
    if tenant && !confirmed && !dry {
        violations.add("/confirm", "confirm", "must be the tenant's own ID");
    }
    let expected = "must be an RFC 3339 timestamp within the next 30 days";
    let parse = |text: &str| {
        let at: Timestamp = text.parse().ok()?;
        (at >= now && at <= now + FURTHEST).then_some(at)
    };
    let at = body.parsed("not_before", expected, violations, parse);
    for name in ["confirm", "not_before"] {
        if body.has(name) && !tenant {
            violations.add(
                format!("/{name}"),
                "not_allowed",
                "is allowed only with tenant",
            );
        }
    }
    at.unwrap_or(now + GRACE)
}
