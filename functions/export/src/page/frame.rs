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
            "What is kept about you",
            "Your copy under Article 15 of the GDPR",
        ),
        Kind::Portability => (
            "Your data, to take with you",
            "Your copy under Article 20 of the GDPR",
        ),
    };
    let more = match facts.kind {
        Kind::Access => "<a href=\"#processing\">How it is used</a>",
        Kind::Portability => "",
    };
    let head = head(title);
    format!(
        "{head}<p>{right}, made on {}. Times are in UTC.</p>\n\
         <nav><a href=\"#person\">You</a><a href=\"#when\">When it goes</a>\
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
    let head = head(&format!("More of what is kept about you, part {number}"));
    format!(
        "{head}<p>Times are in UTC.</p>\n<nav><a href=\"index.html\">To the first page</a></nav></header>\n"
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
            "<section id=\"more\"><h2>More pages</h2>\n<p>This is too much for one page. The rest: {}.</p>\n</section>\n",
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
        html.push_str("<p class=\"soft\">Neither a name nor a way to reach you is kept.</p>\n");
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
            html.push_str(&basis("On what legal basis", &consent.value, None));
        }
        for Withdrawal {
            consent,
            withdrawn_at,
        } in &profile.person.withdrawn
        {
            html.push_str(&basis("Withdrawn", &consent.value, Some(*withdrawn_at)));
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
            "<p>All of this is deleted on <strong>{}</strong>, unless you come back before. It goes sooner when \
             you ask for it.</p>",
            time(at)
        ),
        None => "<p>The date of deletion is on hold for the time being.</p>".to_owned(),
    };
    format!(
        "<section id=\"when\" class=\"when\"><h2>When it goes</h2>\n{end}\n<p class=\"soft\">Kept since {}. You were \
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
        "<section id=\"processing\"><h2>How it is used</h2>\n<div class=\"scroll\"><table><thead><tr>\
        <th>What</th><th>Why</th><th>Where it comes from</th><th>How long</th></tr></thead><tbody>\n"
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
            "</tbody></table></div>\n<h3>Who receives it</h3>\n<p>{}</p>\n<h3>Your rights</h3>\n\
             <p>You may have it corrected or erased, have its use restricted, object to it, and take with you what you \
             gave. Ask the company whose service you used. You may also complain to a data protection authority. \
             Lethe makes no automated decisions about you.</p>\n</section>\n",
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
        html.push_str("<section id=\"left-out\"><h2>What is not in this copy</h2>\n<dl>\n");
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
        "<footer>The same data for machines: <a href=\"subject.json\">subject.json</a> and the .jsonl and .csv files \
         beside it. <a href=\"manifest.json\">manifest.json</a> lists every file with its SHA-256.</footer>\n",
    );
    html.push_str(END);
    html
}
