//! Records as CSV rows (RFC 4180), for spreadsheets. JSON Lines is the lossless format.
//!
//! A cell that a spreadsheet would interpret as a formula is prefixed with an apostrophe,
//! since texts are untrusted. Every cell is quoted. The manifest documents this.

use std::io;

use serde_json::{Map, Value};
use shared::schema::catalog::Record;

use crate::names::invisible;

/// The columns of a record type: the names of the fields in its JSON form.
const fn columns(record: Record) -> &'static [&'static str] {
    match record {
        Record::Conversation => &["type", "conversation_id", "title", "at", "messages"],
        Record::Message => &[
            "type",
            "message",
            "conversation_id",
            "author",
            "member",
            "at",
            "body",
            "content_hash",
            "redacted",
            "attachments",
        ],
        Record::Attachment => &[
            "type",
            "attachment",
            "conversation_id",
            "filename",
            "content_type",
            "sha256",
            "size",
            "at",
            "state",
            "verdict",
            "file",
        ],
        Record::Interaction => &[
            "type", "item_id", "scope", "loaded", "viewed", "clicked", "first_at", "last_at",
        ],
        // These occur once and are in `subject.json`.
        Record::Visit | Record::Person => &[],
    }
}

/// Tells a spreadsheet that the text is UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{FEFF}".as_bytes();

/// One table, written row by row and held in memory.
pub struct Table {
    columns: Vec<&'static str>,
    writer: csv::Writer<Vec<u8>>,
}

impl Table {
    /// A table of the record's columns that are `wanted`.
    ///
    /// # Errors
    /// When memory fails, as everywhere below.
    pub fn new(record: Record, wanted: impl Fn(&str) -> bool) -> io::Result<Table> {
        let all = columns(record).iter().copied();
        let columns: Vec<_> = all.filter(|name| wanted(name)).collect();
        let mut writer = csv::WriterBuilder::new()
            .terminator(csv::Terminator::CRLF)
            .quote_style(csv::QuoteStyle::Always)
            .from_writer(BYTE_ORDER_MARK.to_vec());
        writer.write_record(&columns)?;
        Ok(Table { columns, writer })
    }

    /// # Errors
    /// As [`Table::new`].
    pub fn add(&mut self, row: &Map<String, Value>) -> io::Result<()> {
        let cells = self.columns.iter().map(|name| cell(row.get(*name)));
        self.writer.write_record(cells)?;
        Ok(())
    }

    /// The bytes held in memory.
    pub fn length(&self) -> usize {
        self.writer.get_ref().len()
    }

    /// # Errors
    /// As [`Table::new`].
    pub fn finish(self) -> io::Result<Vec<u8>> {
        self.writer
            .into_inner()
            .map_err(csv::IntoInnerError::into_error)
    }
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => guarded(text),
        // Lists contain ids, which have no commas.
        Some(Value::Array(values)) => {
            let texts = values.iter().filter_map(Value::as_str);
            guarded(&texts.collect::<Vec<_>>().join(" "))
        }
        Some(other) => other.to_string(),
    }
}

/// Prevents formula interpretation (OWASP, CSV Injection): inserts an apostrophe where a
/// formula would begin, at the text's start or after a cell or row separator. A spreadsheet
/// that splits at semicolons ignores our quotes.
fn guarded(text: &str) -> String {
    let mut guarded = String::with_capacity(text.len() + 8);
    // Whether a cell begins here; whether the text begins here; whether a separator occurred.
    let (mut begins, mut front, mut separated) = (true, true, false);
    for c in text.chars() {
        if begins && formula(c) {
            if front {
                guarded.insert(0, '\'');
            }
            if separated {
                guarded.push('\'');
            }
        }
        let separates = matches!(c, ';' | '|' | '\r' | '\n') || (c == '\t' && !front);
        begins = separates || (begins && skipped(c));
        front &= skipped(c);
        separated |= separates;
        guarded.push(c);
    }
    guarded
}

/// Characters that may begin a formula, including full-width ones.
fn formula(c: char) -> bool {
    matches!(
        c,
        '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠' | '﹦' | '﹢' | '﹣' | '﹫'
    )
}

