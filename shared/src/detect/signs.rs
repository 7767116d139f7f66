//! Classifies single characters: decimal digits of every script, and the separators that
//! people and programs put between digits.

/// The zero of every script's decimal digits (Unicode 17, general category Nd). The digits one
/// to nine follow each zero.
const ZEROS: &[char] = &[
    '0',
    '\u{660}',
    '\u{6f0}',
    '\u{7c0}',
    '\u{966}',
    '\u{9e6}',
    '\u{a66}',
    '\u{ae6}',
    '\u{b66}',
    '\u{be6}',
    '\u{c66}',
    '\u{ce6}',
    '\u{d66}',
    '\u{de6}',
    '\u{e50}',
    '\u{ed0}',
    '\u{f20}',
    '\u{1040}',
    '\u{1090}',
    '\u{17e0}',
    '\u{1810}',
    '\u{1946}',
    '\u{19d0}',
    '\u{1a80}',
    '\u{1a90}',
    '\u{1b50}',
    '\u{1bb0}',
    '\u{1c40}',
    '\u{1c50}',
    '\u{a620}',
    '\u{a8d0}',
    '\u{a900}',
    '\u{a9d0}',
    '\u{a9f0}',
    '\u{aa50}',
    '\u{abf0}',
    '\u{ff10}',
    '\u{104a0}',
    '\u{10d30}',
    '\u{10d40}',
    '\u{11066}',
    '\u{110f0}',
    '\u{11136}',
    '\u{111d0}',
    '\u{112f0}',
    '\u{11450}',
    '\u{114d0}',
    '\u{11650}',
    '\u{116c0}',
    '\u{116d0}',
    '\u{116da}',
    '\u{11730}',
    '\u{118e0}',
    '\u{11950}',
    '\u{11bf0}',
    '\u{11c50}',
    '\u{11d50}',
    '\u{11da0}',
    '\u{11de0}',
    '\u{11f50}',
    '\u{16a60}',
    '\u{16ac0}',
    '\u{16b50}',
    '\u{16d70}',
    '\u{1ccf0}',
    '\u{1d7ce}',
    '\u{1d7d8}',
    '\u{1d7e2}',
    '\u{1d7ec}',
    '\u{1d7f6}',
    '\u{1e140}',
    '\u{1e2f0}',
    '\u{1e4f0}',
    '\u{1e5f1}',
    '\u{1e950}',
    '\u{1fbf0}',
];

/// The value of a decimal digit of any script.
pub fn digit(c: char) -> Option<u8> {
    if c.is_ascii() {
        return c.is_ascii_digit().then(|| c as u8 - b'0');
    }
    let zero = ZEROS[..ZEROS.partition_point(|zero| *zero <= c)].last()?;
    u8::try_from(c as u32 - *zero as u32)
        .ok()
        .filter(|value| *value < 10)
}

/// A separator between two digits of one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Separator {
    /// Zero-width, such as a soft hyphen: readers do not see it.
    Invisible,
    Blank,
    Tab,
    Line,
    Dash,
    Dot,
    Slash,
    Underscore,
    /// A blank in the query of a URL.
    Plus,
    Comma,
    /// Brackets, and mixtures of several kinds.
    Other,
}

impl Separator {
    pub fn of(c: char) -> Option<Separator> {
        Some(match c {
            ' ' => Separator::Blank,
            '-' => Separator::Dash,
            '.' => Separator::Dot,
            '/' => Separator::Slash,
            '_' => Separator::Underscore,
            '+' => Separator::Plus,
            ',' => Separator::Comma,
            '(' | ')' => Separator::Other,
            '\t' => Separator::Tab,
            '\n' | '\u{b}' | '\u{c}' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => Separator::Line,
            c if c.is_control() => Separator::Invisible,
            c if c.is_ascii() => return None,
            '\u{2800}' | '\u{3164}' | '\u{ffa0}' => Separator::Blank,
            c if c.is_whitespace() => Separator::Blank,
            '\u{2010}'..='\u{2015}'
            | '\u{2043}'
            | '\u{2212}'
            | '\u{2500}'
            | '\u{30fc}'
            | '\u{fe58}'
            | '\u{fe63}'
            | '\u{ff0d}'
            | '\u{ff70}' => Separator::Dash,
            '\u{b7}' | '\u{2022}' | '\u{2024}' | '\u{2027}' | '\u{2219}' | '\u{22c5}'
            | '\u{30fb}' | '\u{ff0e}' | '\u{ff65}' => Separator::Dot,
            '\u{2044}' | '\u{2215}' | '\u{ff0f}' => Separator::Slash,
            '\u{ff3f}' => Separator::Underscore,
            '\u{ff08}' | '\u{ff09}' => Separator::Other,
            // The default ignorable code points, and the combining enclosing keycap.
            '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{17b4}'
            | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{20e3}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}' => Separator::Invisible,
            _ => return None,
        })
    }

    pub const fn is_space(self) -> bool {
        matches!(self, Separator::Blank | Separator::Tab | Separator::Line)
    }

    /// Combines two separators: a dash among blanks is a dash; a blank at the end of a line
    /// belongs to the line break.
    pub fn and(self, other: Separator) -> Separator {
        match (self, other) {
            (one, other) if one == other => one,
            (Separator::Invisible, one) | (one, Separator::Invisible) => one,
            (Separator::Line, one) | (one, Separator::Line) if one.is_space() => Separator::Line,
            (one, other) if one.is_space() && other.is_space() => Separator::Tab,
            (space, mark) | (mark, space) if space.is_space() => mark,
            _ => Separator::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_digit_has_its_value() {
        assert!(ZEROS.is_sorted());
        for zero in ZEROS {
            for value in 0..10u8 {
                let c = char::from_u32(*zero as u32 + u32::from(value)).unwrap();
                assert_eq!(digit(c), Some(value), "{c}");
                assert!(c.is_numeric(), "{c}");
                assert_eq!(Separator::of(c), None);
            }
        }
        for c in ['a', '²', '½', '①', '十', '/', 'é'] {
            assert_eq!(digit(c), None, "{c}");
        }
    }
}
