//! Detects a file's actual type and compares it with the declared type. Examines bytes; knows
//! nothing of verdicts or the contents of archives.

use file_format::{FileFormat, Kind};

/// The type that the bytes show.
pub struct FileType {
    pub media_type: String,
    /// A program, a package of programs or a script. No attachment may be one.
    pub runs: bool,
    /// An archive, compressed file or disk image other than a ZIP: its contents cannot be
    /// examined.
    pub opaque: bool,
}

/// Formats that run when opened, besides those whose kind says so.
const RUNNING_FORMATS: [FileFormat; 10] = [
    FileFormat::ClojureScript,
    FileFormat::LuaScript,
    FileFormat::MicrosoftCompiledHtmlHelp,
    FileFormat::MsDosBatch,
    FileFormat::PerlScript,
    FileFormat::PythonScript,
    FileFormat::RubyScript,
    FileFormat::ShellScript,
    FileFormat::ToolCommandLanguageScript,
    FileFormat::WindowsShortcut,
];

/// Detects the actual type.
pub fn detect(bytes: &[u8]) -> FileType {
    let format = FileFormat::from_bytes(bytes);
    match text(bytes) {
        Some(text) if !believed_in_text(format) => detect_text(&text, format),
        None if format == FileFormat::PlainText => of(FileFormat::ArbitraryBinaryData),
        // Too short or unusual to identify the kind of program, but a program nevertheless.
        None if bytes.starts_with(b"MZ") && format == FileFormat::ArbitraryBinaryData => {
            of(FileFormat::MsDosExecutable)
        }
        _ => of(format),
    }
}

fn of(format: FileFormat) -> FileType {
    FileType {
        media_type: format.media_type().to_owned(),
        runs: matches!(format.kind(), Kind::Executable | Kind::Package)
            || RUNNING_FORMATS.contains(&format),
        opaque: matches!(format.kind(), Kind::Archive | Kind::Compressed | Kind::Disk)
            && format != FileFormat::Zip,
    }
}

/// Whether to trust a format's signature in a file that is text throughout. Many signatures
/// are two to four letters, with which a note may begin as well (`MZ`, `BM`).
fn believed_in_text(format: FileFormat) -> bool {
    matches!(
        format,
        FileFormat::GraphicsInterchangeFormat
            | FileFormat::PortableDocumentFormat
            | FileFormat::AdobeIllustratorArtwork
            | FileFormat::Postscript
            | FileFormat::EncapsulatedPostscript
            | FileFormat::RichTextFormat
    )
}

/// Decodes a text: UTF-8, UTF-16 with a byte order mark, or an older eight-bit encoding. A
/// text has no control characters except white space and the escape of coloured logs.
fn text(bytes: &[u8]) -> Option<String> {
    let wide = |unit: fn([u8; 2]) -> u16| {
        let units = bytes[2..].chunks(2);
        let units = units.map(|pair| unit([pair[0], *pair.get(1).unwrap_or(&0)]));
        char::decode_utf16(units)
            .collect::<Result<String, _>>()
            .ok()
    };
    let text = match bytes {
        [0xff, 0xfe, ..] => wide(u16::from_le_bytes)?,
        [0xfe, 0xff, ..] => wide(u16::from_be_bytes)?,
        _ => match std::str::from_utf8(bytes) {
            Ok(text) => text.trim_start_matches('\u{feff}').to_owned(),
            // An eight-bit encoding has no mark: accept it only if no signature matches.
            Err(_) if FileFormat::from_bytes(bytes) == FileFormat::ArbitraryBinaryData => {
                bytes.iter().copied().map(char::from).collect()
            }
            Err(_) => return None,
        },
    };
    let control = |c: char| (c < ' ' && !matches!(c, '\t'..='\r' | '\x1b')) || c == '\x7f';
    (!text.contains(control)).then_some(text)
}

