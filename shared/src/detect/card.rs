//! Decides which groups of a run are payment cards.
//!
//! A candidate consists of whole adjacent groups. Network, length, checksum and grouping
//! decide first. Its neighbours decide next, because in a row of numbers some always look like
//! a card. Each group begins at most as many candidates as a card has digits, so the time is
//! linear in the run.

use std::ops::Range;

use super::networks::{issued, luhn};
use super::run::{Gap, Group, Lead, Run};
use super::signs::Separator;

/// Lengths of a card number in digits (ISO/IEC 7812-1).
const LENGTHS: Range<usize> = 12..20;
/// Lengths of an international telephone number (ITU-T E.164), country code included.
const PHONE: Range<usize> = 10..16;

/// How a candidate is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Unbroken,
    /// As printed on cards: 4-4-4-4, then one to three more; 4-6-5; 4-6-4.
    Printed,
    /// Any other groups of at least two digits with one separator. A card only after a cue.
    Grouped,
}

#[derive(Clone, Debug)]
pub struct Candidate {
    pub groups: Range<usize>,
    pub form: Form,
    /// No network issues this number, or cards are never printed this way. It needs a cue
    /// word.
    needs_cue: bool,
    cued: bool,
}

/// The cards in a run, as ranges of its digits. `cued` says whether the words before a
/// position in the text announce a card.
pub fn cards(run: &Run, cued: impl Fn(usize) -> bool) -> Vec<Range<usize>> {
    if run.digits.len() < LENGTHS.start {
        return Vec::new();
    }
    let mut candidates = candidates(run);
    for candidate in &mut candidates {
        candidate.cued = cued(run.digits[run.digits_of(&candidate.groups).start].at);
    }
    candidates.retain(|candidate| candidate.cued || !candidate.needs_cue);
    chains(run, &candidates)
}

/// How the whole run is written, if it is a single card.
pub fn whole(run: &Run) -> Option<Form> {
    let mut gaps = run.groups.iter().filter_map(|group| group.gap);
    let separator = gaps.try_fold(Separator::Invisible, |all, gap| join(all, gap.separator))?;
    let form = form(&run.groups, separator)?;
    let card = checked(&run.values) && issued(&run.values) && form != Form::Grouped;
    card.then_some(form)
}

fn candidates(run: &Run) -> Vec<Candidate> {
    let mut found = Vec::new();
    for (start, first) in run.groups.iter().enumerate() {
        let mut length = first.len;
        let mut separator = Separator::Invisible;
        let mut end = start + 1;
        while length < LENGTHS.end {
            if length >= LENGTHS.start {
                found.extend(candidate(run, start..end, separator));
            }
            let Some(next) = run.groups.get(end) else {
                break;
            };
            let gap = next.gap.map_or(Separator::Other, |gap| gap.separator);
            match join(separator, gap) {
                Some(joined) => separator = joined,
                None => break,
            }
            // Only the last group of a card may have one digit.
            if separator != Separator::Invisible && run.groups[end - 1].len == 1 {
                break;
            }
            length += next.len;
            end += 1;
        }
    }
    found
}

fn candidate(run: &Run, groups: Range<usize>, separator: Separator) -> Option<Candidate> {
    let form = form(&run.groups[groups.clone()], separator)?;
    let number = &run.values[run.digits_of(&groups)];
    let needs_cue = form == Form::Grouped || !issued(number);
    // No network's numbers begin with a zero, even after a cue word.
    if !checked(number) || number[0] == 0 {
        return None;
    }
    Some(Candidate {
        groups,
        form,
        needs_cue,
        cued: false,
    })
}

fn checked(number: &[u8]) -> bool {
    luhn(number) && number.iter().any(|digit| *digit != number[0])
}

