use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

const SEED: u64 = 20_260_301;
const VALUES: usize = 4_000;
/// Separators used when cards are printed or typed.
const SEPARATORS: &[&str] = &[
    " ",
    "\u{a0}",
    "\u{2009}",
    "\u{202f}",
    "\u{3000}",
    "\u{200b}",
    "\u{ad}",
    "-",
    "\u{2010}",
    "\u{2011}",
    "\u{2012}",
    "\u{2013}",
    "\u{2212}",
    " - ",
    " \u{2013} ",
    ".",
    ". ",
    "/",
    "_",
    "·",
    "  ",
    "   ",
    "\t",
    "\n",
    "\r\n",
    " \r\n",
    "+",
    "%20",
];

fn stays(text: &str) {
    assert_eq!(mask_cards(text), text);
}

fn random(rng: &mut StdRng, digits: usize) -> String {
    let digits = (0..digits).map(|place| rng.random_range(u8::from(place == 0)..10));
    digits.map(|digit| (b'0' + digit) as char).collect()
}

/// A valid number of a network.
fn card(rng: &mut StdRng, prefix: u32, length: usize) -> String {
    let mut number = prefix.to_string();
    number.push_str(&random(rng, length - number.len() - 1));
    let value = |check: char| -> Vec<u8> {
        let digits = number.chars().chain([check]);
        digits.map(|digit| digit as u8 - b'0').collect()
    };
    let check = ('0'..='9').find(|check| networks::luhn(&value(*check)));
    number.push(check.unwrap());
    number
}

/// A card of every network range, in every length that the network issues.
fn every_card() -> impl Iterator<Item = String> {
    let mut rng = StdRng::seed_from_u64(SEED);
    networks::rows().map(move |(prefix, length)| card(&mut rng, prefix, length))
}

fn printed(number: &str, separator: &str) -> Option<String> {
    let lengths: &[usize] = match number.len() {
        14 => &[4, 6, 4],
        15 => &[4, 6, 5],
        16 => &[4, 4, 4, 4],
        17 => &[4, 4, 4, 4, 1],
        18 => &[4, 4, 4, 4, 2],
        19 => &[4, 4, 4, 4, 3],
        _ => return None,
    };
    let mut rest = number;
    let groups: Vec<_> = lengths
        .iter()
        .map(|length| rest.split_off_front(*length))
        .collect();
    Some(groups.join(separator))
}

trait Front<'a> {
    fn split_off_front(&mut self, length: usize) -> &'a str;
}

impl<'a> Front<'a> for &'a str {
    fn split_off_front(&mut self, length: usize) -> &'a str {
        let (front, rest) = self.split_at(length);
        *self = rest;
        front
    }
}

fn hidden(text: &str) -> String {
    text.replace(|c: char| signs::digit(c).is_some(), "█")
}

#[test]
fn every_network_is_masked_unbroken_and_as_cards_are_printed() {
    for number in every_card() {
        let forms = SEPARATORS.iter().filter_map(|by| printed(&number, by));
        for form in std::iter::once(number.clone()).chain(forms) {
            let masked = hidden(&form);
            if !form.contains("%20") {
                assert_eq!(mask_cards(&form), masked, "{form:?}");
            }
            for (before, after) in [
                ("my number is ", ""),
                ("", " is it"),
                ("ü", "ü"),
                ("x", "y"),
                ("{\"n\":\"", "\"}"),
                ("https://shop.example/v/pay?n=", "&exp=1227"),
                ("https://shop.example/buy/", ""),
                ("(", ")"),
                ("\u{202a}", "\u{202c}"),
            ] {
                let text = mask_cards(&format!("{before}{form}{after}"));
                let left = text
                    .strip_prefix(before)
                    .and_then(|text| text.strip_suffix(after));
                assert!(
                    left.is_some_and(
                        |left| !left.contains(char::is_numeric) || form.contains("%20")
                    ),
                    "{text:?}"
                );
            }
            let text = mask_cards(&format!("17,{form},12/27"));
            assert!(
                text.starts_with("17,█") && text.ends_with("█,12/27"),
                "{text:?}"
            );
        }
        let text = format!("{{\"n\":{number},\"cvc\":737}}");
        assert!(!mask_cards(&text).contains(&number), "{text}");
    }
}

/// Test numbers that the networks publish.
#[test]
fn the_networks_are_known() {
    for number in [
        "4111111111111111",
        "4000000000000000006",
        "5555555555554444",
        "2223003122003222",
        "378282246310005",
        "36227206271667",
        "30569309025904",
        "38520000023237",
        "3566002020360505",
        "6011000990139424",
        "6200000000000005",
        "6759649826438453",
        "6304000000000000000",
        "9792030394440796",
    ] {
        assert_eq!(mask_cards(number), "█".repeat(number.len()), "{number}");
    }
}

