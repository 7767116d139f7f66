//! The number ranges that the card networks issue, in one table. Source: the networks'
//! published ranges as collected in Wikipedia's "Payment card number" (ISO/IEC 7812-1).

use std::ops::RangeInclusive;

struct Network {
    /// The first and the last prefix of a range. Both have the same number of digits.
    prefixes: RangeInclusive<u32>,
    lengths: RangeInclusive<usize>,
}

const fn issues(first: u32, last: u32, shortest: usize, longest: usize) -> Network {
    Network {
        prefixes: first..=last,
        lengths: shortest..=longest,
    }
}

const NETWORKS: &[Network] = &[
    // Visa
    issues(4, 4, 16, 16),
    issues(4, 4, 19, 19),
    // Mastercard
    issues(51, 55, 16, 16),
    issues(2221, 2720, 16, 16),
    // American Express
    issues(34, 34, 15, 15),
    issues(37, 37, 15, 15),
    // Diners Club
    issues(300, 305, 14, 14),
    issues(3095, 3095, 14, 14),
    issues(36, 36, 14, 14),
    issues(38, 39, 14, 14),
    // Maestro, whose range includes Discover, UnionPay (62), RuPay, Troy, Verve and Elo.
    // Lengths of 12 and 13 digits are left out: too many article numbers and times look like
    // them.
    issues(50, 50, 14, 19),
    issues(56, 69, 14, 19),
    // JCB
    issues(3528, 3589, 16, 19),
    issues(1800, 1800, 15, 15),
    issues(2131, 2131, 15, 15),
    // RuPay
    issues(81, 82, 16, 16),
    // UnionPay
    issues(8100, 8171, 16, 19),
    // Mir
    issues(2200, 2204, 16, 19),
    // Borica (Bulgaria), UzCard and Humo (Uzbekistan), Napas (Vietnam), Troy (Turkey)
    issues(2205, 2205, 16, 16),
    issues(8600, 8600, 16, 16),
    issues(9860, 9860, 16, 16),
    issues(9704, 9704, 16, 16),
    issues(9704, 9704, 19, 19),
    issues(9792, 9792, 16, 16),
];

/// Whether a network issues numbers of this length with this prefix.
pub fn issued(number: &[u8]) -> bool {
    NETWORKS.iter().any(|network| {
        let width = network.prefixes.end().ilog10() as usize + 1;
        let prefix = number.iter().take(width);
        let prefix = prefix.fold(0, |prefix, digit| prefix * 10 + u32::from(*digit));
        network.lengths.contains(&number.len()) && network.prefixes.contains(&prefix)
    })
}

/// The Luhn checksum (ISO/IEC 7812-1, annex B).
pub fn luhn(number: &[u8]) -> bool {
    let digits = number.iter().rev().map(|digit| u32::from(*digit));
    let weighed = digits.enumerate().map(|(place, digit)| match place % 2 {
        0 => digit,
        _ if digit > 4 => digit * 2 - 9,
        _ => digit * 2,
    });
    weighed.sum::<u32>().is_multiple_of(10)
}

/// The first prefix and a length of every row, for tests.
#[cfg(test)]
pub fn rows() -> impl Iterator<Item = (u32, usize)> {
    NETWORKS.iter().flat_map(|network| {
        let ends = [*network.prefixes.start(), *network.prefixes.end()];
        ends.into_iter()
            .flat_map(|prefix| network.lengths.clone().map(move |length| (prefix, length)))
    })
}
