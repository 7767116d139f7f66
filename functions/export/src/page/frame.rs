//! The sections around the records: the person, the expiry, how the data is processed.

use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, display, html};
use serde_json::{Map, Value};
use shared::domain::export::Kind;
use shared::domain::records::content::{Consent, Withdrawal, values};

use super::Facts;
use super::text::{label, time};
use crate::processing::RECIPIENTS;

const STYLE: &str = include_str!("style.css");

/// The sections of `index.html` before the records.
pub fn before(facts: &Facts<'_>, pages: &[String]) -> Markup {
    html! { (top(facts)) (person(facts)) (when(facts)) (earlier(pages)) }
}

/// The sections after the records.
pub fn after(facts: &Facts<'_>) -> Markup {
    html! { (processing(facts)) (bottom(facts)) }
}

fn top(facts: &Facts<'_>) -> Markup {
    let (title, right) = match facts.kind {
        Kind::Access => (
            "Your personal data",
            "Your copy under Article 15 of the GDPR",
        ),
        Kind::Portability => (
            "Your data in portable form",
            "Your copy under Article 20 of the GDPR",
        ),
    };
    let intro = html! {
        p { (right) ", created on " (time(facts.made_at)) ". Times are in UTC." }
        nav {
            a href="#person" { "You" }
            a href="#when" { "Deletion" }
            a href="#messages" { "Conversations" }
            a href="#files" { "Files" }
            @if facts.kind == Kind::Access { a href="#processing" { "Use" } }
        }
    };
    begin(title, &intro)
}

/// The beginning of a continuation page.
pub fn more(number: usize) -> Markup {
    let intro = html! {
        p { "Times are in UTC." }
        nav { a href="index.html" { "Back to the first page" } }
    };
    begin(&format!("Your personal data, part {number}"), &intro)
}

/// The beginning of a page. Leaves elements open for the records that follow; [`END`] closes
/// them.
fn begin(title: &str, intro: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        (PreEscaped("<html lang=\"en\">"))
        head {
            meta charset="utf-8";
            meta http-equiv="Content-Security-Policy" content="default-src 'none'; \
                style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="referrer" content="no-referrer";
            meta name="robots" content="noindex";
            title { (title) }
            style { (PreEscaped(STYLE)) }
        }
        (PreEscaped("<body><main>"))
        header { h1 { (title) } (intro) }
    }
}

/// The end of a page.
pub const END: &str = "</main></body></html>\n";

/// Links to the pages that were written earlier.
fn earlier(pages: &[String]) -> Markup {
    html! {
        @if !pages.is_empty() {
            section #more {
                h2 { "More pages" }
                p {
                    "This copy continues on more pages: "
                    @for (index, name) in pages.iter().enumerate() {
                        @if index > 0 { ", " }
                        a href=(name) { "part " (index + 1) }
                    }
                    "."
                }
            }
        }
    }
}

fn person(facts: &Facts<'_>) -> Markup {
    let (profile, person) = (facts.profile, &facts.profile.person);
    let known = html! {
        @for fields in [&person.identity, &person.contact, &person.custom] {
            (describe(&values(fields)))
        }
    };
    html! {
        section #person {
            h2 { "You" }
            @if known.0.is_empty() {
                p.soft { "No name or contact details are stored." }
            } @else {
                dl { (known) }
            }
            @if facts.kind == Kind::Access {
                @for (title, fields) in [
                    ("Your last visit", &profile.network),
                    ("Your device", &profile.device),
                ] {
                    @if !fields.is_empty() { h3 { (title) } dl { (describe(fields)) } }
                }
                @if let Some(consent) = &person.consent {
                    (basis("Legal basis", &consent.value, None))
                }
                @for Withdrawal { consent, withdrawn_at } in &person.withdrawn {
                    (basis("Withdrawn consent", &consent.value, Some(*withdrawn_at)))
                }
            }
        }
    }
}

fn basis(title: &str, consent: &Consent, until: Option<Timestamp>) -> Markup {
    // The time of consent is shown separately below.
    let consent_alone = Consent {
        at: None,
        ..consent.clone()
    };
    let fields = serde_json::to_value(consent_alone).unwrap_or_default();
    html! {
        h3 { (title) }
        dl {
            @if let Value::Object(fields) = &fields { (describe(fields)) }
            @for (name, at) in [("Since", consent.at), ("Until", until)] {
                @if let Some(at) = at { dt { (name) } dd { (time(at)) } }
            }
        }
    }
}

fn describe(fields: &Map<String, Value>) -> Markup {
    html! {
        @for (name, value) in fields {
            dt { bdi { (label(name)) } }
            dd {
                bdi {
                    @match value {
                        Value::String(text) => (text),
                        Value::Bool(true) => "yes",
                        Value::Bool(false) => "no",
                        other => (display(other)),
                    }
                }
            }
        }
    }
}

fn when(facts: &Facts<'_>) -> Markup {
    let door = &facts.profile.door;
    html! {
        section.when #when {
            h2 { "Deletion" }
            @match door.expires_at {
                Some(at) => p {
                    "This data is deleted on " strong { (time(at)) } ", unless you use the \
                    service again before then. You can ask for earlier deletion."
                },
                None => p { "Deletion is currently on hold." },
            }
            p.soft {
                "Stored since " (time(door.created_at)) ". You were last seen on "
                (time(door.last_seen)) "."
            }
        }
    }
}

fn processing(facts: &Facts<'_>) -> Markup {
    if facts.processing.is_empty() {
        return html! {};
    }
    html! {
        section #processing {
            h2 { "How your data is used" }
            div.scroll {
                table {
                    thead { tr { th { "Data" } th { "Purpose" } th { "Source" } th { "Retention" } } }
                    tbody {
                        @for it in facts.processing {
                            @let fields: Vec<_> = it.fields.iter().map(|name| label(name)).collect();
                            tr {
                                td {
                                    strong { (label(it.category)) }
                                    br;
                                    span.soft { (fields.join(", ")) }
                                }
                                td { (it.purpose) }
                                td { (it.sources.join("; ")) }
                                td { (it.retention) }
                            }
                        }
                    }
                }
            }
            h3 { "Recipients" }
            p { (RECIPIENTS) }
            h3 { "Your rights" }
            p {
                "You have the right to have your data corrected or erased, to restrict its use, to \
                object to it, and to receive the data you provided. To do so, contact the company \
                whose service you used. You can also complain to a data protection authority. \
                Lethe makes no automated decisions about you."
            }
        }
    }
}

fn bottom(facts: &Facts<'_>) -> Markup {
    html! {
        @if !facts.left_out.is_empty() {
            section #left-out {
                h2 { "Not included in this copy" }
                dl {
                    @for it in facts.left_out {
                        dt {
                            (it["what"].as_str().unwrap_or_default())
                            @if let Some(count @ 2..) = it["count"].as_u64() { " (" (count) ")" }
                        }
                        dd { (it["why"].as_str().unwrap_or_default()) }
                    }
                }
            }
        }
        footer {
            "The same data in machine-readable form: " a href="subject.json" { "subject.json" }
            " and the .jsonl and .csv files. " a href="manifest.json" { "manifest.json" }
            " lists every file with its SHA-256 checksum."
        }
    }
}