fn detect_text(text: &str, format: FileFormat) -> FileType {
    let kind = |media_type: &str| FileType {
        media_type: media_type.to_owned(),
        runs: false,
        opaque: false,
    };
    let start = text.trim_start();
    if RUNNING_FORMATS.contains(&format) {
        return of(format);
    }
    let batch = start
        .get(..9)
        .is_some_and(|it| it.eq_ignore_ascii_case("@echo off"));
    if text.starts_with("#!") || batch {
        return FileType {
            runs: true,
            ..kind("text/x-shellscript")
        };
    }
    match first_tag(start).as_deref() {
        Some("svg") => return kind("image/svg+xml"),
        Some(tag) if HTML_TAGS.contains(&tag) => return kind("text/html"),
        _ => {}
    }
    let json = start.starts_with(['{', '[']) && {
        serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
    };
    if json {
        return kind("application/json");
    }
    let media_type = format.media_type();
    match is_text(media_type) && media_type != "text/html" {
        true => kind(media_type),
        false => kind("text/plain"),
    }
}

/// The tags by which browsers recognise HTML (WHATWG MIME Sniffing, 7.1).
const HTML_TAGS: [&str; 16] = [
    "html", "head", "script", "iframe", "h1", "div", "font", "table", "a", "style", "title", "b",
    "body", "br", "p", "meta",
];

/// The name of the first element after prolog, comments and document type; or the document
/// type's own name if it is `html` or `svg`.
fn first_tag(mut text: &str) -> Option<String> {
    loop {
        text = text.trim_start();
        let ending = match text {
            _ if text.starts_with("<!--") => "-->",
            _ if text.starts_with("<?") => "?>",
            _ if text.starts_with("<!") => ">",
            _ => break,
        };
        let (declaration, rest) = text.split_once(ending)?;
        let mut words = declaration.split_ascii_whitespace();
        if words
            .next()
            .is_some_and(|it| it.eq_ignore_ascii_case("<!doctype"))
            && let Some(name) = words.next().map(str::to_ascii_lowercase)
            && matches!(name.as_str(), "html" | "svg")
        {
            return Some(name);
        }
        text = rest;
    }
    let name = text.strip_prefix('<')?;
    let end = name.find(|c: char| c.is_whitespace() || matches!(c, '>' | '/'))?;
    Some(name[..end].to_ascii_lowercase())
}

/// Whether a file of this type is plain text.
fn is_text(media_type: &str) -> bool {
    media_type.starts_with("text/")
        || media_type.ends_with("+xml")
        || media_type.ends_with("+json")
        || TEXTS.contains(&media_type)
}

/// Text media types that are not recognisable by their names.
const TEXTS: &[&str] = &[
    "application/json",
    "application/ld+json",
    "application/mbox",
    "application/pgp",
    "application/pgp-keys",
    "application/pgp-signature",
    "application/sql",
    "application/toml",
    "application/x-empty",
    "application/x-ndjson",
    "application/x-pem-file",
    "application/x-subrip",
    "application/x-tex",
    "application/x-yaml",
    "application/yaml",
    "message/rfc822",
    // The type that browsers send for CSV on Windows with Excel installed.
    "application/vnd.ms-excel",
];

/// Whether a file whose type is `actual` may be declared as `declared`.
pub fn agree(declared: &str, actual: &str) -> bool {
    let (declared, actual) = (declared.to_ascii_lowercase(), actual.to_ascii_lowercase());
    let (declared, actual) = (one_name(&declared), one_name(&actual));
    if declared == actual || declared == "application/octet-stream" {
        return true;
    }
    let xml = |media_type: &str| media_type == "text/xml" || media_type.ends_with("+xml");
    let json = |media_type: &str| media_type == "application/json" || media_type.ends_with("+json");
    match actual {
        // Formats without a signature: CSV, Markdown, mail, logs. JSON would be detected.
        "text/plain" => is_text(declared) && !json(declared) && declared != "image/svg+xml",
        "application/json" => is_text(declared) && !xml(declared),
        "text/html" => matches!(declared, "text/markdown" | "application/xhtml+xml"),
        "image/svg+xml" => declared == "text/xml",
        "text/xml" => declared == "text/plain" || (xml(declared) && declared != "image/svg+xml"),
        _ if is_text(actual) => declared == "text/plain" || (xml(actual) && xml(declared)),
        "application/mp4" => matches!(declared, "audio/mp4" | "video/mp4"),
        // A compound file whose root does not identify the application.
        "application/x-cfb" => OFFICE_BINARY.contains(&declared),
        _ => declared == "application/zip" && is_zip_based(actual),
    }
}

