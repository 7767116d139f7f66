//! Cue words: the words before a number that say what it is.

/// A number after one of these is a card.
const CARD: &[&str] = &[
    "amex",
    "bankcard",
    "bankkarte",
    "bankkort",
    "betaalkaart",
    "card",
    "cardno",
    "cardnumber",
    "cards",
    "carta",
    "carte",
    "cartes",
    "cartão",
    "cc",
    "ccnumber",
    "creditcard",
    "creditkaart",
    "debitcard",
    "kaart",
    "kaartnummer",
    "kart",
    "karta",
    "karte",
    "karten",
    "kartennummer",
    "kartı",
    "karty",
    "kort",
    "kortnummer",
    "kreditkarte",
    "kreditkort",
    "kredittkort",
    "maestro",
    "mastercard",
    "pan",
    "pay",
    "tarjeta",
    "visa",
    "карта",
    "карты",
    "カード",
    "카드",
    "卡号",
    "银行卡",
];

/// A number after one of these words is not a card.
const OTHER: &[&str] = &[
    "account",
    "barcode",
    "bestellung",
    "call",
    "commande",
    "ean",
    "epoch",
    "facture",
    "fax",
    "gtin",
    "handy",
    "iban",
    "imei",
    "invoice",
    "isbn",
    "konto",
    "mobile",
    "order",
    "parcel",
    "pedido",
    "phone",
    "rechnung",
    "ref",
    "reference",
    "sendung",
    "serial",
    "shipment",
    "sku",
    "tel",
    "telefon",
    "telephone",
    "ticket",
    "timestamp",
    "tracking",
    "upc",
    "uuid",
];

/// How many characters before a number are searched for a cue word.
const REACH: usize = 60;

/// Whether the nearest cue word before `at` announces a card.
pub fn card_before(text: &str, at: usize) -> bool {
    let before = &text[..at];
    let start = before.char_indices().rev().nth(REACH - 1);
    let before = &before[start.map_or(0, |(start, _)| start)..];
    before
        .rsplit(|c: char| !c.is_alphabetic())
        .filter(|word| !word.is_empty())
        .find_map(|word| {
            let word = word.to_lowercase();
            let tells = |words: &[&str]| words.contains(&word.as_str());
            match (tells(CARD), tells(OTHER)) {
                (false, false) => None,
                (card, _) => Some(card),
            }
        })
        .unwrap_or(false)
}
