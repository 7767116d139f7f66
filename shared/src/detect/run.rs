//! A run: groups of digits with at most three separators between two groups.

use std::ops::Range;

use super::signs::{Separator, digit};

/// The most separators between two digits of a run; CRLF counts as one.
const GAP: usize = 3;

/// The bytes that one digit takes in the text.
#[derive(Clone)]
pub struct Digit {
    pub at: usize,
    pub end: usize,
}

/// The separators before a group of a run.
#[derive(Clone, Copy, Debug)]
pub struct Gap {
    pub separator: Separator,
    /// It contains no blank.
    pub tight: bool,
}

/// Adjacent digits.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// The index of its first digit within the run.
    pub first: usize,
    pub len: usize,
    /// `None` for the first group.
    pub gap: Option<Gap>,
}

/// How the run begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lead {
    #[default]
    Plain,
    /// After a `+`, as in international telephone numbers.
    Plus,
    Bracket,
}

#[derive(Clone, Default)]
pub struct Run {
    pub values: Vec<u8>,
    pub digits: Vec<Digit>,
    pub groups: Vec<Group>,
    pub lead: Lead,
}

impl Run {
    fn begin(&mut self, lead: Lead) {
        self.values.clear();
        self.digits.clear();
        self.groups.clear();
        self.lead = lead;
    }

    fn push(&mut self, value: u8, digit: Digit, gap: Option<Gap>) {
        match self.groups.last_mut() {
            Some(group) if gap.is_none() => group.len += 1,
            _ => self.groups.push(Group {
                first: self.digits.len(),
                len: 1,
                gap,
            }),
        }
        self.values.push(value);
        self.digits.push(digit);
    }

    /// The digits of adjacent groups.
    pub fn digits_of(&self, groups: &Range<usize>) -> Range<usize> {
        let last = self.groups[groups.end - 1];
        self.groups[groups.start].first..last.first + last.len
    }

    /// The run as readers see it, if invisible characters separate some of its digits.
    pub fn seen(&self) -> Option<Run> {
        let invisible =
            |gap: Option<Gap>| gap.is_some_and(|gap| gap.separator == Separator::Invisible);
        if !self.groups.iter().any(|group| invisible(group.gap)) {
            return None;
        }
        let mut seen = self.clone();
        seen.groups.clear();
        for group in &self.groups {
            match seen.groups.last_mut() {
                Some(last) if invisible(group.gap) => last.len += group.len,
                _ => seen.groups.push(*group),
            }
        }
        Some(seen)
    }
}

/// Calls `see` with every run of a text, in order. Linear in the length of the text.
pub fn each(text: &str, mut see: impl FnMut(&Run)) {
    let mut run = Run::default();
    let mut gap = Between::default();
    let mut before = ['\0'; 2];
    let mut skip = 0;
    for (at, c) in text.char_indices() {
        if at < skip {
            continue;
        }
        if let Some(value) = digit(c) {
            let end = at + c.len_utf8();
            if run.digits.is_empty() {
                run.begin(lead(before));
            }
            run.push(value, Digit { at, end }, gap.take());
        } else if !run.digits.is_empty() {
            // A blank in URL encoding.
            let encoded = text[at..].starts_with("%20");
            let separator = if encoded {
                skip = at + 3;
                Some(Separator::Blank)
            } else {
                Separator::of(c)
            };
            let next = text[at..].chars().nth(1);
            if !gap.add(separator, c, next) {
                see(&run);
                run.begin(Lead::Plain);
                gap = Between::default();
            }
        }
        before = [before[1], c];
    }
    if !run.digits.is_empty() {
        see(&run);
    }
}

/// A `+` after a letter or a digit does not begin a telephone number.
fn lead(before: [char; 2]) -> Lead {
    match before {
        [c, '+' | '\u{ff0b}'] if !c.is_alphanumeric() => Lead::Plus,
        [_, '(' | '\u{ff08}'] => Lead::Bracket,
        _ => Lead::Plain,
    }
}

/// The characters read since the last digit.
#[derive(Default)]
struct Between {
    gap: Option<Gap>,
    count: usize,
    last: char,
}

impl Between {
    /// Whether the run continues after this character.
    fn add(&mut self, separator: Option<Separator>, c: char, next: Option<char>) -> bool {
        let Some(separator) = separator else {
            return false;
        };
        let joins = match separator {
            // `4111+1111`, but not `1 +49 176`.
            Separator::Plus => self.count == 0 && next.is_some_and(|next| digit(next).is_some()),
            // `1111, 1111`, but not `17,4111`, which is two columns of CSV.
            Separator::Comma => next.is_some_and(char::is_whitespace),
            _ => true,
        };
        if (self.last, c) != ('\r', '\n') {
            self.count += 1;
        }
        self.last = c;
        let gap = self.gap.get_or_insert(Gap {
            separator,
            tight: true,
        });
        gap.separator = gap.separator.and(separator);
        gap.tight &= !separator.is_space();
        joins && self.count <= GAP
    }

    fn take(&mut self) -> Option<Gap> {
        std::mem::take(self).gap
    }
}