const OFFICE_BINARY: [&str; 7] = [
    "application/msword",
    "application/vnd.ms-excel",
    "application/vnd.ms-outlook",
    "application/vnd.ms-powerpoint",
    "application/vnd.ms-project",
    "application/vnd.ms-publisher",
    "application/vnd.visio",
];

fn is_zip_based(media_type: &str) -> bool {
    media_type.starts_with("application/vnd.openxmlformats-officedocument.")
        || media_type.starts_with("application/vnd.oasis.opendocument.")
        || media_type == "application/epub+zip"
}

/// Maps types with several names, or types that cannot be distinguished, to one name.
fn one_name(media_type: &str) -> &str {
    if media_type.starts_with("application/vnd.openxmlformats-officedocument.") {
        // Document and template; presentation and slide show.
        return media_type
            .rsplit_once('.')
            .map_or(media_type, |(family, _)| family);
    }
    match media_type {
        "application/x-zip" | "application/x-zip-compressed" => "application/zip",
        "application/x-pdf" | "application/vnd.adobe.illustrator" => "application/pdf",
        "application/x-rtf" | "text/rtf" => "application/rtf",
        "application/xml" => "text/xml",
        "application/csv" => "text/csv",
        "image/jpg" | "image/pjpeg" => "image/jpeg",
        "image/x-png" | "image/apng" => "image/png",
        "image/x-bmp" | "image/x-ms-bmp" => "image/bmp",
        "image/x-icon" => "image/vnd.microsoft.icon",
        "image/tif" => "image/tiff",
        "image/heic" | "image/heic-sequence" | "image/heif-sequence" => "image/heif",
        "image/avif-sequence" => "image/avif",
        "audio/mp3" | "audio/x-mp3" | "audio/x-mpeg" | "application/x-id3v2" => "audio/mpeg",
        "audio/wav" | "audio/wave" | "audio/x-wav" => "audio/vnd.wave",
        "audio/x-flac" => "audio/flac",
        "audio/x-m4a" | "audio/m4a" => "audio/mp4",
        "audio/x-aac" => "audio/aac",
        "audio/aiff" => "audio/x-aiff",
        "audio/webm" => "video/webm",
        "audio/opus" | "audio/ogg" | "video/ogg" => "application/ogg",
        "audio/x-matroska" | "video/x-matroska" | "audio/matroska" => "video/matroska",
        "video/avi" | "video/msvideo" => "video/x-msvideo",
        "video/x-m4v" => "video/mp4",
        other => other,
    }
}

/// Media types of programs or scripts, regardless of the bytes.
const RUNNING_TYPES: [&str; 14] = [
    "application/hta",
    "application/java-archive",
    "application/javascript",
    "application/vnd.microsoft.portable-executable",
    "application/x-bat",
    "application/x-dosexec",
    "application/x-executable",
    "application/x-javascript",
    "application/x-msdos-program",
    "application/x-msdownload",
    "application/x-sh",
    "text/javascript",
    "text/vbscript",
    "text/x-shellscript",
];

/// File name extensions that a desktop runs on opening.
const RUNNING_NAMES: [&str; 24] = [
    "app", "bat", "cmd", "com", "cpl", "exe", "hta", "jar", "js", "jse", "lnk", "msi", "msp",
    "pif", "ps1", "reg", "scf", "scr", "sh", "vbe", "vbs", "wsf", "wsh", "xll",
];

/// Whether the declared type is a program or a script.
pub fn declared_to_run(media_type: &str) -> bool {
    RUNNING_TYPES.contains(&media_type.to_ascii_lowercase().as_str())
}

/// Whether a file of this name runs when it is opened.
pub fn named_to_run(name: &str) -> bool {
    // Windows ignores dots and spaces at the end of a name.
    let name = name.trim_end_matches(['.', ' ']);
    let ending = name
        .rsplit_once('.')
        .map(|(_, ending)| ending.to_ascii_lowercase());
    ending.is_some_and(|ending| RUNNING_NAMES.contains(&ending.as_str()))
}