/// How groups with one separator are written, if cards are written so.
fn form(groups: &[Group], separator: Separator) -> Option<Form> {
    if separator == Separator::Invisible {
        return Some(Form::Unbroken);
    }
    let mut lengths = [0; 5];
    for (length, group) in lengths.iter_mut().zip(groups) {
        *length = group.len;
    }
    let printed = matches!(lengths, [4, 4, 4, 4, 0..=3] | [4, 6, 4 | 5, 0, 0]);
    if printed && groups.len() <= lengths.len() {
        return Some(Form::Printed);
    }
    let (_, most) = groups.split_last()?;
    let grouped = most.iter().all(|group| group.len > 1)
        && !matches!(separator, Separator::Comma | Separator::Other);
    grouped.then_some(Form::Grouped)
}

/// The common separator of groups after one more is added. A line may break at a blank.
fn join(all: Separator, next: Separator) -> Option<Separator> {
    use Separator::{Blank, Invisible, Line};
    let wrapped = matches!((all, next), (Blank, Line) | (Line, Blank));
    let seen = all == Invisible || next == Invisible;
    (all == next || wrapped || seen).then(|| all.and(next))
}

/// The candidates whose neighbours on both sides are harmless or cards themselves.
fn chains(run: &Run, candidates: &[Candidate]) -> Vec<Range<usize>> {
    let mut ends = vec![false; run.groups.len() + 1];
    let mut starts = ends.clone();
    let mut left = vec![false; candidates.len()];
    // In order of their start: a candidate that ends where another starts is judged before it.
    for (place, card) in candidates.iter().enumerate() {
        left[place] = ends[card.groups.start] || may_begin(run, card);
        ends[card.groups.end] |= left[place];
    }
    let mut cards = Vec::new();
    for (place, card) in candidates.iter().enumerate().rev() {
        let right = starts[card.groups.end] || may_end(run, card);
        if left[place] && right {
            starts[card.groups.start] = true;
            cards.push(run.digits_of(&card.groups));
        }
    }
    cards
}

/// Whether the text before a candidate allows it to be a card.
fn may_begin(run: &Run, card: &Candidate) -> bool {
    let start = card.groups.start;
    if run.lead == Lead::Plus && within_phone(run, card) {
        return false;
    }
    let Some(gap) = run.groups[start].gap else {
        return true;
    };
    let before = run.groups[start - 1];
    // The fraction of a decimal number.
    if gap.tight && gap.separator == Separator::Dot {
        return false;
    }
    match card.form {
        Form::Unbroken => card.cued || !binds(gap) || slash_date(run, gap, before),
        Form::Grouped => gap.separator != inner(run, card, start + 1),
        Form::Printed if gap.separator != inner(run, card, start + 1) => !binds(gap),
        Form::Printed if run.groups[start + 1].len != 4 => true,
        Form::Printed => {
            let row = beside(before, run.groups[..start - 1].last(), before.gap, gap);
            row.is_none_or(|group| is_year(run, group)) || phone_before(run, start)
        }
    }
}

/// Whether the text after a candidate allows it to be a card.
fn may_end(run: &Run, card: &Candidate) -> bool {
    let end = card.groups.end;
    let rest = &run.groups[end..];
    let Some((next, beyond)) = rest.split_first() else {
        return true;
    };
    let Some(gap) = next.gap else {
        return true;
    };
    match card.form {
        Form::Unbroken => {
            card.cued || !binds(gap) || slash_date(run, gap, *next) || is_expiry(run, rest)
        }
        Form::Grouped => {
            let inner = inner(run, card, end - 1);
            let same = |group: &&Group| group.gap.is_some_and(|gap| gap.separator == inner);
            let after: Vec<_> = rest.iter().take_while(same).take(4).collect();
            after.len() < 4 && after.iter().all(|group| group.len <= 4)
        }
        Form::Printed if gap.separator != inner(run, card, end - 1) => !binds(gap) || next.len < 4,
        Form::Printed if run.groups[card.groups.start + 1].len != 4 => true,
        Form::Printed => {
            let further = beyond.first().filter(|_| run.groups[end - 1].len == 4);
            let row = beside(*next, further, further.and_then(|group| group.gap), gap);
            row.is_none_or(|group| {
                // An expiry date, and an optional code after it, belong to the card.
                let code = rest.iter().find(|code| code.first > group.first);
                let last = code.is_none_or(|code| code.len == 3);
                last && (is_year(run, group) || expires(run, group))
            })
        }
    }
}

