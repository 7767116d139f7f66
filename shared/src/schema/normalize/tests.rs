use proptest::prelude::*;

use super::*;

/// Invisible wherever it is pasted.
const NOTHING: &[&str] = &[
    "\u{200b}",
    "\u{feff}",
    "\u{ad}",
    "\u{2060}",
    "\u{fe0f}",
    "\u{202a}",
    "\u{202c}",
    "\u{2066}",
    "\u{2069}",
    "\u{200e}",
    "\u{200f}",
    "\u{61c}",
    "\u{34f}",
    "\u{e0041}",
    "",
];

fn found(kind: &str, value: &str) -> String {
    found_by(kind, value).unwrap_or_else(|| panic!("{value:?} has a form"))
}

#[test]
fn an_address_is_found_however_it_is_pasted() {
    for address in [
        "ada@bücher.example",
        "ada@xn--bcher-kva.example",
        "ADA@XN--BCHER-KVA.EXAMPLE",
        "Ada@BÜCHER.example",
        "ada@bu\u{308}cher.example",
        "ada@bücher。example",
        "ada@bücher.example.",
        " ada@bücher.example\r\n",
        "mailto:ada@bücher.example?subject=hi",
        "Ada Lovelace <ada@bücher.example>",
        "ａｄａ＠bücher．example",
    ] {
        assert_eq!(found("email", address), "ada@bücher.example", "{address:?}");
    }
    assert_eq!(
        found("email", "É@x.example"),
        found("email", "e\u{301}@x.example")
    );
    assert_eq!(
        found("email", "ΟΔΟΣ@x.example"),
        found("email", "οδος@x.example")
    );
    // An Indic or Persian domain may contain an invisible joiner.
    let persian = found("email", "ada@نامه\u{200c}ای.example");
    assert_eq!(found("email", "ada@xn--mgba3gch31f060k.example"), persian);
    assert_ne!(
        found("email", "strauß@x.example"),
        found("email", "strauss@x.example")
    );
}

#[test]
fn an_address_is_kept_as_it_was_sent() {
    let kept = |text| email(text);
    assert_eq!(
        kept("\u{feff}Ada@Bu\u{308}cher.example\u{200b}"),
        Some("Ada@Bücher.example".into())
    );
    assert_eq!(
        kept("Ada@XN--BCHER-KVA.example"),
        Some("Ada@XN--BCHER-KVA.example".into())
    );
    for odd in [
        "", "\u{200b}", "ada", "@", "ada@", "@x", "a@b@c", "a b@c", "a@b c", "a@b, c@d", "a@b>",
    ] {
        assert_eq!(kept(odd), None, "{odd:?}");
    }
}

#[test]
fn a_number_is_found_however_it_is_written() {
    for number in [
        "+442079460001",
        "\u{202a}+44 20 7946 0001\u{202c}",
        "+44\u{a0}20\u{202f}7946\u{2009}0001",
        "+44\u{2011}20\u{2013}7946\u{2212}0001",
        "+44 20\u{200b} 7946 0001",
        "＋４４２０７９４６０００１",
        "+٤٤ ٢٠ ٧٩٤٦ ٠٠٠١",
        "+४४ २० ७९४६ ०००१",
        "tel:+44-20-7946-0001;ext=5",
        "TEL:+44-20-7946-0001;isub=1;ext=5",
        "+44 20 7946 0001 ext. 5",
        "+44 20 7946 0001 Extension: 512",
        "+44 20 7946 0001x5",
        "+44 20 7946 0001 (ext 5)",
        "+44 20 7946 0001 #5",
        "+44 20 7946 0001,,5#",
        "+44 (0)20 7946 0001",
        "+44 ( 0 ) 20 7946 0001",
        "+44 [0] 20 7946 0001",
        "+44 (020) 7946 0001",
        "(+44) 020 7946 0001",
        "0044 (0)20 7946 0001",
        "00 44 20 7946 0001",
        "+0044 20 7946 0001",
        "+44/20/7946.0001\n",
        "+4️⃣4️⃣ 20 7946 0001",
        "+44〜20・7946ー0001",
    ] {
        assert_eq!(found("phone", number), "+442079460001", "{number:?}");
    }
    assert_eq!(found("phone", "+39 06 698 12345"), "+390669812345");
    assert_eq!(found("phone", "+39 (0)6 698 12345"), "+390669812345");
    assert_eq!(found("phone", "+380 (0)44 123 4567"), "+380441234567");
    assert_eq!(found("phone", "+353 (0)1 234 5678"), "+35312345678");
    assert_eq!(found("phone", "+1 (415) 555-0100"), "+14155550100");
    for local in ["0151 2345678", "110", "+49 1"] {
        assert_eq!(found_by("phone", local), None, "{local}");
    }
}

