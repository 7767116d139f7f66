//! Event patterns: the part of Lambda's event filtering that the template uses.
//!
//! Owns which stream records a trigger gets. A pattern with unsupported conditions is refused
//! when the template is read, so that a filter never matches more here than in AWS.

use serde_json::Value;

/// A parsed `FilterCriteria` pattern.
#[derive(Clone, Debug, PartialEq)]
pub enum Pattern {
    /// Every named field must match.
    All(Vec<(String, Pattern)>),
    /// At least one rule must match.
    Any(Vec<Rule>),
}

/// One condition on one value.
#[derive(Clone, Debug, PartialEq)]
pub enum Rule {
    Exactly(Value),
    Prefix(String),
}

impl Pattern {
    /// # Errors
    /// The unsupported condition, in a few words.
    pub fn parse(text: &str) -> Result<Pattern, String> {
        let value: Value =
            serde_json::from_str(text).map_err(|e| format!("pattern is not JSON: {e}"))?;
        match value {
            Value::Object(_) => Pattern::read(&value),
            _ => Err("pattern must be a JSON object".to_owned()),
        }
    }

    fn read(value: &Value) -> Result<Pattern, String> {
        match value {
            Value::Object(fields) if !fields.is_empty() => fields
                .iter()
                .map(|(name, value)| Ok((name.clone(), Pattern::read(value)?)))
                .collect::<Result<_, String>>()
                .map(Pattern::All),
            Value::Array(rules) if !rules.is_empty() => rules
                .iter()
                .map(Rule::read)
                .collect::<Result<_, _>>()
                .map(Pattern::Any),
            _ => Err(format!(
                "pattern has {value} where an object or a list must stand"
            )),
        }
    }

    pub fn matches(&self, event: &Value) -> bool {
        match self {
            Pattern::All(fields) => fields.iter().all(|(name, pattern)| match event.get(name) {
                Some(value) => pattern.matches(value),
                None => false,
            }),
            Pattern::Any(rules) => rules.iter().any(|rule| rule.matches(event)),
        }
    }
}

impl Rule {
    fn read(value: &Value) -> Result<Rule, String> {
        match value {
            Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null => {
                Ok(Rule::Exactly(value.clone()))
            }
            Value::Object(operator) => match operator.iter().next() {
                Some((name, Value::String(prefix))) if name == "prefix" && operator.len() == 1 => {
                    Ok(Rule::Prefix(prefix.clone()))
                }
                _ => Err(format!(
                    "pattern operator is not understood by the local run: {value}"
                )),
            },
            Value::Array(_) => Err("pattern has a list in a list".to_owned()),
        }
    }

    fn matches(&self, value: &Value) -> bool {
        match self {
            Rule::Exactly(wanted) => value == wanted,
            Rule::Prefix(prefix) => value.as_str().is_some_and(|text| text.starts_with(prefix)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_fields_and_any_rule_must_match() {
        let text = r#"{"eventName":["INSERT"],"dynamodb":{"Keys":{"SK":{"S":["door",{"prefix":"turn#a#"}]}}}}"#;
        let pattern = Pattern::parse(text).unwrap();
        let record = |event: &str, key: &str| json!({"eventName": event, "dynamodb": {"Keys": {"SK": {"S": key}}}});
        assert!(pattern.matches(&record("INSERT", "turn#a#1")));
        assert!(pattern.matches(&record("INSERT", "door")));
        assert!(!pattern.matches(&record("INSERT", "doors")));
        assert!(!pattern.matches(&record("REMOVE", "door")));
        assert!(!pattern.matches(&json!({"eventName": "INSERT"})));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let bad = [
            "[]",
            "{",
            r#"{"a":"b"}"#,
            r#"{"a":[]}"#,
            r#"{"a":[{"suffix":"x"}]}"#,
            r#"{"a":[["x"]]}"#,
            "{}",
        ];
        for text in bad {
            assert!(Pattern::parse(text).is_err(), "{text}");
        }
    }
}
