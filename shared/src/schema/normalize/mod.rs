//! The form in which a value is stored, and the form by which it is found. Pure.
//!
//! Values arrive as people paste them and as proxies and SDKs forward them. Only visible
//! characters count: invisible ones are dropped, typographic ones become their plain
//! equivalents, and the Unicode and punycode forms of a domain are equal.

mod phone;

use std::borrow::Cow;
use std::net::IpAddr;

use unicode_normalization::UnicodeNormalization;

use crate::detect::signs::Separator;

pub use phone::phone;

/// The searchable form of a value of a kind (`user_id`, `email`, `phone`). Stored values and
/// lookups are hashed in this form, so a value is found in any notation.
///
/// `None` when a value has no searchable form: it is stored but nobody is found by it.
pub fn found_by(kind: &str, value: &str) -> Option<String> {
    match kind {
        "email" => Some(mailbox(value)),
        "phone" => phone::e164(value),
        _ => Some(visible(value).nfc().collect()),
    }
}

/// An e-mail address in its stored form: as sent, in NFC, without invisible characters. A link
/// scheme (`mailto:`, RFC 6068) or a display name (`Ada <ada@example.com>`) is removed.
///
/// `None` when it is not an address: a local part, one `@`, and a domain.
pub fn email(text: &str) -> Option<String> {
    let text = plain(text);
    let address = match (text.strip_suffix('>'), strip_scheme(&text, "mailto:")) {
        (Some(named), _) => named.rsplit_once('<')?.1,
        (None, Some(link)) => link.split('?').next()?,
        (None, None) => &text,
    };
    let (local, domain) = address.trim().split_once('@')?;
    let odd = |c: char| c.is_whitespace() || "@<>(),;\"\\".contains(c);
    let fits = !local.is_empty() && !local.contains(' ') && !domain.is_empty();
    (fits && !domain.contains(odd)).then(|| format!("{local}@{domain}").nfc().collect())
}

/// An e-mail address in its searchable form: the domain in Unicode (UTS #46, which unifies a
/// name and its punycode), all of it in lower case and NFC. RFC 5321, 2.4 allows a
/// case-sensitive local part; no provider in use has one.
fn mailbox(text: &str) -> String {
    let address = email(text).unwrap_or_else(|| plain(text));
    let Some((local, domain)) = address.rsplit_once('@') else {
        return fold(&address);
    };
    let domain = match idna::domain_to_unicode(domain) {
        (unicode, Ok(())) => visible(&unicode),
        (_, Err(_)) => domain.to_owned(),
    };
    // Any domain may end with the root's dot (RFC 1034, 3.1).
    format!("{}@{}", fold(local), fold(domain.trim_end_matches('.')))
}

/// Lower case, letter by letter, in NFC. A final sigma becomes a sigma.
fn fold(text: &str) -> String {
    let lower = text.nfc().flat_map(char::to_lowercase);
    lower
        .map(|c| if c == 'ς' { 'σ' } else { c })
        .nfc()
        .collect()
}

/// A client address as proxies report it: with a port, in brackets, with a zone (RFC 4007), or
/// first in an `X-Forwarded-For` list.
pub fn address(text: &str) -> Option<IpAddr> {
    let text = plain(text);
    let mut list = text.split(',').map(|it| it.trim_matches([' ', '"']));
    let first = list.find(|it| !it.is_empty())?;
    let host = match first.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']')?.0,
        None => first,
    };
    let parse = |host: &str| host.split('%').next()?.parse::<IpAddr>().ok();
    let without_port = || {
        let (host, port) = host.rsplit_once(':')?;
        port.parse::<u16>().ok().and_then(|_| parse(host))
    };
    let address = parse(host).or_else(without_port)?;
    Some(address.to_canonical())
}

/// A text on one line: line breaks and other control characters become a blank.
pub fn one_line(text: &str) -> Cow<'_, str> {
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    if !text.contains(breaks) {
        return Cow::Borrowed(text);
    }
    let parts = text.split(breaks).map(str::trim);
    let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
    Cow::Owned(parts.join(" "))
}

/// Whether a text has no visible character.
pub fn blank(text: &str) -> bool {
    text.chars().all(|c| c.is_whitespace() || invisible(c))
}

/// A text without invisible characters, and without blanks at its ends.
fn visible(text: &str) -> String {
    let seen: String = text.chars().filter(|c| !invisible(*c)).collect();
    seen.trim_matches(space).to_owned()
}

/// The visible text of a machine-readable value: any blank or control character becomes a
/// space, and full-width East Asian forms become ASCII.
fn plain(text: &str) -> String {
    let plain = |c: char| match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        c if space(c) => ' ',
        c => c,
    };
    visible(text).chars().map(plain).collect()
}

fn space(c: char) -> bool {
    c.is_control() || Separator::of(c).is_some_and(Separator::is_space)
}

/// Soft hyphens, directional marks, joiners and similar characters.
fn invisible(c: char) -> bool {
    !c.is_control() && Separator::of(c) == Some(Separator::Invisible)
}

/// The text after a URI scheme, matched in any case.
fn strip_scheme<'a>(text: &'a str, scheme: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(scheme.len())?;
    start.eq_ignore_ascii_case(scheme).then_some(rest)
}

#[cfg(test)]
mod tests;