#[test]
fn cards_side_by_side_are_all_masked() {
    for number in every_card() {
        for by in SEPARATORS.iter().filter(|by| **by != "%20") {
            let twice = format!("{number}{by}{number}");
            assert_eq!(mask_cards(&twice), hidden(&twice), "{twice:?}");
            let Some(one) = printed(&number, by) else {
                continue;
            };
            for between in [by, " ", ", ", "\n", " / "] {
                let twice = format!("{one}{between}{one}");
                assert_eq!(mask_cards(&twice), hidden(&twice), "{twice:?}");
            }
        }
    }
}

#[test]
fn digits_of_every_script_are_masked() {
    for zero in [
        '\u{ff10}',
        '\u{660}',
        '\u{6f0}',
        '\u{966}',
        '\u{e50}',
        '\u{1d7ce}',
    ] {
        let foreign =
            |digit: char| char::from_u32(zero as u32 + digit.to_digit(10).unwrap()).unwrap();
        let unbroken: String = "4111111111111111".chars().map(foreign).collect();
        assert_eq!(mask_cards(&unbroken), "█".repeat(16));
        let printed = printed("4111111111111111", " ").unwrap();
        let printed: String = printed
            .chars()
            .map(|c| if c == ' ' { c } else { foreign(c) })
            .collect();
        assert_eq!(mask_cards(&printed), "████ ████ ████ ████");
    }
}

#[test]
fn a_card_is_masked_beside_other_numbers() {
    for (text, masked) in [
        ("1 4111111111111111", "1 ████████████████"),
        ("amex 3782 822463 10005.", "amex ████ ██████ █████."),
        (
            "+44 7700 901218 4111 1111 1111 1111",
            "+44 7700 901218 ████ ████ ████ ████",
        ),
        (
            "+47 22 12 34 56 4111 1111 1111 1111",
            "+47 22 12 34 56 ████ ████ ████ ████",
        ),
        (
            "+1 415 555 2671 4111 1111 1111 1111",
            "+1 415 555 2671 ████ ████ ████ ████",
        ),
        (
            "(415) 555-2671 4111 1111 1111 1111",
            "(415) 555-2671 ████ ████ ████ ████",
        ),
        (
            "415 555 2671 4111 1111 1111 1111",
            "415 555 2671 ████ ████ ████ ████",
        ),
        (
            "020 7946 0958 4111 1111 1111 1111",
            "020 7946 0958 ████ ████ ████ ████",
        ),
        (
            "0151 21059731 4111 1111 1111 1111",
            "0151 21059731 ████ ████ ████ ████",
        ),
        (
            "order 20260686 4111 1111 1111 1111",
            "order 20260686 ████ ████ ████ ████",
        ),
        (
            "order 20260686 4111111111111111",
            "order 20260686 ████████████████",
        ),
        ("2026 4111 1111 1111 1111", "2026 ████ ████ ████ ████"),
        ("8841\t4111 1111 1111 1111", "8841\t████ ████ ████ ████"),
        (
            "8841\n4111 1111 1111 1111\n5555 5555 5555 4444",
            "8841\n████ ████ ████ ████\n████ ████ ████ ████",
        ),
        ("12/27 4111 1111 1111 1111", "12/27 ████ ████ ████ ████"),
        (
            "4111 1111 1111 1111 12/27 737",
            "████ ████ ████ ████ 12/27 737",
        ),
        (
            "4111 1111 1111 1111 1227 737",
            "████ ████ ████ ████ 1227 737",
        ),
        ("4111 1111 1111 1111 12 2027", "████ ████ ████ ████ 12 2027"),
        ("4111 1111 1111 1111 123", "████ ████ ████ ████ 123"),
        ("4111111111111111/12/27/737", "████████████████/12/27/737"),
        ("4111111111111111-12-27", "████████████████-12-27"),
        (
            "https://a.example/2026/11/4111111111111111",
            "https://a.example/2026/11/████████████████",
        ),
        ("4111 1111\r\n1111 1111", "████ ████\r\n████ ████"),
        ("4111, 1111, 1111, 1111", "████, ████, ████, ████"),
        ("4\u{ad}111 1111 1111 1111", "█\u{ad}███ ████ ████ ████"),
        ("4111\u{200b}1111 1111 1111", "████\u{200b}████ ████ ████"),
        ("q=a+4111+1111+1111+1111", "q=a+████+████+████+████"),
        ("q=4111%201111%201111%201111", "q=████%20████%20████%20████"),
        (
            "IBAN DE89 3704 0044 0532 0130 00, 4111 1111 1111 1111",
            "IBAN DE89 3704 0044 0532 0130 00, ████ ████ ████ ████",
        ),
        (
            "8c2fc702-c694-4876-8721-1286738083eb 4111-1111-1111-1111",
            "8c2fc702-c694-4876-8721-1286738083eb ████-████-████-████",
        ),
    ] {
        assert_eq!(mask_cards(text), masked);
    }
}