/// Characters that a spreadsheet may skip before a formula.
fn skipped(c: char) -> bool {
    c == '"' || c.is_whitespace() || c.is_control() || invisible(c)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;
    use shared::base::id::{AttachmentId, KeyedHash};
    use shared::domain::records::content::{
        AttachmentContent, ConversationContent, FileState, InteractionContent, Verdict,
    };
    use shared::domain::records::rows;

    use super::*;

    #[test]
    fn formulas_are_quoted_and_text_is_kept() {
        for formula in [
            "=1+1",
            "+49",
            "-2",
            "@x",
            "\t=x",
            "＝1",
            " =1",
            "\u{A0}=1",
            "\u{200B}=1",
            "\u{FEFF}+1",
            "\u{3164}=1",
            "\"=1",
            "\u{E0001} -1",
        ] {
            assert_eq!(guarded(formula), format!("'{formula}"));
        }
        for (text, kept) in [
            ("hi;=1+1", "hi;'=1+1"),
            ("hi\";=1+1;\"", "hi\";'=1+1;\""),
            ("a\n=1", "a\n'=1"),
            ("a|\u{200B}@x|b", "a|\u{200B}'@x|b"),
            ("a\t +1;-2", "a\t '+1;'-2"),
            ("==;==", "'==;'=="),
            ("\r-x", "'\r'-x"),
            ("\n =x", "'\n '=x"),
            (";=x", ";'=x"),
        ] {
            assert_eq!(guarded(text), kept);
        }
        for text in ["", "hello", "a=b", "'quoted", "1-2", "a, -b", "x; y | z"] {
            assert_eq!(guarded(text), text);
        }
    }

    /// For every separator of cells, and every way of reading our quotes.
    #[test]
    fn no_cell_is_a_formula_whatever_separates_cells() {
        let texts = [
            "hi;=1+1",
            "hi\";=1+1;\"",
            ";\"=1",
            "a\n=1",
            "a\n\"=1+1\"",
            "x|=1",
            "x\t-1",
            "\"\n;=1",
            "a;\u{FEFF}=1",
        ];
        let mut table =
            Table::new(Record::Message, |name| name == "body" || name == "message").unwrap();
        for text in texts {
            let row = json!({"message": "m", "body": text});
            table.add(row.as_object().unwrap()).unwrap();
        }
        let bytes = table.finish().unwrap();
        for delimiter in [b',', b';', b'\t', b'|'] {
            for quoting in [true, false] {
                let mut reader = csv::ReaderBuilder::new();
                reader.delimiter(delimiter).quoting(quoting).flexible(true);
                for row in reader.from_reader(bytes.as_slice()).records() {
                    for cell in &row.unwrap() {
                        let begins = cell.trim_start_matches(skipped).chars().next();
                        assert!(
                            !begins.is_some_and(formula),
                            "{cell:?} by {}",
                            char::from(delimiter)
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn rows_read_back_as_they_were() {
        let wanted = |name: &str| ["message", "body", "attachments", "redacted"].contains(&name);
        let mut table = Table::new(Record::Message, wanted).unwrap();
        let row = json!({"message": "msg_1", "author": "agent", "redacted": false,
            "body": "two\r\nlines, \"quoted\"", "attachments": ["att_1", "att_2"]});
        table.add(row.as_object().unwrap()).unwrap();
        table.add(&Map::new()).unwrap();
        let text = String::from_utf8(table.finish().unwrap()).unwrap();
        let text = text.strip_prefix('\u{FEFF}').unwrap();
        assert!(text.starts_with("\"message\",\"body\",\"redacted\",\"attachments\"\r\n"));
        let rows: Vec<_> = csv::Reader::from_reader(text.as_bytes())
            .into_records()
            .map(|row| row.unwrap().iter().map(str::to_owned).collect::<Vec<_>>())
            .collect();
        assert_eq!(
            rows[0],
            ["msg_1", "two\r\nlines, \"quoted\"", "false", "att_1 att_2"]
        );
        assert_eq!(rows[1], ["", "", "", ""]);
    }

    #[test]
    fn every_name_of_a_records_json_has_a_column() {
        let (hash, at) = (KeyedHash([1; 16]), Timestamp::UNIX_EPOCH);
        let conversation = rows::Conversation {
            hash,
            at,
            messages: 1,
            content: ConversationContent {
                conversation_id: "c".into(),
                title: Some("t".into()),
            },
        };
        let attachment = rows::Attachment {
            id: AttachmentId::random(),
            state: FileState::Clean,
            size: 1,
            at,
            version: Some("v".into()),
            verdict: Some(Verdict::default()),
            conversation: Some(hash),
            content: Some(AttachmentContent {
                conversation_id: Some("c".into()),
                filename: "f".into(),
                content_type: "text/plain".into(),
                sha256: "s".into(),
            }),
            purging: false,
        };
        let interaction = rows::Interaction {
            hash,
            loaded: 1,
            viewed: 1,
            clicked: 1,
            first_at: at,
            last_at: at,
            content: InteractionContent {
                item_id: "i".into(),
                scope: Some("s".into()),
            },
        };
        for (record, json) in [
            (Record::Conversation, json!(conversation.view())),
            (Record::Attachment, json!(attachment.view())),
            (Record::Interaction, json!(interaction.view())),
        ] {
            for name in json.as_object().unwrap().keys() {
                assert!(columns(record).contains(&name.as_str()), "{name}");
            }
        }
    }
}
