//! Values as HTML shows them. Everything that comes from a person passes `escape`.

use std::fmt::Write as _;

use jiff::Timestamp;

/// Writing to a `String` cannot fail.
pub fn push(html: &mut String, text: std::fmt::Arguments<'_>) {
    html.write_fmt(text)
        .expect("a String takes all that is written");
}

/// A field's name as people write it: `user_id` is "User ID". Custom names are the
/// tenant's, and so escaped like any other text.
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
    escape(label.trim_end())
}

pub fn time(at: Timestamp) -> String {
    let seen = at.strftime("%-d %B %Y, %H:%M");
    format!("<time datetime=\"{at}\">{seen}</time>")
}

pub fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

/// Text within an element or a double-quoted attribute. Control characters have no place in
/// HTML and are shown as what they are: something unreadable.
pub fn escape(text: &str) -> String {
    let mut html = String::with_capacity(text.len() + text.len() / 8);
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            '\n' | '\t' => html.push(c),
            '\r' => {}
            c if c.is_control() => html.push('\u{FFFD}'),
            c => html.push(c),
        }
    }
    html
}

/// A path as a relative URL (RFC 3986): whatever is not unreserved is percent-encoded.
pub fn address(path: &str) -> String {
    let mut url = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            url.push(char::from(byte));
        } else {
            push(&mut url, format_args!("%{byte:02X}"));
        }
    }
    url
}
