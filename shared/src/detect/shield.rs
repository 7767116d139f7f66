//! Finds what is certainly not a card: UUIDs and IBANs.

use std::ops::Range;

/// The byte ranges of UUIDs (RFC 9562) and valid IBANs (ISO 13616-1). Linear: each attempt is
/// bounded.
pub fn shielded(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let end = uuid(bytes, at).or_else(|| iban(bytes, at));
        if let Some(end) = end {
            found.push(at..end);
        }
        at = end.unwrap_or(at + 1);
    }
    found
}

fn starts_word(bytes: &[u8], at: usize) -> bool {
    at == 0 || !bytes[at - 1].is_ascii_alphanumeric()
}

fn ends_word(bytes: &[u8], end: usize) -> bool {
    bytes
        .get(end)
        .is_none_or(|byte| !byte.is_ascii_alphanumeric())
}

fn uuid(bytes: &[u8], at: usize) -> Option<usize> {
    let text = bytes.get(at..at + 36)?;
    let shaped = text.iter().enumerate().all(|(place, byte)| match place {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    });
    (shaped && starts_word(bytes, at) && ends_word(bytes, at + 36)).then_some(at + 36)
}

/// A country code, two check digits and 11 to 30 letters or digits, unbroken or in groups. The
/// remainder modulo 97 is one (ISO 7064).
fn iban(bytes: &[u8], at: usize) -> Option<usize> {
    let head = bytes.get(at..at + 4)?;
    let shaped = head[..2].iter().all(u8::is_ascii_alphabetic)
        && head[2..].iter().all(u8::is_ascii_digit)
        && starts_word(bytes, at);
    if !shaped {
        return None;
    }
    let (mut rest, mut count, mut end) = (0, 4, at + 4);
    while count < 34 {
        let parted = matches!(bytes.get(end), Some(b' ' | b'-'));
        let byte = *bytes.get(end + usize::from(parted))?;
        if !byte.is_ascii_alphanumeric() {
            return None;
        }
        rest = append(rest, byte);
        (count, end) = (count + 1, end + usize::from(parted) + 1);
        let whole = head.iter().fold(rest, |rest, byte| append(rest, *byte));
        if count >= 15 && ends_word(bytes, end) && whole == 1 {
            return Some(end);
        }
    }
    None
}

/// Appends a letter or digit to a number modulo 97; letters count from ten.
fn append(rest: u32, byte: u8) -> u32 {
    match (byte as char).to_digit(36) {
        Some(value) if value > 9 => (rest * 100 + value) % 97,
        Some(value) => (rest * 10 + value) % 97,
        None => rest,
    }
}
