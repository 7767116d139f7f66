//! The display forms of values.

use jiff::Timestamp;
use maud::{Markup, display, html};

/// A piece of the page as a line of the file. HTML does not allow control characters; they
/// become the replacement character.
pub fn line(piece: Markup) -> String {
    let mut line = piece.into_string();
    line.retain(|c| c != '\r');
    let unreadable = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    line.replace(unreadable, "\u{FFFD}") + "\n"
}

/// A field's display name: `user_id` becomes "User ID".
pub fn label(name: &str) -> String {
    let mut label = String::new();
    for word in name.split('_') {
        let mut letters = word.chars();
        match word {
            "id" | "ip" | "os" | "url" => label.extend(letters.flat_map(char::to_uppercase)),
            _ if label.is_empty() => {
                label.extend(letters.next().into_iter().flat_map(char::to_uppercase));
                label.push_str(letters.as_str());
            }
            _ => label.push_str(word),
        }
        label.push(' ');
    }
    label.trim_end().to_owned()
}

pub fn time(at: Timestamp) -> Markup {
    let seen = at.strftime("%-d %B %Y, %H:%M");
    html! { time datetime=(display(at)) { (display(seen)) } }
}

pub fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

/// A path as a relative URL (RFC 3986): percent-encodes every character that is not
/// unreserved.
pub fn address(path: &str) -> String {
    let mut url = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    url
}