/// The separator before a group inside a card.
fn inner(run: &Run, card: &Candidate, group: usize) -> Separator {
    let within = card.groups.start + 1..card.groups.end;
    let group = group.clamp(within.start, within.end.max(within.start + 1) - 1);
    let gap = run.groups.get(group).and_then(|group| group.gap);
    gap.map_or(Separator::Invisible, |gap| gap.separator)
}

/// The neighbour that makes a card part of a row of numbers: a group of four, or one behind a
/// shorter group.
fn beside(near: Group, far: Option<&Group>, between: Option<Gap>, gap: Gap) -> Option<Group> {
    if near.len == 4 {
        return Some(near);
    }
    let same = between.is_some_and(|between| between.separator == gap.separator);
    far.filter(|far| near.len < 4 && far.len == 4 && same)
        .copied()
}

/// Whether a gap joins its two groups into one word, as `-` does in `4111111111111111-17`.
fn binds(gap: Gap) -> bool {
    use Separator::{Dash, Dot, Invisible, Slash, Underscore};
    gap.tight && matches!(gap.separator, Dash | Dot | Invisible | Slash | Underscore)
}

/// A date next to a number: in the path of a URL, or before or after a `/`.
fn slash_date(run: &Run, gap: Gap, group: Group) -> bool {
    let date = match group.len {
        1 | 2 => (1..=31).contains(&value(run, group)),
        4 => is_year(run, group) || expires(run, group),
        _ => false,
    };
    gap.separator == Separator::Slash && date
}

fn is_year(run: &Run, group: Group) -> bool {
    (2000..2040).contains(&value(run, group))
}

/// An expiry month and year in four digits.
fn expires(run: &Run, group: Group) -> bool {
    let value = value(run, group);
    (1..=12).contains(&(value / 100)) && (20..40).contains(&(value % 100))
}

/// The value of a group of up to four digits.
fn value(run: &Run, group: Group) -> u32 {
    let digits = &run.values[group.first..group.first + group.len];
    let value = |value, digit: &u8| value * 10 + u32::from(*digit);
    digits.iter().take(5).fold(0, value)
}

/// A month and a year, with the same separator as before the month.
fn is_expiry(run: &Run, rest: &[Group]) -> bool {
    let [month, year, ..] = rest else {
        return false;
    };
    let same = month.gap.map(|gap| gap.separator) == year.gap.map(|gap| gap.separator);
    same && (1..=12).contains(&value(run, *month)) && matches!(year.len, 2 | 4)
}

/// Whether a card would begin inside an international telephone number. Such a number has 10
/// to 15 digits.
fn within_phone(run: &Run, card: &Candidate) -> bool {
    let groups = &run.groups;
    let before = groups[card.groups.start].first;
    let first = groups[card.groups.start].len;
    let digits = run.digits_of(&card.groups).len();
    before == 0
        || before < PHONE.start && before + first < PHONE.end
        || card.needs_cue && before + digits < PHONE.end
}

/// Whether the groups before this one end with a complete telephone number: international,
/// with a leading zero or bracket, or of three, three and four digits.
fn phone_before(run: &Run, end: usize) -> bool {
    let mut digits = 0;
    for start in (0..end).rev() {
        digits += run.groups[start].len;
        if digits >= PHONE.end {
            return false;
        }
        let lengths = run.groups[start..end].iter().map(|group| group.len);
        let begins = start == 0 && run.lead != Lead::Plain
            || run.values[run.groups[start].first] == 0
            || lengths.eq([3, 3, 4]);
        if begins && PHONE.contains(&digits) {
            return true;
        }
    }
    false
}
