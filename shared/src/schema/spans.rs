//! Text redaction: replaces spans of Unicode code points with blocks. Pure.

use serde::{Deserialize, Serialize};

/// Replaces a redacted character.
pub const BLOCK: char = '█';

/// Part of a text, from code point `start` to `end`, exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "(u32, u32)", into = "(u32, u32)")]
pub struct Span {
    pub start: u32,
    pub end: u32,
}

impl From<(u32, u32)> for Span {
    fn from((start, end): (u32, u32)) -> Span {
        Span { start, end }
    }
}

impl From<Span> for (u32, u32) {
    fn from(span: Span) -> (u32, u32) {
        (span.start, span.end)
    }
}

/// Replaces each code point of the spans with a block. Spans may overlap and need no order.
/// The length does not change, so other offsets remain valid. `None` when a span is empty or
/// exceeds the text.
pub fn redact(text: &str, spans: &[Span]) -> Option<String> {
    let length = text.chars().count();
    let fits = |span: &Span| span.start < span.end && span.end as usize <= length;
    if !spans.iter().all(fits) {
        return None;
    }
    let mut spans = spans.to_vec();
    spans.sort_unstable();
    let mut ahead = spans.into_iter().peekable();
    let mut blocked_until = 0;
    let redacted = text.chars().enumerate().map(|(at, char)| {
        while let Some(span) = ahead.next_if(|span| span.start as usize <= at) {
            blocked_until = blocked_until.max(span.end as usize);
        }
        if at < blocked_until { BLOCK } else { char }
    });
    Some(redacted.collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spans(pairs: &[(u32, u32)]) -> Vec<Span> {
        pairs.iter().copied().map(Span::from).collect()
    }

    #[test]
    fn offsets_count_code_points_not_bytes() {
        let redacted = redact("Grüße an 👩‍💻 Ada", &spans(&[(2, 4), (9, 12)]));
        assert_eq!(redacted.as_deref(), Some("Gr██e an ███ Ada"));
    }

    #[test]
    fn spans_may_touch_overlap_and_come_in_any_order() {
        let redacted = redact("0123456789", &spans(&[(6, 8), (1, 4), (3, 6), (2, 3)]));
        assert_eq!(redacted.as_deref(), Some("0███████89"));
        assert_eq!(redact("abc", &[]).as_deref(), Some("abc"));
    }

    #[test]
    fn a_span_that_is_empty_or_beyond_the_text_is_refused() {
        for span in [(1, 1), (2, 1), (0, 4), (3, 4), (0, u32::MAX)] {
            assert_eq!(redact("äöü", &spans(&[span])), None, "{span:?}");
        }
        assert_eq!(redact("", &spans(&[(0, 1)])), None);
    }

    proptest! {
        #[test]
        fn exactly_the_spans_are_blocked(
            text in prop::collection::vec(any::<char>(), 1..40),
            pairs in prop::collection::vec((0_u32..45, 1_u32..20), 0..6),
        ) {
            let text = String::from_iter(text);
            let length = text.chars().count();
            let spans: Vec<_> = pairs
                .into_iter()
                .map(|(start, size)| Span { start, end: start + size })
                .filter(|span| span.end as usize <= length)
                .collect();
            let redacted = redact(&text, &spans).expect("all spans fit");
            prop_assert_eq!(redacted.chars().count(), length);
            for (at, (before, after)) in text.chars().zip(redacted.chars()).enumerate() {
                let blocked = spans
                    .iter()
                    .any(|span| (span.start as usize..span.end as usize).contains(&at));
                prop_assert_eq!(after, if blocked { BLOCK } else { before });
            }
            prop_assert_eq!(redact(&redacted, &spans), Some(redacted));
        }
    }
}
