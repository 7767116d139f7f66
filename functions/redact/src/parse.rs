//! The body of a redaction. Owns its shape; what is named may still not be there.

use serde_json::Value;
use shared::base::error::Result;
use shared::base::id::{AttachmentId, KeyedHash, MessageId, SubjectId};
use shared::domain::redaction::{Cause, Passage, Target, What};
use shared::schema::catalog::{self, Record};
use shared::schema::spans::Span;
use shared::schema::violations::{self, Object, Violations};

/// Targets in one request.
const TARGETS: usize = 1000;
/// Spans in one request, and so in the row of a job.
const SPANS: usize = 2000;

#[derive(Debug)]
pub struct Asked {
    pub cause: Cause,
    pub targets: Vec<Wanted>,
}

/// A target, and whose it is.
#[derive(Debug)]
pub struct Wanted {
    pub subject: SubjectId,
    pub target: Target,
    /// The tenant's own name of a conversation, for the answer alone.
    pub conversation: Option<String>,
}

/// How a tenant's name of a conversation is found.
type Name<'a> = &'a dyn Fn(SubjectId, &str) -> KeyedHash;

/// Reads a body. `by`: who asks.
///
/// # Errors
/// [`shared::base::error::Error::Invalid`] naming every field at fault.
pub fn asked(body: &Value, by: String, name: Name<'_>) -> Result<Asked> {
    let mut violations = Violations::default();
    let Some(fields) = violations.object(body, "", &["subject", "reason", "targets"]) else {
        return Err(violations.into());
    };
    let reason = fields.parsed(
        "reason",
        "must match [A-Za-z0-9._-]{1,64}",
        &mut violations,
        violations::code,
    );
    let everybody = subject(&fields, &mut violations);
    if !fields.has("targets") {
        violations.add("/targets", "required", "is required");
    }
    let mut targets = Vec::new();
    let listed = fields.list("targets", TARGETS, &mut violations);
    for (index, value) in listed.unwrap_or_default().iter().enumerate() {
        targets.extend(wanted(value, index, everybody, &mut violations, name));
    }
    let spans = |wanted: &Wanted| match &wanted.target.what {
        What::Spans(passage) => passage.spans.len(),
        _ => 0,
    };
    if targets.iter().map(spans).sum::<usize>() > SPANS {
        let expected = format!("must have at most {SPANS} spans in total");
        violations.add("/targets", "length", &expected);
    }
    violations.end()?;
    let cause = Cause {
        by,
        reason: reason.map(str::to_owned),
        job: None,
    };
    Ok(Asked { cause, targets })
}

fn subject(fields: &Object<'_>, violations: &mut Violations) -> Option<SubjectId> {
    fields.parsed(
        "subject",
        "must be a subject ID",
        violations,
        SubjectId::parse,
    )
}

/// One target. `None` where it has a fault.
fn wanted(
    value: &Value,
    index: usize,
    everybody: Option<SubjectId>,
    violations: &mut Violations,
    name: Name<'_>,
) -> Option<Wanted> {
    let known = [
        "subject",
        "message",
        "content_hash",
        "spans",
        "attachment",
        "conversation",
    ];
    let at = format!("/targets/{index}");
    let fields = violations.object(value, at.clone(), &known)?;
    let kinds = ["message", "attachment", "conversation"];
    if kinds.iter().filter(|kind| fields.has(kind)).count() != 1 {
        let expected = "must have exactly one of: message, attachment, conversation";
        violations.add(at, "exactly_one", expected);
        return None;
    }
    let own = subject(&fields, violations);
    if own.is_none() && fields.has("subject") {
        return None;
    }
    let Some(subject) = own.or(everybody) else {
        violations.add(fields.pointer("subject"), "required", "is required");
        return None;
    };
    let conversation = fields.text("conversation", violations).and_then(|id| {
        catalog::text(Record::Conversation, "conversation_id", id)
            .map_err(|(code, message)| {
                violations.add(fields.pointer("conversation"), code, &message)
            })
            .ok()
    });
    let what = if fields.has("message") {
        message(&fields, violations)?
    } else {
        for name in ["content_hash", "spans"] {
            if fields.has(name) {
                violations.add(
                    fields.pointer(name),
                    "not_allowed",
                    "is allowed only with message",
                );
            }
        }
        match &conversation {
            Some(id) => What::Conversation(name(subject, id)),
            None if fields.has("conversation") => return None,
            None => What::Attachment(fields.parsed(
                "attachment",
                "must be an attachment ID",
                violations,
                AttachmentId::parse,
            )?),
        }
    };
    Some(Wanted {
        subject,
        target: Target { index, what },
        conversation,
    })
}

