//! The console's page: one answer that loads nothing from anywhere, and a policy under
//! which nothing else could run in it. Knows the page's files, not what they do.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use shared::http::Answer;

const MARKUP: &str = include_str!("page/index.html");
const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = concat!(
    include_str!("page/dom.js"),
    include_str!("page/api.js"),
    include_str!("page/people.js"),
    include_str!("page/person.js"),
    include_str!("page/records.js"),
    include_str!("page/erase.js"),
    include_str!("page/main.js"),
);

static PAGE: LazyLock<String> = LazyLock::new(|| {
    MARKUP
        .replacen("/*style*/", STYLE, 1)
        .replacen("/*script*/", SCRIPT, 1)
});

/// Content Security Policy Level 3: only this very script and this very style.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; connect-src 'self'; \
         img-src data:; form-action 'none'; frame-ancestors 'none'; base-uri 'none'",
        source_hash(SCRIPT),
        source_hash(STYLE)
    )
});

fn source_hash(text: &str) -> String {
    format!(
        "sha256-{}",
        STANDARD.encode(digest(&SHA256, text.as_bytes()))
    )
}

/// The page.
pub fn answer() -> Answer {
    Answer::text("text/html; charset=utf-8", PAGE.as_str())
        .header("content-security-policy", POLICY.as_str())
        .header("cross-origin-opener-policy", "same-origin")
        .header("referrer-policy", "no-referrer")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a browser hashes: the text between an element's tags.
    fn inside<'a>(page: &'a str, open: &str, close: &str) -> &'a str {
        let (_, rest) = page.split_once(open).unwrap();
        rest.split_once(close).unwrap().0
    }

    #[test]
    fn policy_admits_what_the_page_holds() {
        let script = inside(&PAGE, "<script type=\"module\">", "</script>");
        let style = inside(&PAGE, "<style>", "</style>");
        assert!(POLICY.contains(&source_hash(script)));
        assert!(POLICY.contains(&source_hash(style)));
    }

    #[test]
    fn page_loads_nothing_and_makes_no_markup_from_data() {
        for forbidden in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "localStorage",
            "style=\"",
            "onclick=\"",
            "<script src",
            "@import",
        ] {
            assert!(!PAGE.contains(forbidden), "{forbidden}");
        }
    }
}
