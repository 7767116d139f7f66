//! Parses the body of `POST /v1/exports`. Looks nobody up.

use serde_json::Value;
use shared::base::error::Result;
use shared::base::id::SubjectId;
use shared::domain::export::Kind;
use shared::schema::violations::{self, Object, Violations};

/// Whose data.
#[derive(Debug, PartialEq, Eq)]
pub enum Named {
    Subject(SubjectId),
    /// A searchable field of the catalog, and its value.
    Lookup(&'static str, String),
}

#[derive(Debug, PartialEq, Eq)]
pub struct Wanted {
    pub whom: Named,
    pub kind: Kind,
    pub include_agents: bool,
}

impl Wanted {
    /// # Errors
    /// [`Error::Invalid`](shared::base::error::Error::Invalid) with every invalid field.
    pub fn parse(body: &Value) -> Result<Wanted> {
        let mut violations = Violations::default();
        let known = ["subject", "lookup", "kind", "include_agents"];
        let Some(body) = violations.object(body, "", &known) else {
            return Err(violations.into());
        };
        let kind = body.parsed(
            "kind",
            "must be access or portability",
            &mut violations,
            Kind::parse,
        );
        let include_agents = body.flag("include_agents", &mut violations);
        let whom = whom(&body, &mut violations);
        let whom = violations.unless_any(whom)?;
        Ok(Wanted {
            whom,
            kind: kind.unwrap_or(Kind::Access),
            include_agents,
        })
    }
}

fn whom(body: &Object<'_>, violations: &mut Violations) -> Option<Named> {
    if body.has("subject") == body.has("lookup") {
        violations.add(
            "",
            "exactly_one",
            "must have exactly one of: subject, lookup",
        );
        return None;
    }
    match body.get("lookup") {
        Some(lookup) => violations::lookup(lookup, "/lookup", violations)
            .map(|(kind, value)| Named::Lookup(kind, value)),
        None => body
            .parsed(
                "subject",
                "must be a subject ID",
                violations,
                SubjectId::parse,
            )
            .map(Named::Subject),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use shared::base::error::Error;

    fn parse(body: Value) -> Result<Wanted, Vec<String>> {
        Wanted::parse(&body).map_err(|error| match error {
            Error::Invalid(violations) => violations.into_iter().map(|it| it.pointer).collect(),
            other => panic!("{other}"),
        })
    }

    #[test]
    fn one_person_is_named_in_one_way() {
        let subject = "sub_00112233445566778899aabbccddeeff";
        let wanted = parse(json!({"subject": subject})).unwrap();
        assert_eq!(
            wanted.whom,
            Named::Subject(SubjectId::parse(subject).unwrap())
        );
        assert_eq!((wanted.kind, wanted.include_agents), (Kind::Access, false));
        let wanted = parse(json!({"lookup": {"email": " a@b.example"}, "kind": "portability"}));
        let by_email = Named::Lookup("email", "a@b.example".into());
        assert_eq!(wanted.unwrap().whom, by_email);

        for body in [
            json!({}),
            json!({"subject": subject, "lookup": {"email": "a@b"}}),
        ] {
            assert_eq!(parse(body).unwrap_err(), [""]);
        }
        assert_eq!(parse(json!({"lookup": {}})).unwrap_err(), ["/lookup"]);
        assert_eq!(
            parse(json!({"lookup": {"name": "Ada"}})).unwrap_err(),
            ["/lookup/name", "/lookup"]
        );
        assert_eq!(parse(json!([])).unwrap_err(), [""]);
        assert_eq!(
            parse(json!({"subject": "sub_x"})).unwrap_err(),
            ["/subject"]
        );
    }

    #[test]
    fn every_field_at_fault_is_named() {
        let violations = parse(json!({"tenant": true, "kind": "all", "include_agents": 1}));
        let mut violations = violations.unwrap_err();
        violations.sort();
        assert_eq!(violations, ["", "/include_agents", "/kind", "/tenant"]);
    }
}
