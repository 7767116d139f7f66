//! Finds personal data in text. Pure. For now: payment-card numbers, which are masked
//! wherever they stand before anything is stored (PCI DSS 3.3).

/// Masks every payment-card number in `text`, one `█` for each digit.
///
/// A card number is 13 to 19 digits (ISO/IEC 7812), alone or parted by single spaces or
/// hyphens, that starts with a card network's digit and satisfies the Luhn checksum.
pub fn mask_cards(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut masked = chars.clone();
    let mut at = 0;
    while at < chars.len() {
        if !chars[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let digits = run_of_digits(&chars[at..]);
        mask_run(&chars[at..], &digits, &mut masked[at..]);
        at += digits.last().map_or(1, |last| last + 1);
    }
    masked.into_iter().collect()
}

/// Offsets of the digits that follow one another with at most one space or hyphen between.
fn run_of_digits(chars: &[char]) -> Vec<usize> {
    let mut digits = vec![0];
    let mut at = 1;
    while at < chars.len() {
        let parted = matches!(chars[at], ' ' | '-' | '\u{a0}')
            && chars.get(at + 1).is_some_and(char::is_ascii_digit);
        match chars[at] {
            c if c.is_ascii_digit() => digits.push(at),
            _ if parted => {}
            _ => break,
        }
        at += 1;
    }
    digits
}

fn mask_run(chars: &[char], digits: &[usize], masked: &mut [char]) {
    let value = |at: usize| chars[digits[at]].to_digit(10).unwrap_or(0);
    let mut start = 0;
    while start + 13 <= digits.len() {
        let length = (13..=19.min(digits.len() - start)).rev().find(|length| {
            issued(value(start), *length) && luhn((start..start + length).map(value))
        });
        match length {
            Some(length) => {
                for digit in &digits[start..start + length] {
                    masked[*digit] = '█';
                }
                start += length;
            }
            None => start += 1,
        }
    }
}

/// Whether card networks issue numbers of this length that start with this digit.
fn issued(first: u32, length: usize) -> bool {
    match length {
        13 => first == 4,
        14 => first == 3,
        15 => matches!(first, 2 | 3),
        16 => matches!(first, 2..=6),
        _ => matches!(first, 4..=6),
    }
}

/// The Luhn checksum (ISO/IEC 7812-1, annex B).
fn luhn(digits: impl DoubleEndedIterator<Item = u32>) -> bool {
    let sum: u32 = digits
        .rev()
        .enumerate()
        .map(|(place, digit)| match place % 2 {
            0 => digit,
            _ if digit > 4 => digit * 2 - 9,
            _ => digit * 2,
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::mask_cards;

    #[test]
    fn a_card_number_is_masked_wherever_it_stands() {
        for (text, masked) in [
            ("4111111111111111", "████████████████"),
            ("a4111-1111-1111-1111b", "a████-████-████-████b"),
            ("amex 3782 822463 10005.", "amex ████ ██████ █████."),
            ("1 4111111111111111", "1 ████████████████"),
            ("ü 5555555555554444 ü", "ü ████████████████ ü"),
        ] {
            assert_eq!(mask_cards(text), masked);
        }
    }

    #[test]
    fn other_numbers_stay() {
        for text in [
            "4111111111111112",
            "2026-11-22 10:15:30",
            "1234567890123",
            "order 99",
        ] {
            assert_eq!(mask_cards(text), text);
        }
    }
}
