//! Harmless and harmful files, and the verdicts on them.

use std::io::{Cursor, Write};

use jiff::Timestamp;
use shared::domain::records::content::{AttachmentContent, Verdict};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::archive::{ENTRIES, FREE_BYTES};
use crate::inspect::{inspect, sha256};

const EICAR: &[u8] = br"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*";
const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

/// One transparent pixel.
const PNG: &[u8] =
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89\
    \0\0\0\rIDATx\x9cc\0\x01\0\0\x05\0\x01\r\n-\xb4\0\0\0\0IEND\xaeB`\x82";
const GIF: &[u8] = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\x04\x01\0\0\0\0,\
    \0\0\0\0\x01\0\x01\0\0\x02\x01D\0;";
const JPEG: &[u8] =
    b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xff\xdb\0C\0\x08\xff\xd9";
const PDF: &[u8] = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n\
    2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n";
const CSV: &[u8] = "name,city\nZo\u{eb},K\u{f6}ln\n".as_bytes();
const JSON: &[u8] = br#"{"order": 4711, "lines": ["a", "b"]}"#;
const HTML: &[u8] = b"<!-- hello -->\n<!DOCTYPE html>\n<html><body>hello</body></html>";
const SVG: &[u8] =
    b"<?xml version=\"1.0\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\"><path d=\"M0 0\"/></svg>";

/// The start of a Windows program: DOS header and stub, then the PE signature.
fn program() -> Vec<u8> {
    let mut bytes = vec![0; 256];
    bytes[..2].copy_from_slice(b"MZ");
    bytes[0x3c] = 0x80;
    bytes[0x4e..][..38].copy_from_slice(b"This program cannot be run in DOS mode");
    bytes[0x80..][..4].copy_from_slice(b"PE\0\0");
    bytes
}

fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn docx(more: &[(&str, &[u8])]) -> Vec<u8> {
    let parts: &[(&str, &[u8])] = &[
        ("[Content_Types].xml", b"<?xml version=\"1.0\"?><Types/>"),
        ("_rels/.rels", b"<?xml version=\"1.0\"?><Relationships/>"),
        ("word/document.xml", b"<?xml version=\"1.0\"?><w:document/>"),
    ];
    zip(&[parts, more].concat())
}

fn judge(filename: &str, content_type: &str, bytes: &[u8]) -> Verdict {
    let said = AttachmentContent {
        conversation_id: None,
        filename: filename.to_owned(),
        content_type: content_type.to_owned(),
        sha256: sha256(bytes),
    };
    inspect(bytes, bytes.len() as u64, &said, Timestamp::UNIX_EPOCH)
}

/// The reasons for rejecting a file; empty when it is clean.
fn reasons(content_type: &str, bytes: &[u8]) -> Vec<String> {
    judge("file", content_type, bytes).reasons
}

#[track_caller]
fn clean(content_type: &str, media_type: &str, bytes: &[u8]) {
    let verdict = judge("file", content_type, bytes);
    let expected = Verdict {
        media_type: media_type.to_owned(),
        scanned_at: Some(Timestamp::UNIX_EPOCH),
        ..Verdict::default()
    };
    assert_eq!(verdict, expected, "as {content_type}");
}

#[test]
fn files_that_are_what_they_are_said_to_be_are_clean() {
    clean("image/png", "image/png", PNG);
    clean("image/jpeg", "image/jpeg", JPEG);
    clean("image/jpg", "image/jpeg", JPEG);
    clean("IMAGE/GIF", "image/gif", GIF);
    clean("application/pdf", "application/pdf", PDF);
    clean("text/csv", "text/plain", CSV);
    clean("application/vnd.ms-excel", "text/plain", CSV);
    clean("application/json", "application/json", JSON);
    clean("text/plain", "application/json", JSON);
    clean("text/html", "text/html", HTML);
    clean("image/svg+xml", "image/svg+xml", SVG);
    clean(
        "application/xml",
        "text/xml",
        b"<?xml version=\"1.0\"?><order/>",
    );
    clean(
        "text/markdown",
        "text/html",
        b"<p align=center>Hello</p>\n\n# Title",
    );
    clean(
        "application/zip",
        "application/zip",
        &zip(&[("notes.txt", b"hello")]),
    );
    clean("application/x-zip-compressed", "application/zip", &zip(&[]));
    clean(DOCX, DOCX, &docx(&[]));
    clean("application/zip", DOCX, &docx(&[]));
    clean("application/octet-stream", "image/png", PNG);
    clean(
        "application/octet-stream",
        "application/octet-stream",
        &[7, 0, 1, 0xfe],
    );
}

#[test]
fn text_is_text_in_every_encoding_and_whatever_letters_it_begins_with() {
    clean(
        "text/plain",
        "text/plain",
        b"MZ is how Windows programs begin, BM how bitmaps do.",
    );
    clean("text/csv", "text/plain", b"PK001;bolt\r\n");
    clean("text/csv", "text/plain", b"0707123456;Anna\r\n");
    clean("text/csv", "text/plain", b"name;city\r\nZo\xeb;K\xf6ln\r\n");
    clean("text/plain", "text/plain", b"\xff\xfeh\0i\0");
    clean(
        "text/plain",
        "text/plain",
        b"\x1b[31merror\x1b[0m: it broke\n",
    );
    let long = format!("[\"{}\"]", "\u{20ac}".repeat(100_000));
    clean("application/json", "application/json", long.as_bytes());
    clean("application/json", "application/json", b"\xef\xbb\xbf{}");
}

#[test]
fn mislabelled_files_are_caught() {
    for (content_type, bytes) in [
        ("application/pdf", PNG),
        ("image/png", JPEG),
        ("image/png", HTML),
        ("text/plain", HTML),
        ("image/png", SVG),
        ("text/plain", SVG),
        ("image/svg+xml", HTML),
        ("text/plain", PDF),
        ("image/jpeg", CSV),
        ("text/plain", PNG),
        ("application/json", CSV),
        ("application/json", b"{\"never\": \"closed\""),
        ("video/mp4", b"\x07\0\x01\0\xfe"),
    ] {
        assert_eq!(
            reasons(content_type, bytes),
            ["type_mismatch"],
            "{content_type}"
        );
    }
    assert_eq!(
        reasons(DOCX, &zip(&[("notes.txt", b"hello")])),
        ["type_mismatch"]
    );
    assert_eq!(
        reasons(DOCX, &zip(&[("word/notes.txt", b"hello")])),
        ["type_mismatch"]
    );
    assert_eq!(reasons(XLSX, &docx(&[])), ["type_mismatch"]);
    assert_eq!(reasons("application/pdf", &docx(&[])), ["type_mismatch"]);
}

#[test]
fn programs_and_scripts_are_rejected_whatever_they_are_called() {
    let verdict = judge("holiday.jpg", "image/jpeg", &program());
    assert_eq!(verdict.reasons, ["type_mismatch", "executable", "malware"]);
    assert_eq!(verdict.rules, ["portable_executable"]);
    assert_eq!(
        verdict.media_type,
        "application/vnd.microsoft.portable-executable"
    );
    let honest = reasons("application/vnd.microsoft.portable-executable", &program());
    assert_eq!(honest, ["executable", "malware"]);
    assert_eq!(
        reasons("application/octet-stream", b"MZ\x90\0\x03\0"),
        ["executable"]
    );
    let elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0>\0";
    assert_eq!(
        judge("a", "application/octet-stream", elf).rules,
        ["elf_executable"]
    );
    let mach_o = b"\xcf\xfa\xed\xfe\x07\0\0\x01";
    assert_eq!(
        judge("a", "application/octet-stream", mach_o).rules,
        ["mach_o_executable"]
    );
    for script in [
        &b"#!/bin/sh\nrm -rf /"[..],
        b"#! /opt/x\n",
        b"@Echo Off\r\ndel *",
    ] {
        assert_eq!(reasons("application/octet-stream", script), ["executable"]);
    }
    assert_eq!(reasons("text/javascript", b"alert(1)"), ["executable"]);
    for name in ["run.VBS", "invoice.pdf.exe", "a.bat. "] {
        assert_eq!(
            judge(name, "text/plain", b"hello").reasons,
            ["executable"],
            "{name}"
        );
    }
    assert!(judge("sh", "text/plain", b"hello").reasons.is_empty());
}

#[test]
fn programs_hidden_in_other_files_are_found() {
    let picture = [PNG, &program()].concat();
    assert_eq!(
        judge("a.png", "image/png", &picture).rules,
        ["portable_executable"]
    );
    let packed = zip(&[("holiday.jpg", &program())]);
    assert_eq!(
        reasons("application/zip", &packed),
        ["executable", "malware"]
    );
    let named = zip(&[("folder/run.cmd", b"dir")]);
    assert_eq!(reasons("application/zip", &named), ["executable"]);
    let speaking = b"\"This program cannot be run in DOS mode\" is all I see.";
    clean("text/plain", "text/plain", speaking);
}

#[test]
fn documents_that_act_when_opened_are_rejected() {
    let rules = |content_type, bytes: &[u8]| judge("file", content_type, bytes).rules;
    let script = PDF
        .to_vec()
        .into_iter()
        .chain(*b"/OpenAction<</S/JavaScript/JS(app.alert\\(1\\))>>");
    assert_eq!(
        rules("application/pdf", &script.collect::<Vec<_>>()),
        ["pdf_runs_script"]
    );
    let launch = [PDF, b"<</S /Launch /F (cmd)>>"].concat();
    assert_eq!(rules("application/pdf", &launch), ["pdf_launches_program"]);
    let view = [PDF, b"/OpenAction[3 0 R/Fit]"].concat();
    clean("application/pdf", "application/pdf", &view);
    let macros = docx(&[("word/vbaProject.bin", b"\xd0\xcf\x11\xe0")]);
    assert_eq!(rules(DOCX, &macros), ["office_macro"]);
    let rtf = b"{\\rtf1{\\object\\objemb\\objupdate{\\*\\objdata 0105}}}";
    assert_eq!(rules("application/rtf", rtf), ["rtf_opens_object"]);
    let svg = b"<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"x()\"/>";
    assert_eq!(rules("image/svg+xml", svg), ["svg_script"]);
}

#[test]
fn the_test_file_is_found_as_its_definition_says() {
    let found = |bytes: &[u8]| judge("file", "application/octet-stream", bytes).rules;
    let padded = |more: &[u8]| [EICAR, more].concat();
    assert_eq!(judge("eicar.txt", "text/plain", EICAR).reasons, ["malware"]);
    assert_eq!(found(EICAR), ["eicar_test_file"]);
    assert_eq!(found(&padded(b"\r\n\x1a")), ["eicar_test_file"]);
    assert_eq!(found(&padded(&[b' '; 60])), ["eicar_test_file"]);
    assert!(found(&padded(&[b' '; 61])).is_empty());
    assert!(found(&padded(b" and more")).is_empty());
    assert!(found(&[b" ", EICAR].concat()).is_empty());
    assert!(found(&[&[b'x'; 129], EICAR].concat()).is_empty());
}

#[test]
fn the_test_file_is_found_in_archives() {
    let packed = zip(&[("notes.txt", b"hello"), ("eicar.txt", EICAR)]);
    let verdict = judge("a.zip", "application/zip", &packed);
    assert_eq!(
        (verdict.reasons, verdict.rules),
        (
            vec!["malware".to_owned()],
            vec!["eicar_test_file".to_owned()]
        )
    );
    assert_eq!(
        reasons("application/zip", &zip(&[("inner.zip", &packed)])),
        ["malware"]
    );
    assert_eq!(
        reasons(DOCX, &docx(&[("word/media/a.txt", EICAR)])),
        ["malware"]
    );
}

#[test]
fn archives_are_examined_one_level_down_and_no_further() {
    let one = zip(&[("notes.txt", b"hello")]);
    let two = zip(&[("one.zip", &one)]);
    let three = zip(&[("two.zip", &two)]);
    clean("application/zip", "application/zip", &two);
    assert_eq!(reasons("application/zip", &three), ["archive_nesting"]);
    clean(DOCX, DOCX, &docx(&[("word/embeddings/table.xlsx", &one)]));
}

#[test]
fn archives_that_unpack_to_too_much_are_rejected() {
    let zeros = vec![0; usize::try_from(FREE_BYTES).unwrap()];
    clean(
        "application/zip",
        "application/zip",
        &zip(&[("zeros", &zeros)]),
    );
    let bomb = zip(&[("zeros", &zeros), ("one more", b"x")]);
    assert_eq!(reasons("application/zip", &bomb), ["archive_limit"]);
    let layered = zip(&[(
        "bomb.zip",
        &zip(&[("zeros", &[zeros.clone(), zeros].concat())]),
    )]);
    assert_eq!(reasons("application/zip", &layered), ["archive_limit"]);
}

#[test]
fn archives_of_too_many_entries_are_rejected() {
    let names: Vec<_> = (0..=ENTRIES).map(|number| number.to_string()).collect();
    let entries: Vec<(&str, &[u8])> = names.iter().map(|it| (it.as_str(), &b""[..])).collect();
    assert_eq!(
        reasons("application/zip", &zip(&entries)),
        ["archive_limit"]
    );
    clean(
        "application/zip",
        "application/zip",
        &zip(&entries[..ENTRIES]),
    );
    let halves = entries.split_at(ENTRIES / 2);
    let two = zip(&[("one.zip", &zip(halves.0)), ("two.zip", &zip(halves.1))]);
    assert_eq!(reasons("application/zip", &two), ["archive_limit"]);
}

#[test]
fn archives_that_cannot_be_examined_are_rejected() {
    let good = zip(&[("notes.txt", b"hello"), ("more.txt", b"world")]);
    for length in [4, 10, good.len() / 2, good.len() - 1] {
        let found = reasons("application/zip", &good[..length]);
        assert!(
            found.contains(&"archive_unreadable".to_owned()),
            "{length}: {found:?}"
        );
    }
    let mut changed = zip(&[("a", &b"hello ".repeat(50))]);
    changed[33] ^= 0xff;
    assert_eq!(reasons("application/zip", &changed), ["archive_unreadable"]);
    let mut locked = good.clone();
    for header in [&b"PK\x03\x04"[..], b"PK\x01\x02"] {
        let flags = if header[2] == 3 { 6 } else { 8 };
        for at in 0..locked.len() - 4 {
            if locked[at..].starts_with(header) {
                locked[at + flags] |= 1;
            }
        }
    }
    assert_eq!(reasons("application/zip", &locked), ["archive_encrypted"]);
    assert_eq!(
        reasons("application/zip", &zip(&[("../up.txt", b"hello")])),
        ["archive_path"]
    );
    let hidden = [&good[..], &zip(&[("other.txt", b"hello")])].concat();
    assert_eq!(reasons("application/zip", &hidden), ["archive_unreadable"]);
    let split = [b"PK00", &zip(&[("eicar.txt", EICAR)])[..]].concat();
    assert!(!reasons("application/zip", &split).is_empty());
    let seven = b"7z\xbc\xaf\x27\x1c\0\x04";
    assert_eq!(
        reasons("application/x-7z-compressed", seven),
        ["archive_unreadable"]
    );
    let within = zip(&[("a.7z", seven)]);
    assert_eq!(reasons("application/zip", &within), ["archive_unreadable"]);
}

#[test]
fn archives_written_in_one_pass_are_read() {
    let mut zip = ZipWriter::new_stream(Vec::new());
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let options = SimpleFileOptions::default().compression_method(method);
        zip.start_file(method.to_string(), options).unwrap();
        zip.write_all(b"hello").unwrap();
    }
    let bytes = zip.finish().unwrap().into_inner();
    clean("application/zip", "application/zip", &bytes);
}

#[test]
fn other_bytes_than_announced_are_rejected() {
    let said = AttachmentContent {
        conversation_id: None,
        filename: "a.png".into(),
        content_type: "image/png".into(),
        sha256: sha256(GIF),
    };
    let verdict = inspect(PNG, 1, &said, Timestamp::UNIX_EPOCH);
    assert_eq!(verdict.reasons, ["size_mismatch", "checksum_mismatch"]);
}

/// Damaged files get a verdict and never cause a panic.
#[test]
fn no_bytes_make_the_judge_fail() {
    let samples = [
        PNG,
        JPEG,
        PDF,
        HTML,
        SVG,
        JSON,
        &docx(&[]),
        &program(),
        &zip(&[("a", EICAR)]),
    ];
    // A small linear congruential generator: the same damage in every run.
    let mut seed = 42_u64;
    let mut random = |below: usize| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % below
    };
    for round in 0..2_000 {
        let mut bytes = samples[round % samples.len()].to_vec();
        for _ in 0..=random(8) {
            let at = random(bytes.len());
            bytes[at] = u8::try_from(random(256)).unwrap();
        }
        bytes.truncate(bytes.len() - random(2) * random(bytes.len()));
        let _verdict = judge("file", "application/zip", &bytes);
    }
}
