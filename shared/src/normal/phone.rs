//! Telephone numbers as people write them, and their one form (ITU-T E.164).

use super::{plain, strip_scheme};

/// Schemes of links to a number (RFC 3966 and its kin).
const SCHEMES: [&str; 4] = ["tel:", "sms:", "callto:", "whatsapp:"];

/// What people write before an extension, the longer first.
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

/// Country codes of one and two digits (ITU-T E.164, annex to the Operational Bulletin);
/// every other has three.
const SHORT_CODES: [&str; 46] = [
    "1", "7", "20", "27", "30", "31", "32", "33", "34", "36", "39", "40", "41", "43", "44", "45",
    "46", "47", "48", "49", "51", "52", "53", "54", "55", "56", "57", "58", "60", "61", "62", "63",
    "64", "65", "66", "81", "82", "84", "86", "90", "91", "92", "93", "94", "95", "98",
];

/// Countries whose numbers may begin with a zero: Italy, San Marino, Côte d'Ivoire, Burkina
/// Faso, Benin and the Congo. Elsewhere a zero after the country's code is the one that is
/// dialled at home only.
const ZERO_STAYS: [&str; 6] = ["39", "378", "225", "226", "229", "242"];

/// A number as it was read.
struct Phone {
    /// As it is kept.
    text: String,
    /// In E.164 form, where it is international.
    e164: Option<String>,
}

/// A telephone number as it is kept: as sent, in plain digits and separators, with its
/// extension, without what cannot be seen and without a link's scheme.
///
/// `None` when it is not a number of 3 to 15 digits.
pub fn phone(text: &str) -> Option<String> {
    read(text).map(|phone| phone.text)
}

/// An international number in E.164 form. An extension is no part of it.
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
    // A plus stands before the number, once.
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

/// An international number's digits in E.164 form, without the zero that is dialled at home
/// only.
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

/// Whether what follows a number is an extension (`ext. 5`, `x5`, `#5`, `,,5`), or are a
/// link's parameters (`;ext=5`).
fn extension(rest: &str) -> bool {
    if let Some(parameters) = rest.strip_prefix(';')
        && parameters.split(';').all(|it| it.contains('='))
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

/// The character that a typewriter has for one: any script's decimal digit, any dash, dot,
/// slash or plus.
fn typewritten(c: char) -> char {
    match c {
        '\u{058a}'
        | '\u{05be}'
        | '\u{1806}'
        | '\u{2010}'..='\u{2015}'
        | '\u{2043}'
        | '\u{207b}'
        | '\u{2212}'
        | '\u{2500}'
        | '\u{2796}'
        | '\u{2e3a}'
        | '\u{2e3b}'
        | '\u{301c}'
        | '\u{3030}'
        | '\u{30a0}'
        | '\u{30fc}'
        | '\u{fe31}'
        | '\u{fe32}'
        | '\u{fe58}'
        | '\u{fe63}'
        | '\u{ff70}'
        | '~' => '-',
        '\u{00b7}' | '\u{2022}' | '\u{2024}' | '\u{2027}' | '\u{2219}' | '\u{30fb}' => '.',
        '\u{2044}' | '\u{2215}' => '/',
        '\u{207a}' | '\u{2795}' | '\u{fe62}' => '+',
        c => digit(c).unwrap_or(c),
    }
}

/// The ASCII digit of a decimal digit of any script (Unicode's `Nd`).
fn digit(c: char) -> Option<char> {
    // Each script's ten follow one another: these are the zeros.
    const ZEROS: [u32; 73] = [
        0x0030, 0x0660, 0x06f0, 0x07c0, 0x0966, 0x09e6, 0x0a66, 0x0ae6, 0x0b66, 0x0be6, 0x0c66,
        0x0ce6, 0x0d66, 0x0de6, 0x0e50, 0x0ed0, 0x0f20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946,
        0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0,
        0xa9f0, 0xaa50, 0xabf0, 0xff10, 0x104a0, 0x10d30, 0x10d40, 0x11066, 0x110f0, 0x11136,
        0x111d0, 0x112f0, 0x11450, 0x114d0, 0x11650, 0x116c0, 0x116d0, 0x116da, 0x11730, 0x118e0,
        0x11950, 0x11bf0, 0x11c50, 0x11d50, 0x11da0, 0x11f50, 0x16a60, 0x16ac0, 0x16b50, 0x16d70,
        0x1d7ce, 0x1d7d8, 0x1d7e2, 0x1d7ec, 0x1d7f6, 0x1e140, 0x1e2f0, 0x1e4f0, 0x1e950, 0x1fbf0,
    ];
    let code = u32::from(c);
    let zero = ZEROS[ZEROS.partition_point(|zero| *zero <= code).checked_sub(1)?];
    char::from_digit(code - zero, 10)
}
