//! Telephone numbers in any notation, and their canonical form (ITU-T E.164).

use super::{plain, strip_scheme};
use crate::detect::signs::{Separator, digit};

/// URI schemes of telephone links (RFC 3966 and similar).
const SCHEMES: [&str; 4] = ["tel:", "sms:", "callto:", "whatsapp:"];

/// Words before an extension, longer ones first.
const EXTENSION: [&str; 10] = [
    "extension",
    "extensión",
    "extn",
    "ext",
    "anexo",
    "int",
    "доб",
    "x",
    "×",
    "#",
];

/// Country codes of one and two digits (ITU-T E.164, annex to the Operational Bulletin). All
/// others have three.
const SHORT_CODES: [&str; 46] = [
    "1", "7", "20", "27", "30", "31", "32", "33", "34", "36", "39", "40", "41", "43", "44", "45",
    "46", "47", "48", "49", "51", "52", "53", "54", "55", "56", "57", "58", "60", "61", "62", "63",
    "64", "65", "66", "81", "82", "84", "86", "90", "91", "92", "93", "94", "95", "98",
];

/// Countries whose national numbers may begin with a zero: Italy, San Marino, Côte d'Ivoire,
/// Burkina Faso, Benin and the Congo. Elsewhere a zero after the country code is the trunk
/// prefix.
const ZERO_STAYS: [&str; 6] = ["39", "378", "225", "226", "229", "242"];

/// A parsed number.
struct Phone {
    /// In the stored form.
    text: String,
    /// In E.164 form, if it is international.
    e164: Option<String>,
}

/// A telephone number in its stored form: as sent, in plain digits and separators, with its
/// extension, without invisible characters and link scheme.
///
/// `None` unless it is a number of 3 to 15 digits.
pub fn phone(text: &str) -> Option<String> {
    read(text).map(|phone| phone.text)
}

/// An international number in E.164 form, without its extension.
pub(super) fn e164(text: &str) -> Option<String> {
    read(text)?.e164
}

fn read(text: &str) -> Option<Phone> {
    let typed: String = plain(text).chars().map(typewritten).collect();
    let link = SCHEMES.iter().find_map(|it| strip_scheme(&typed, it));
    let text = link.unwrap_or(&typed).trim();

    let part_of_number = |c: char| c.is_ascii_digit() || "+-.()[]/ ".contains(c);
    let end = text.find(|c| !part_of_number(c)).unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    if !rest.is_empty() && !extension(rest) {
        return None;
    }
    // A plus sign appears at most once, before the number.
    let (before, plus, number) = match number.split_once('+') {
        Some((before, number)) => (before, true, number),
        None => ("", false, number),
    };
    if number.contains('+') || before.contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    let e164 = match digits.strip_prefix("00") {
        Some(abroad) => significant(abroad),
        None if plus => significant(&digits),
        None => None,
    };
    let fits = (3..=15).contains(&digits.len()) || e164.is_some();
    fits.then(|| Phone {
        text: text.split_whitespace().collect::<Vec<_>>().join(" "),
        e164,
    })
}

/// An international number's digits in E.164 form, without the trunk prefix.
fn significant(digits: &str) -> Option<String> {
    let short = SHORT_CODES.iter().find(|code| digits.starts_with(**code));
    let (country, national) = digits.split_at_checked(short.map_or(3, |code| code.len()))?;
    let national = match ZERO_STAYS.contains(&country) {
        true => national,
        false => national.trim_start_matches('0'),
    };
    let fits = (7..=15).contains(&(country.len() + national.len()));
    (fits && !country.starts_with('0')).then(|| format!("+{country}{national}"))
}

/// Whether the text after a number is an extension (`ext. 5`, `x5`, `#5`, `,,5`) or a link's
/// parameters (`;ext=5`).
fn extension(rest: &str) -> bool {
    if let Some(parameters) = rest.strip_prefix(';')
        && parameters.split(';').all(parameter)
    {
        return true;
    }
    let rest = rest.to_lowercase();
    let inner = rest.trim_start_matches([',', ';', ' ']);
    let mark = EXTENSION.iter().find_map(|mark| inner.strip_prefix(mark));
    if mark.is_none() && inner.len() == rest.len() {
        return false;
    }
    let digits = mark
        .unwrap_or(inner)
        .trim_start_matches(['.', ':', '=', '-', ' ']);
    let digits = digits.trim_end_matches([')', ']', '#', '.', ' ']);
    (1..=12).contains(&digits.len()) && digits.bytes().all(|it| it.is_ascii_digit())
}

/// Whether a link parameter is `name=value`, with a number for `ext` (RFC 3966, 3).
fn parameter(text: &str) -> bool {
    text.split_once('=')
        .is_some_and(|(name, value)| match name {
            "" => false,
            "ext" => value
                .bytes()
                .all(|it| it.is_ascii_digit() || b"-.() ".contains(&it)),
            _ => true,
        })
}

/// The ASCII equivalent of a character: any script's decimal digit, any dash, dot, slash or
/// plus.
fn typewritten(c: char) -> char {
    let digit = digit(c).and_then(|digit| char::from_digit(digit.into(), 10));
    match (c, Separator::of(c)) {
        (_, Some(Separator::Dash)) => '-',
        (_, Some(Separator::Dot)) => '.',
        (_, Some(Separator::Slash)) => '/',
        ('\u{58a}' | '\u{5be}' | '\u{1806}' | '\u{207b}' | '\u{2796}', _) => '-',
        ('\u{2e3a}' | '\u{2e3b}' | '\u{301c}' | '\u{3030}' | '\u{30a0}' | '~', _) => '-',
        ('\u{207a}' | '\u{2795}' | '\u{fe62}', _) => '+',
        _ => digit.unwrap_or(c),
    }
}