#[test]
fn a_word_before_a_number_makes_it_a_card() {
    for (text, masked) in [
        ("Maestro 500000000009", "Maestro ████████████"),
        ("pay 4222222222222", "pay █████████████"),
        (
            "Kartennummer: 41111111 11111111",
            "Kartennummer: ████████ ████████",
        ),
        ("tarjeta 411111 1111111111", "tarjeta ██████ ██████████"),
        (
            "card_number=41 11 11 11 11 11 11 11",
            "card_number=██ ██ ██ ██ ██ ██ ██ ██",
        ),
        (
            "Visa, valid thru 12/27: 41111 11111 11111 1",
            "Visa, valid thru 12/27: █████ █████ █████ █",
        ),
        (
            "my card 41111111 11111111 12 27 737",
            "my card ████████ ████████ 12 27 737",
        ),
        ("cc 4111111111111111-1", "cc ████████████████-1"),
    ] {
        assert_eq!(mask_cards(text), masked);
    }
    for text in [
        "500000000009",
        "4222222222222",
        "41111111 11111111",
        "by card; the order is 4222222222222",
        "card and Telefon 500000000009",
        "by card, from +49 1767 92308712 on",
        "card 8c2fc702-c694-4876-8721-1286738083eb",
        "card at 0.6472306980343963",
        "the card was seen long, long ago, in another century, and afterwards also 4222222222222",
    ] {
        stays(text);
    }
}

#[test]
fn other_numbers_stay() {
    for text in [
        "4111111111111112",
        "4444444444444444",
        "order 99",
        "2026-11-22 10:15:30",
        "9438452998241083116505",
        "9443768995026224733336",
        "74537606281640124230958",
        "IBAN DE85694738466343913603 ok",
        "DE89 3704 0044 0532 0130 00",
        "GB33 BUKB 2020 1555 5555 55",
        "at 1764561864837798970",
        "5236104053731902685347012",
        "it moved by 0.6472306980343963 percent",
        "-22.363358479416533, -7.330132018835258",
        "1.2345678901234567e+22",
        "+49 176 7923 0871",
        "+4111111111111111",
        "ref ab479031-8212-4974-b5ca-7509933a61a1 please",
        "8c2fc702-c694-4876-8721-1286738083eb",
        "USPS 9405 5036 9930 0123 4567 89",
        "1234 4111 1111 1111 1111 5678",
        "4111111111111111-5",
        "17_4111111111111111",
        "41111111111111110000",
        // An IBAN and a UUID with the groups of a card in them.
        "DE95 4111 1111 1111 1111 00",
        "abcdefab-4111-1111-8111-1116abcdefab",
        "12 4111 1111 1111 1111 17 8841",
        "41 11 11 11 11 11 11 11",
        "4111-1111 1111-1111",
        "411 1111 1111 11111",
        "4111    1111    1111    1111",
    ] {
        stays(text);
    }
}

/// How many of the values are masked.
fn masked(family: &str, mut value: impl FnMut(&mut StdRng) -> String) -> usize {
    eprintln!("{family}: seed {SEED}");
    let mut rng = StdRng::seed_from_u64(SEED);
    let hit = |text: &String| mask_cards(text) != *text;
    let hits: Vec<_> = (0..VALUES).map(|_| value(&mut rng)).filter(hit).collect();
    eprintln!(
        "{family}: {} masked, such as {:?}",
        hits.len(),
        hits.first()
    );
    hits.len()
}

fn row(rng: &mut StdRng, numbers: usize, below: u32) -> String {
    let by = [" ", ", ", "\n", "\t", " - ", ". "][rng.random_range(0..6)];
    let numbers = (0..numbers).map(|_| rng.random_range(0..below).to_string());
    numbers.collect::<Vec<_>>().join(by)
}

