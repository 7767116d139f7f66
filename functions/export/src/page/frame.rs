//! What stands around the records: who the person is, when it all goes, how it is used.

use jiff::Timestamp;
use serde_json::{Map, Value};
use shared::domain::records::content::{Consent, Withdrawal, values};

use super::Facts;
use super::text::{escape, label, push, time};
use crate::processing::RECIPIENTS;
use crate::request::Kind;

const STYLE: &str = include_str!("style.css");

pub fn top(facts: &Facts<'_>) -> String {
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
    let more = match facts.kind {
        Kind::Access => "<a href=\"#processing\">Use</a>",
        Kind::Portability => "",
    };
    let head = head(title);
    format!(
        "{head}<p>{right}, created on {}. Times are in UTC.</p>\n\
         <nav><a href=\"#person\">You</a><a href=\"#when\">Deletion</a>\
         <a href=\"#messages\">Conversations</a><a href=\"#files\">Files</a>{more}</nav></header>\n",
        time(facts.made_at)
    )
}

/// How a page begins, up to its title.
fn head(title: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n<meta name=\"robots\" content=\"noindex\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <header><h1>{title}</h1>"
    )
}

/// The beginning of a page that takes what would be too much for one.
pub fn more(number: usize) -> String {
    let head = head(&format!("Your personal data, part {number}"));
    format!(
        "{head}<p>Times are in UTC.</p>\n<nav><a href=\"index.html\">Back to the first page</a></nav></header>\n"
    )
}

/// Where those pages are.
pub fn earlier(pages: &[String]) -> String {
    let links: Vec<_> = (1..)
        .zip(pages)
        .map(|(number, name)| format!("<a href=\"{name}\">part {number}</a>"))
        .collect();
    match links.is_empty() {
        true => String::new(),
        false => format!(
            "<section id=\"more\"><h2>More pages</h2>\n<p>This copy continues on more pages: {}.</p>\n</section>\n",
            links.join(", ")
        ),
    }
}

pub fn person(facts: &Facts<'_>) -> String {
    let profile = facts.profile;
    let mut list = String::new();
    for fields in [
        &profile.person.identity,
        &profile.person.contact,
        &profile.person.custom,
    ] {
        if let Value::Object(fields) = values(fields) {
            describe(&mut list, &fields);
        }
    }
    let mut html = "<section id=\"person\"><h2>You</h2>\n".to_owned();
    if list.is_empty() {
        html.push_str("<p class=\"soft\">No name or contact details are stored.</p>\n");
    } else {
        push(&mut html, format_args!("<dl>\n{list}</dl>\n"));
    }
    if facts.kind == Kind::Access {
        for (title, fields) in [
            ("Your last visit", &profile.network),
            ("Your device", &profile.device),
        ] {
            if !fields.is_empty() {
                push(&mut html, format_args!("<h3>{title}</h3>\n<dl>\n"));
                describe(&mut html, fields);
                html.push_str("</dl>\n");
            }
        }
        if let Some(consent) = &profile.person.consent {
            html.push_str(&basis("Legal basis", &consent.value, None));
        }
        for Withdrawal {
            consent,
            withdrawn_at,
        } in &profile.person.withdrawn
        {
            html.push_str(&basis(
                "Withdrawn consent",
                &consent.value,
                Some(*withdrawn_at),
            ));
        }
    }
    html.push_str("</section>\n");
    html
}

fn basis(title: &str, consent: &Consent, until: Option<Timestamp>) -> String {
    let mut html = format!("<h3>{title}</h3>\n<dl>\n");
    if let Ok(Value::Object(mut fields)) = serde_json::to_value(consent) {
        fields.remove("at");
        describe(&mut html, &fields);
    }
    for (name, at) in [("Since", consent.at), ("Until", until)] {
        if let Some(at) = at {
            push(
                &mut html,
                format_args!("<dt>{name}</dt><dd>{}</dd>\n", time(at)),
            );
        }
    }
    html.push_str("</dl>\n");
    html
}

fn describe(html: &mut String, fields: &Map<String, Value>) {
    for (name, value) in fields {
        let value = match value {
            Value::String(text) => text.clone(),
            Value::Bool(true) => "yes".to_owned(),
            Value::Bool(false) => "no".to_owned(),
            other => other.to_string(),
        };
        push(
            html,
            format_args!(
                "<dt><bdi>{}</bdi></dt><dd><bdi>{}</bdi></dd>\n",
                label(name),
                escape(&value)
            ),
        );
    }
}

pub fn when(facts: &Facts<'_>) -> String {
    let door = &facts.profile.door;
    let end = match door.expires_at {
        Some(at) => format!(
            "<p>This data is deleted on <strong>{}</strong>, unless you use the service again before then. You can \
             ask for earlier deletion.</p>",
            time(at)
        ),
        None => "<p>Deletion is currently on hold.</p>".to_owned(),
    };
    format!(
        "<section id=\"when\" class=\"when\"><h2>Deletion</h2>\n{end}\n<p class=\"soft\">Stored since {}. You were \
         last seen on {}.</p>\n</section>\n",
        time(door.created_at),
        time(door.last_seen)
    )
}

pub fn processing(facts: &Facts<'_>) -> String {
    if facts.processing.is_empty() {
        return String::new();
    }
    let mut html =
        "<section id=\"processing\"><h2>How your data is used</h2>\n<div class=\"scroll\"><table><thead><tr>\
        <th>Data</th><th>Purpose</th><th>Source</th><th>Retention</th></tr></thead><tbody>\n"
            .to_owned();
    for it in facts.processing {
        let fields: Vec<_> = it.fields.iter().map(|name| label(name)).collect();
        push(
            &mut html,
            format_args!(
                "<tr><td><strong>{}</strong><br><span class=\"soft\">{}</span></td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                label(it.category),
                fields.join(", "),
                escape(it.purpose),
                escape(&it.sources.join("; ")),
                escape(&it.retention)
            ),
        );
    }
    push(
        &mut html,
        format_args!(
            "</tbody></table></div>\n<h3>Recipients</h3>\n<p>{}</p>\n<h3>Your rights</h3>\n\
             <p>You have the right to have your data corrected or erased, to restrict its use, to object to it, and to \
             receive the data you provided. To do so, contact the company whose service you used. You can also \
             complain to a data protection authority. Lethe makes no automated decisions about you.</p>\n</section>\n",
            escape(RECIPIENTS)
        ),
    );
    html
}

/// How a page ends.
pub const END: &str = "</main>\n</body>\n</html>\n";

pub fn bottom(facts: &Facts<'_>) -> String {
    let mut html = String::new();
    if !facts.left_out.is_empty() {
        html.push_str("<section id=\"left-out\"><h2>Not included in this copy</h2>\n<dl>\n");
        for it in facts.left_out {
            let text = |name: &str| escape(it[name].as_str().unwrap_or_default());
            let what = match it["count"].as_u64() {
                Some(count) if count > 1 => format!("{} ({count})", text("what")),
                _ => text("what"),
            };
            push(
                &mut html,
                format_args!("<dt>{what}</dt><dd>{}</dd>\n", text("why")),
            );
        }
        html.push_str("</dl>\n</section>\n");
    }
    html.push_str(
        "<footer>The same data in machine-readable form: <a href=\"subject.json\">subject.json</a> and the .jsonl and \
         .csv files. <a href=\"manifest.json\">manifest.json</a> lists every file with its SHA-256 checksum.</footer>\n",
    );
    html.push_str(END);
    html
}