/// A message, or a passage of it: spans come with the fingerprint of what they were chosen
/// in, and the other way round.
fn message(fields: &Object<'_>, violations: &mut Violations) -> Option<What> {
    let message = fields.parsed(
        "message",
        "must be a message ID",
        violations,
        MessageId::parse,
    );
    match (fields.has("spans"), fields.has("content_hash")) {
        (false, false) => return message.map(What::Message),
        (true, true) => {}
        (true, false) => {
            violations.add(fields.pointer("content_hash"), "required", "is required");
        }
        (false, true) => violations.add(fields.pointer("spans"), "required", "is required"),
    }
    let expected = "must be the content_hash of a message";
    let content_hash = fields.parsed("content_hash", expected, violations, KeyedHash::parse);
    let listed = fields.list("spans", SPANS, violations)?.iter();
    let spans: Vec<_> = listed
        .enumerate()
        .map(|(at, value)| {
            span(
                value,
                format!("{}/{at}", fields.pointer("spans")),
                violations,
            )
        })
        .collect();
    Some(What::Spans(Passage {
        message: message?,
        content_hash: content_hash?,
        spans: spans.into_iter().collect::<Option<_>>()?,
    }))
}

fn span(value: &Value, at: String, violations: &mut Violations) -> Option<Span> {
    let fields = violations.object(value, at.clone(), &["start", "end"])?;
    let offset = |name| u32::try_from(fields.get(name)?.as_u64()?).ok();
    match (offset("start"), offset("end")) {
        (Some(start), Some(end)) if start < end => Some(Span { start, end }),
        _ => {
            let expected = "must have a start and a greater end, in code points";
            violations.add(at, "range", expected);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use shared::base::error::Error;

    use super::*;

    fn read(body: Value) -> Result<Asked> {
        asked(&body, "key_1".into(), &|_, _| KeyedHash([9; 16]))
    }

    fn violations(body: Value) -> Vec<(String, &'static str)> {
        let Err(Error::Invalid(errors)) = read(body) else {
            panic!("there are violations")
        };
        errors.into_iter().map(|it| (it.pointer, it.code)).collect()
    }

    fn one() -> (String, String) {
        (
            format!("sub_{}", "1".repeat(32)),
            format!("msg_{}", "2".repeat(64)),
        )
    }

    #[test]
    fn a_target_may_name_its_own_subject() {
        let (subject, message) = one();
        let other = format!("sub_{}", "3".repeat(32));
        let asked = read(json!({"subject": subject, "reason": "dsr", "targets": [
            {"message": message},
            {"subject": other, "conversation": "c-1"},
            {"message": message, "content_hash": "4".repeat(32), "spans": [{"start": 0, "end": 2}]},
        ]}))
        .unwrap();
        let subjects: Vec<_> = asked
            .targets
            .iter()
            .map(|it| it.subject.to_string())
            .collect();
        assert_eq!(subjects, [subject.clone(), other, subject]);
        assert_eq!(
            asked.targets[1].target.what,
            What::Conversation(KeyedHash([9; 16]))
        );
        assert!(matches!(&asked.targets[2].target.what, What::Spans(it) if it.spans.len() == 1));
    }

    #[test]
    fn faults_are_named_by_their_place() {
        let (subject, message) = one();
        assert_eq!(violations(json!([])), [("".into(), "type")]);
        assert_eq!(violations(json!({})), [("/targets".into(), "required")]);
        let target = |target: Value| json!({"subject": subject, "targets": [target]});
        let cases = [
            (
                json!({"message": message, "detected": ["email"]}),
                "/targets/0/detected",
                "unknown",
            ),
            (
                json!({"message": message, "attachment": "a"}),
                "/targets/0",
                "exactly_one",
            ),
            (json!({"message": "msg_1"}), "/targets/0/message", "format"),
            (
                json!({"message": message, "spans": []}),
                "/targets/0/content_hash",
                "required",
            ),
            (
                json!({"conversation": "c", "spans": []}),
                "/targets/0/spans",
                "not_allowed",
            ),
            (
                json!({"conversation": 7}),
                "/targets/0/conversation",
                "type",
            ),
            (
                json!({"message": message, "content_hash": "4".repeat(32), "spans": [{"start": 2, "end": 2}]}),
                "/targets/0/spans/0",
                "range",
            ),
        ];
        for (body, pointer, code) in cases {
            assert_eq!(violations(target(body))[0], (pointer.to_owned(), code));
        }
        let nobodys = json!({"targets": [{"message": message}]});
        assert_eq!(
            violations(nobodys),
            [("/targets/0/subject".into(), "required")]
        );
    }
}