fn phone(rng: &mut StdRng) -> String {
    let shapes: &[&str] = &[
        "+49 176 #### ####",
        "+49 176 ########",
        "+1 415 555 ####",
        "(###) 555-####",
        "415-555-####",
        "415 555 ####",
        "0176 #### ####",
        "0176 ########",
        "020 7946 ####",
        "+44 20 7946 ####",
        "+44 7700 ######",
        "07700 ######",
        "06 ## ## ## ##",
        "+33 6 ## ## ## ##",
        "030 #######",
        "+351 912 ### ###",
        "98### #####",
        "+91 98### #####",
        "0049176########",
    ];
    let shape = shapes[rng.random_range(0..shapes.len())].chars();
    let digit = |c| match c {
        '#' => (b'0' + rng.random_range(0..10)) as char,
        c => c,
    };
    shape.map(digit).collect()
}

#[test]
fn numbers_of_other_families_are_never_masked() {
    type Family = (&'static str, fn(&mut StdRng) -> String);
    let families: &[Family] = &[
        ("ten numbers below 100", |rng| row(rng, 10, 100)),
        ("ten numbers below 1,000", |rng| row(rng, 10, 1_000)),
        ("20 digits", |rng| random(rng, 20)),
        ("22 digits", |rng| random(rng, 22)),
        ("26 digits", |rng| random(rng, 26)),
        ("milliseconds", |rng| time(rng, 1_000)),
        ("microseconds", |rng| time(rng, 1_000_000)),
        ("nanoseconds", |rng| time(rng, 1_000_000_000)),
        ("decimals", |rng| rng.random::<f64>().to_string()),
        ("large decimals", |rng| {
            (rng.random::<f64>() * 1e6).to_string()
        }),
        ("coordinates", |rng| {
            let (latitude, longitude) = (
                rng.random_range(-90.0..90.0),
                rng.random_range(-180.0..180.0),
            );
            format!("{latitude}, {longitude}")
        }),
        ("UUIDs", uuid),
        ("two phones", |rng| {
            let by = [" ", " / ", ", ", "\n", " or "][rng.random_range(0..5)];
            format!("{}{by}{}", phone(rng), phone(rng))
        }),
        ("an order and a phone", |rng| {
            let digits = rng.random_range(5..11);
            format!("{} {}", random(rng, digits), phone(rng))
        }),
        ("EAN-13", |rng| {
            let number = random(rng, 12);
            let weighed = number.bytes().enumerate();
            let sum: u32 = weighed
                .map(|(place, digit)| u32::from(digit - b'0') * [1, 3][place % 2])
                .sum();
            format!("{number}{}", (10 - sum % 10) % 10)
        }),
    ];
    for (family, value) in families {
        assert_eq!(masked(family, value), 0, "{family}");
    }
}

fn in_fours(number: &str) -> String {
    let groups: Vec<_> = number
        .as_bytes()
        .chunks(4)
        .map(String::from_utf8_lossy)
        .collect();
    groups.join(" ")
}

fn time(rng: &mut StdRng, unit: u64) -> String {
    (rng.random_range(1_000_000_000..2_000_000_000u64) * unit + rng.random_range(0..unit))
        .to_string()
}

fn uuid(rng: &mut StdRng) -> String {
    uuid::Builder::from_random_bytes(rng.random())
        .into_uuid()
        .to_string()
}

/// Upper bounds, per thousand, for what passes the checksum and the network ranges.
#[test]
fn numbers_like_cards_are_rarely_masked() {
    type Family = (&'static str, usize, fn(&mut StdRng) -> String);
    let families: &[Family] = &[
        ("eight numbers below 10,000", 10, |rng| row(rng, 8, 10_000)),
        ("20 digits in fours", 5, |rng| in_fours(&random(rng, 20))),
        ("22 digits in fours", 2, |rng| in_fours(&random(rng, 22))),
        ("26 digits in fours", 2, |rng| in_fours(&random(rng, 26))),
        ("16 digits", 50, |rng| random(rng, 16)),
        ("18 digits", 25, |rng| random(rng, 18)),
    ];
    for (family, most, value) in families {
        let hits = masked(family, value);
        assert!(hits * 1_000 < most * VALUES, "{family}: {hits}");
    }
}

#[test]
fn only_a_whole_card_is_a_card() {
    for name in [
        "4111111111111111",
        "4111-1111-1111-1111",
        " 3782 822463 10005 ",
        "6304 0000 0000 0000 000",
    ] {
        assert!(is_card(name), "{name}");
    }
    for name in [
        "u-4111111111111111",
        "4111111111111111-1",
        "4111111111111112",
        "+4111111111111111",
        "4000000000000000006",
        "4222222222222",
        "4111 1111 1111 1111 5555 5555 5555 4444",
        "",
        "-",
        "4444444444444444",
    ] {
        assert!(!is_card(name), "{name}");
    }
}