#[test]
fn a_number_is_kept_as_it_was_sent() {
    assert_eq!(
        phone("\u{202a}+44\u{a0}20\u{2011}7946 0001\u{202c}"),
        Some("+44 20-7946 0001".into())
    );
    assert_eq!(
        phone("tel:+44-20-7946-0001;ext=5"),
        Some("+44-20-7946-0001;ext=5".into())
    );
    assert_eq!(
        phone("0151  2345678 Ext. 5"),
        Some("0151 2345678 Ext. 5".into())
    );
    for odd in [
        "",
        "call me",
        "12",
        "1234567890123456",
        "12 abc",
        "+44 + 20 7946",
        "44+20",
        "+49 151 x",
        "1;2",
    ] {
        assert_eq!(phone(odd), None, "{odd:?}");
    }
}

#[test]
fn every_script_counts_to_nine() {
    for zero in ['0', '٠', '०', '๐', '０', '\u{1d7ce}', '\u{1fbf0}'] {
        let digits: String = (0..10)
            .filter_map(|at| char::from_u32(u32::from(zero) + at))
            .collect();
        assert_eq!(phone(&digits), Some("0123456789".into()), "{zero}");
    }
    assert_eq!(phone("²²²"), None, "a superscript is no decimal digit");
}

#[test]
fn a_client_has_one_address_whatever_stands_around_it() {
    for (given, taken) in [
        ("203.0.113.9", "203.0.113.9"),
        ("203.0.113.9:54321", "203.0.113.9"),
        (" 203.0.113.9\t", "203.0.113.9"),
        ("203.0.113.9, 10.0.0.1", "203.0.113.9"),
        (", 203.0.113.9:80,10.0.0.1", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9:443", "203.0.113.9"),
        ("[::1]:443", "::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("\"[2001:db8::1]:4711\"", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%25eth0]:443", "fe80::1"),
        ("2001:DB8::1\u{200b}", "2001:db8::1"),
    ] {
        let taken = taken.parse().ok();
        assert_eq!(address(given), taken, "{given:?}");
    }
    for none in [
        "",
        ",",
        "unknown",
        "[::1",
        "203.0.113",
        "203.0.113.9:http",
        "1.2.3.4.5",
    ] {
        assert_eq!(address(none), None, "{none:?}");
    }
}

#[test]
fn a_line_break_is_a_blank() {
    assert_eq!(one_line("Ada \r\n\tLovelace\n"), "Ada Lovelace");
    assert_eq!(one_line("Ada\u{2028}Lovelace\0"), "Ada Lovelace");
    assert_eq!(one_line(" as it is "), " as it is ");
    assert!(blank(" \u{200b}\r\n\u{3000}") && !blank(" a ") && !blank("\0"));
}

/// A text made of these letters.
fn word(
    letters: &'static str,
    lengths: std::ops::Range<usize>,
) -> impl Strategy<Value = String> + Clone {
    let letters: Vec<_> = letters.chars().collect();
    let letters = prop::collection::vec(prop::sample::select(letters), lengths);
    letters.prop_map(String::from_iter)
}

/// A text, and the same text with an invisible character, or nothing, around each character.
fn decorated(text: String) -> impl Strategy<Value = (String, String)> {
    let length = text.chars().count() + 1;
    let between = prop::collection::vec(prop::sample::select(NOTHING), length);
    between.prop_map(move |between| {
        let mut decorated = between[0].to_owned();
        for (c, nothing) in text.chars().zip(&between[1..]) {
            decorated.push(c);
            decorated.push_str(nothing);
        }
        (text.clone(), decorated)
    })
}

fn an_address() -> impl Strategy<Value = String> {
    let local = word("abcxyz019.+-é", 1..12);
    let domain = word("abcxyzäöüéñ", 1..10);
    let top = prop::sample::select(&["example", "ελ", "中国"][..]);
    (local, domain, top).prop_map(|(local, domain, top)| format!("{local}@{domain}.{top}"))
}

/// In E.164 form, of a country whose numbers do not begin with a zero.
fn a_number() -> impl Strategy<Value = String> {
    let country = prop::sample::select(&["44", "49", "33", "46"][..]);
    (country, 1..10_u8, word("0123456789", 6..12))
        .prop_map(|(country, first, rest)| format!("+{country}{first}{rest}"))
}

/// Any text, biased towards significant characters.
fn anything() -> impl Strategy<Value = String> {
    let known = word(
        "aßΣς.@<>:;,+-() 00149x#İﬃＡ＠９٣\u{200b}\u{301}\u{ad}\n",
        1..2,
    );
    let piece = prop_oneof![known, any::<char>().prop_map(String::from)];
    prop::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn a_decorated_address_is_the_same_address((plain, decorated) in an_address().prop_flat_map(decorated)) {
        let form = found("email", &plain);
        prop_assert_eq!(&found("email", &decorated), &form);
        prop_assert_eq!(&found("email", &decorated.to_uppercase()), &form);
        prop_assert_eq!(&found("email", &decorated.nfd().collect::<String>()), &form);
        let (local, domain) = plain.split_once('@').unwrap();
        let ascii = idna::domain_to_ascii(domain).unwrap();
        prop_assert_eq!(&found("email", &format!("{local}@{ascii}")), &form);
    }

    #[test]
    fn a_decorated_number_is_the_same_number(
        (plain, decorated) in a_number().prop_flat_map(decorated),
        zero in prop::sample::select(&['0', '٠', '०', '０'][..]),
    ) {
        let other = |c: char| match c.to_digit(10) {
            Some(digit) => char::from_u32(u32::from(zero) + digit).unwrap(),
            None => c,
        };
        let other: String = decorated.chars().map(other).collect();
        prop_assert_eq!(&found("phone", &other), &plain);
        let parted = format!("00{}\u{a0}(0)\u{2011}{} ext. 12", &plain[1..3], &plain[3..]);
        prop_assert_eq!(found("phone", &parted), plain);
    }

    #[test]
    fn every_form_is_its_own_form(text in anything(), tail in anything()) {
        for text in [text.clone(), format!("{text}@{tail}"), format!("+{text}"), format!("+49 151 {text}")] {
            for kind in ["email", "phone", "user_id"] {
                if let Some(form) = found_by(kind, &text) {
                    prop_assert_eq!(found_by(kind, &form), Some(form.clone()), "{} {:?}", kind, text);
                }
            }
            for (kind, keep) in [("email", email as fn(&str) -> _), ("phone", phone)] {
                if let Some(kept) = keep(&text) {
                    prop_assert_eq!(keep(&kept), Some(kept.clone()), "{} {:?}", kind, text);
                    prop_assert_eq!(found_by(kind, &kept), found_by(kind, &text));
                }
            }
        }
    }

    #[test]
    fn an_address_of_a_client_is_its_own_form(text in anything(), bits in any::<u128>(), port in any::<u16>()) {
        if let Some(taken) = address(&text) {
            prop_assert_eq!(address(&taken.to_string()), Some(taken));
        }
        let v6 = std::net::Ipv6Addr::from(bits);
        let taken = Some(IpAddr::V6(v6).to_canonical());
        prop_assert_eq!(address(&format!("[{v6}]:{port}, {text}")), taken);
        prop_assert_eq!(address(&format!("{v6}%eth0")), taken);
    }
}
