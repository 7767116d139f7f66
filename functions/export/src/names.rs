//! Names of people's files in the archive: valid on Windows, macOS and Linux, and displayed
//! without deception. Pure.

use shared::base::id::AttachmentId;
use unicode_normalization::UnicodeNormalization;

/// The longest file name that file systems allow, in bytes of UTF-8.
const NAME: usize = 255;
/// The longest part that a person chose, in units of UTF-16: Windows counts the whole path in
/// them and allows 260.
const UNITS: usize = 100;
/// The longest extension that is kept when a name is shortened.
const EXTENSION: usize = 16;

/// The path of a person's file in the archive. The id in front makes it unique, regardless of
/// case, and avoids names that Windows reserves.
pub fn attachment_path(id: AttachmentId, filename: &str) -> String {
    let id = format!("{id}-");
    let name = sanitise(filename, NAME - id.len());
    format!("attachments/{id}{name}")
}

/// A file's name without its path, in NFC, without invisible and direction-changing
/// characters, shortened before its extension.
fn sanitise(filename: &str, bytes: usize) -> String {
    let last = filename.rsplit(['/', '\\']).next().unwrap_or_default();
    let shown: String = last
        .nfc()
        .filter(|c| !c.is_control() && !invisible(*c))
        .map(|c| if "<>:\"|?*".contains(c) { '_' } else { c })
        .collect();
    let name = trim(&shown);
    if name.is_empty() {
        return "file".to_owned();
    }
    if fits(name, bytes) {
        return name.to_owned();
    }
    let extension = name.rsplit_once('.').map(|(_, extension)| trim(extension));
    let extension = extension.filter(|it| !it.is_empty() && fits_within(it, EXTENSION));
    let end = extension.map_or(String::new(), |it| format!(".{it}"));
    let mut stem = name.strip_suffix(end.as_str()).unwrap_or(name);
    while !fits(&format!("{stem}{end}"), bytes) {
        let mut letters = stem.chars();
        letters.next_back();
        stem = letters.as_str();
    }
    format!("{}{end}", trim(stem))
}

fn fits(name: &str, bytes: usize) -> bool {
    name.len() <= bytes && fits_within(name, UNITS)
}

fn fits_within(name: &str, units: usize) -> bool {
    name.encode_utf16().count() <= units
}

/// Windows drops trailing dots and blanks; leading dots hide a file.
fn trim(name: &str) -> &str {
    name.trim_matches(|c: char| c == '.' || c.is_whitespace())
}

/// Invisible characters: fillers, joiners, selectors, and directional marks (Unicode's
/// `Default_Ignorable_Code_Point`, line separators, and letters that render blank). They can
/// make a text look like another.
pub fn invisible(c: char) -> bool {
    matches!(c,
        '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
        | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}' | '\u{2800}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}'
        | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{1BCA0}'..='\u{1BCA3}'
        | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: usize = 218;

    #[test]
    fn a_files_name_stays_within_its_folder_and_says_what_it_is() {
        for (given, kept) in [
            ("report.pdf", "report.pdf"),
            ("../../etc/passwd", "passwd"),
            ("C:\\Users\\ada\\cv.docx", "cv.docx"),
            ("..", "file"),
            ("", "file"),
            ("\u{200B}\u{3164}", "file"),
            ("a\u{0}b\r\n.txt", "ab.txt"),
            ("exe\u{202E}fdp.scr", "exefdp.scr"),
            ("a<b>:c?.png", "a_b__c_.png"),
            (" .hidden. ", "hidden"),
            ("Überweisung 1.pdf", "Überweisung 1.pdf"),
            ("e\u{301}.txt", "é.txt"),
        ] {
            assert_eq!(sanitise(given, BYTES), kept, "{given:?}");
        }
    }

    #[test]
    fn a_long_name_keeps_its_extension_and_ends_in_a_letter() {
        let long = sanitise(&format!("{}.pdf", "ä".repeat(300)), BYTES);
        assert_eq!(long, format!("{}.pdf", "ä".repeat(96)));
        assert_eq!(sanitise(&"x".repeat(300), BYTES), "x".repeat(100));
        let japanese = sanitise(&format!("{}.txt", "日本".repeat(60)), BYTES);
        assert!(
            japanese.len() > BYTES - 3 && japanese.ends_with(".txt"),
            "{japanese}"
        );
        let cut = sanitise(&format!("{} {}", "x".repeat(99), "y".repeat(60)), BYTES);
        assert_eq!(cut, "x".repeat(99));
        let cut = sanitise(
            &format!("{} . {}.txt", "x".repeat(94), "y".repeat(60)),
            BYTES,
        );
        assert_eq!(cut, format!("{}.txt", "x".repeat(94)));
    }

    #[test]
    fn any_name_is_taken_by_every_file_system() {
        let pieces = [
            "x", ".", " ", "日", "👩", "e\u{301}", "\u{202E}", "\u{200D}", "/", "\\", ":", "CON",
            "\u{7}", "한",
        ];
        for length in [1, 3, 20, 99, 120, 400] {
            for seed in 0..200_usize {
                let name: String = (0..length)
                    .map(|at| pieces[(at * at + seed * (at + 7)) % pieces.len()])
                    .collect();
                let path = attachment_path(AttachmentId::random(), &name);
                let (folder, name) = path.split_once('/').unwrap();
                assert_eq!(folder, "attachments");
                assert!(
                    name.len() <= NAME && name.encode_utf16().count() <= 37 + UNITS,
                    "{name}"
                );
                assert!(name.len() > 37 && !name.ends_with(['.', ' ']), "{name:?}");
                let refused = |c: char| c.is_control() || invisible(c) || "<>:\"/\\|?*".contains(c);
                assert!(!name.contains(refused), "{name:?}");
                assert_eq!(name.nfc().collect::<String>(), name);
            }
        }
    }
}
