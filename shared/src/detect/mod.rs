//! Finds personal data in text. Pure. It currently finds payment-card numbers only, which are
//! masked before anything is stored (PCI DSS 3.3).

mod card;
mod cues;
mod networks;
mod run;
mod shield;
pub mod signs;
#[cfg(test)]
mod tests;

use std::cell::OnceCell;
use std::ops::Range;

use card::Form;

/// Masks every payment-card number in `text`, one `█` for each digit.
///
/// A card number has 12 to 19 digits (ISO/IEC 7812) of any script and satisfies the Luhn
/// checksum. Either it is in a network's range and is unbroken or grouped as cards are
/// printed, or a word before it announces a card.
pub fn mask_cards(text: &str) -> String {
    let mut masked = String::new();
    let mut copied = 0;
    let shields = OnceCell::new();
    run::each(text, |run| {
        let cued = |at| cues::card_before(text, at);
        let mut cards = card::cards(run, cued);
        if let Some(seen) = run.seen() {
            cards.extend(card::cards(&seen, cued));
        }
        if cards.is_empty() {
            return;
        }
        let shields = shields.get_or_init(|| shield::shielded(text));
        let mut hidden = vec![false; run.digits.len()];
        for digits in cards {
            if !overlaps(shields, bytes(run, digits.clone())) {
                hidden[digits].fill(true);
            }
        }
        for (digit, _) in run
            .digits
            .iter()
            .zip(&hidden)
            .filter(|(_, hidden)| **hidden)
        {
            masked.push_str(&text[copied..digit.at]);
            masked.push('█');
            copied = digit.end;
        }
    });
    masked.push_str(&text[copied..]);
    masked
}

/// Whether a whole name is a payment-card number. A checksum alone is no reason to refuse an
/// id: an unbroken number of 17 digits or more is more likely a snowflake id or a time.
pub fn is_card(name: &str) -> bool {
    let name = name.trim_matches(|c| {
        signs::Separator::of(c).is_some_and(|s| s.is_space() || s == signs::Separator::Invisible)
    });
    let mut card = false;
    run::each(name, |run| {
        let whole = bytes(run, 0..run.digits.len()) == (0..name.len());
        card = whole
            && match card::whole(run) {
                Some(Form::Unbroken) => run.digits.len() <= 16,
                form => form.is_some(),
            };
    });
    card
}

fn bytes(run: &run::Run, digits: Range<usize>) -> Range<usize> {
    run.digits[digits.start].at..run.digits[digits.end - 1].end
}

/// `shields` are sorted and do not overlap.
fn overlaps(shields: &[Range<usize>], bytes: Range<usize>) -> bool {
    let next = shields.partition_point(|shield| shield.end <= bytes.start);
    shields
        .get(next)
        .is_some_and(|shield| shield.start < bytes.end)
}
