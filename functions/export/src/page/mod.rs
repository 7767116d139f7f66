//! `index.html`: a person's data in a form that the person can read. One file without scripts
//! or external resources. All text in it is untrusted: `html!` escapes it.
//!
//! Messages are stored by conversation, not by time. Each is rendered as it is read, and the
//! page writes them in chronological order. Rendered records wait in memory; when they become
//! too large, they are written to a separate page that `index.html` links to.

mod frame;
mod text;

use std::collections::HashMap;
use std::io::{self, Write};

use jiff::Timestamp;
use maud::{Markup, PreEscaped, display, html};
use serde_json::Value;
use shared::base::id::KeyedHash;
use shared::domain::export::Kind;
use shared::domain::people::profile::Profile;
use shared::domain::records::content::{Author, FileState};
use shared::domain::records::rows::{Attachment, Conversation, Interaction, Message, Record};

use crate::processing::Processing;
use text::{address, line, size, time};

/// Conversations shown with their titles; a person may have millions.
const TITLES: usize = 50_000;

/// Everything that the page shows besides the records.
pub struct Facts<'a> {
    pub kind: Kind,
    pub made_at: Timestamp,
    pub profile: &'a Profile,
    /// Empty for an export for portability.
    pub processing: &'a [Processing],
    pub left_out: &'a [Value],
}

/// The page under construction.
#[derive(Default)]
pub struct Page {
    /// Whether agents are named.
    agents: bool,
    /// The start of each conversation, and its heading.
    conversations: HashMap<KeyedHash, (Timestamp, String)>,
    messages: String,
    placed: Vec<Placed>,
    files: String,
    usage: String,
    /// The pages that were written earlier.
    earlier: Vec<String>,
}

/// The position of a message among the others.
struct Placed {
    conversation: KeyedHash,
    at: Timestamp,
    from: usize,
    to: usize,
}

impl Page {
    pub fn new(agents: bool) -> Page {
        Page {
            agents,
            ..Page::default()
        }
    }

    /// Adds a record. `path`: its file in the archive.
    pub fn add(&mut self, record: &Record, path: Option<&str>) {
        match record {
            Record::Conversation(it) if self.conversations.len() < TITLES => {
                self.conversations
                    .insert(it.hash, (it.at, line(heading(it))));
            }
            Record::Conversation(_) => {}
            Record::Message(it) => {
                let from = self.messages.len();
                self.messages.push_str(&line(message(it, self.agents)));
                self.placed.push(Placed {
                    conversation: it.id.conversation,
                    at: it.at,
                    from,
                    to: self.messages.len(),
                });
            }
            Record::Attachment(it) => self.files.push_str(&line(file(it, path))),
            Record::Interaction(it) => self.usage.push_str(&line(interaction(it))),
        }
    }

    /// The bytes held in memory.
    pub fn length(&self) -> usize {
        let placed = self.placed.len() * size_of::<Placed>();
        self.messages.len() + placed + self.files.len() + self.usage.len()
    }

    /// The name of the page that [`Page::turn`] would write.
    pub fn next_name(&self) -> String {
        format!("more-{}.html", self.earlier.len() + 1)
    }

    /// Writes the waiting records as a separate page.
    ///
    /// # Errors
    /// When writing fails, as below.
    pub fn turn(&mut self, page: &mut impl Write) -> io::Result<()> {
        let name = self.next_name();
        page.write_all(line(frame::more(self.earlier.len() + 1)).as_bytes())?;
        self.records(page)?;
        page.write_all(frame::END.as_bytes())?;
        self.messages.clear();
        self.placed.clear();
        self.files.clear();
        self.usage.clear();
        self.earlier.push(name);
        Ok(())
    }

    /// Writes the whole page, except for what earlier pages hold.
    ///
    /// # Errors
    /// As [`Page::turn`].
    pub fn render(mut self, facts: &Facts<'_>, page: &mut impl Write) -> io::Result<()> {
        page.write_all(line(frame::before(facts, &self.earlier)).as_bytes())?;
        self.records(page)?;
        page.write_all(line(frame::after(facts)).as_bytes())?;
        page.write_all(frame::END.as_bytes())
    }

    /// The waiting records.
    fn records(&mut self, page: &mut impl Write) -> io::Result<()> {
        self.talk(page)?;
        let heads = html! {
            th { "File" } th { "Type" } th.number { "Size" } th { "Stored since" }
        };
        let none = self.earlier.is_empty().then_some("No files.");
        rows(page, "files", "Files", &heads, &self.files, none)?;
        let heads = html! {
            th { "Help item" } th { "Where" }
            th.number { "Loaded" } th.number { "Viewed" } th.number { "Clicked" }
            th { "First" } th { "Last" }
        };
        let title = "Help content shown to you";
        rows(page, "usage", title, &heads, &self.usage, None)
    }

    /// Conversations by their start, messages by their time.
    fn talk(&mut self, page: &mut impl Write) -> io::Result<()> {
        if self.placed.is_empty() && !self.earlier.is_empty() {
            return Ok(());
        }
        page.write_all(b"<section id=\"messages\"><h2>Conversations</h2>\n")?;
        if self.placed.is_empty() {
            page.write_all(b"<p class=\"soft\">No messages.</p>\n")?;
        }
        self.placed
            .sort_by_key(|it| (it.conversation, it.at, it.from));
        let talks = self
            .placed
            .chunk_by(|one, next| one.conversation == next.conversation);
        let mut talks: Vec<_> = talks
            .map(|talk| (self.conversations.get(&talk[0].conversation), talk))
            .collect();
        talks.sort_by_key(|(known, talk)| {
            (known.map_or(talk[0].at, |it| it.0), talk[0].conversation)
        });
        for (known, talk) in talks {
            let heading = known.map_or("<h3>Conversation</h3>\n", |it| it.1.as_str());
            page.write_all(heading.as_bytes())?;
            page.write_all(b"<ol class=\"talk\">\n")?;
            for it in talk {
                page.write_all(&self.messages.as_bytes()[it.from..it.to])?;
            }
            page.write_all(b"</ol>\n")?;
        }
        page.write_all(b"</section>\n")
    }
}

fn heading(it: &Conversation) -> Markup {
    let title = it.content.title.as_deref().unwrap_or("Conversation");
    html! { h3 { bdi { (title) } " " small { (time(it.at)) } } }
}

fn message(it: &Message, agents: bool) -> Markup {
    html! {
        li class=[(it.author == Author::EndUser).then_some("yours")] {
            p.by {
                @match (it.author, it.content.member.as_deref().filter(|_| agents)) {
                    (Author::EndUser, _) => "You",
                    (Author::Agent, None) => "Agent",
                    (Author::Agent, Some(member)) => { "Agent " bdi { (member) } },
                }
                " · " (time(it.at))
            }
            @match &it.content.body {
                Some(body) => p.body { (body) },
                None => p.body.soft { "This message has been redacted." },
            }
            @if !it.content.attachments.is_empty() {
                p.files {
                    @for (index, id) in it.content.attachments.iter().enumerate() {
                        @if index > 0 { ", " }
                        a href={ "#" (id) } { "attached file" }
                    }
                }
            }
        }
    }
}

fn file(it: &Attachment, path: Option<&str>) -> Markup {
    let (name, content_type) = match &it.content {
        Some(content) => (content.filename.as_str(), content.content_type.as_str()),
        None => ("Redacted file", ""),
    };
    html! {
        tr id=(display(&it.id)) {
            td {
                @match (path, it.state) {
                    (Some(path), _) => a href=(address(path)) download { bdi { (name) } },
                    (None, FileState::Redacted) => (name),
                    (None, FileState::Rejected) => {
                        bdi { (name) } " " span.soft { "(rejected as unsafe)" }
                    },
                    (None, _) => {
                        bdi { (name) } " " span.soft { "(not included in this copy)" }
                    },
                }
            }
            td { (content_type) }
            td.number { (size(it.size)) }
            td { (time(it.at)) }
        }
    }
}

fn interaction(it: &Interaction) -> Markup {
    html! {
        tr {
            td { bdi { (it.content.item_id) } }
            td { bdi { (it.content.scope.as_deref().unwrap_or_default()) } }
            td.number { (it.loaded) }
            td.number { (it.viewed) }
            td.number { (it.clicked) }
            td { (time(it.first_at)) }
            td { (time(it.last_at)) }
        }
    }
}

/// A section with a table of rows that were rendered before.
fn rows(
    page: &mut impl Write,
    id: &str,
    title: &str,
    heads: &Markup,
    rows: &str,
    none: Option<&str>,
) -> io::Result<()> {
    if rows.is_empty() && none.is_none() {
        return Ok(());
    }
    let section = html! {
        section id=(id) {
            h2 { (title) }
            @if let ("", Some(none)) = (rows, none) {
                p.soft { (none) }
            } @else {
                div.scroll {
                    table {
                        thead { tr { (heads) } }
                        tbody { (PreEscaped(rows)) }
                    }
                }
            }
        }
    };
    writeln!(page, "{}", section.0)
}

#[cfg(test)]
mod tests {
    use shared::base::id;
    use shared::domain::life::door::{Counts, Door};
    use shared::domain::records::content::{
        AttachmentContent, ConversationContent, InteractionContent, Known, MessageContent,
    };
    use shared::domain::records::rows::Person;

    use serde_json::Map;

    use super::*;
    use crate::processing::of_every_category;

    const HOSTILE: &str = "</p><script>alert('x')</script>\" onload=\"x\" &amp; \u{0}";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + second).unwrap()
    }

    fn profile() -> Profile {
        let known = |value: &str| Known {
            value: value.into(),
            verified: true,
        };
        let field = |name: &str, value: &str| (name.to_owned(), known(value));
        let person = Person {
            identity: [field("name", HOSTILE)].into(),
            custom: [field("<b>plan</b>", HOSTILE)].into(),
            ..Person::default()
        };
        let door = Door {
            created_at: at(0),
            last_seen: at(60),
            vouched_at: at(60),
            visit_at: None,
            expires_at: Some(at(86_400)),
            rules_version: 1,
            counts: Counts::default(),
            uploads: Vec::new(),
            edition: 0,
            network: None,
            device: None,
        };
        let network = Map::from_iter([("url".to_owned(), HOSTILE.into())]);
        Profile {
            door,
            person,
            network,
            device: Map::new(),
        }
    }

    fn said(conversation: u8, uuid: u8, second: i64, author: Author, body: Option<&str>) -> Record {
        let mut message = [b'0'; 64];
        (message[31], message[63]) = (b'0' + conversation, b'0' + uuid);
        let id = format!("msg_{}", String::from_utf8_lossy(&message));
        Record::Message(Message {
            id: id::MessageId::parse(&id).unwrap(),
            author,
            at: at(second),
            rev: 1,
            redacted: body.is_none(),
            content: MessageContent {
                conversation_id: HOSTILE.into(),
                body: body.map(str::to_owned),
                attachments: vec![HOSTILE.into()],
                member: Some(format!("mem_{HOSTILE}")),
            },
        })
    }

    fn conversation(number: u8, second: i64, title: &str) -> Record {
        let mut hash = [0; 16];
        hash[15] = number;
        let content = ConversationContent {
            conversation_id: "c".into(),
            title: Some(title.into()),
        };
        Record::Conversation(Conversation {
            hash: KeyedHash(hash),
            at: at(second),
            messages: 1,
            content,
        })
    }

    fn render(kind: Kind, agents: bool, records: &[(Record, Option<&str>)]) -> String {
        let mut page = Page::new(agents);
        for (record, path) in records {
            page.add(record, *path);
        }
        let processing = of_every_category(30);
        let facts = Facts {
            kind,
            made_at: at(100),
            profile: &profile(),
            processing: if kind == Kind::Access {
                &processing
            } else {
                &[]
            },
            left_out: &[serde_json::json!({"what": HOSTILE, "count": 2, "why": "redacted"})],
        };
        let mut html = Vec::new();
        page.render(&facts, &mut html).unwrap();
        String::from_utf8(html).unwrap()
    }

    #[test]
    fn what_strangers_wrote_is_text_and_nothing_else() {
        let file = Record::Attachment(Attachment {
            id: id::AttachmentId::random(),
            state: FileState::Clean,
            size: 1_500_000,
            at: at(1),
            version: Some("v".into()),
            verdict: None,
            conversation: None,
            content: Some(AttachmentContent {
                conversation_id: None,
                filename: HOSTILE.into(),
                content_type: HOSTILE.into(),
                sha256: String::new(),
            }),
            purging: false,
        });
        let item = Record::Interaction(Interaction {
            hash: KeyedHash([1; 16]),
            loaded: 3,
            viewed: 2,
            clicked: 1,
            first_at: at(1),
            last_at: at(2),
            content: InteractionContent {
                item_id: HOSTILE.into(),
                scope: Some(HOSTILE.into()),
            },
        });
        let html = render(
            Kind::Access,
            true,
            &[
                (conversation(1, 0, HOSTILE), None),
                (said(1, 1, 1, Author::Agent, Some(HOSTILE)), None),
                (file, Some("attachments/att_1-a \"b\" #1?.pdf")),
                (item, None),
            ],
        );
        assert!(
            !html.contains("<script") && !html.contains("onload=\"x\"") && !html.contains('\u{0}')
        );
        assert!(html.contains("&lt;script&gt;alert('x')"));
        assert!(html.contains("<bdi>&lt;b&gt;plan&lt;/b&gt;</bdi>"));
        assert!(html.contains("href=\"attachments/att_1-a%20%22b%22%20%231%3F.pdf\""));
        assert!(html.contains("default-src 'none'"));
        // No external resources: every address is within the archive.
        for scheme in ["http:", "https:", "src=", "url(", "@import"] {
            assert!(!html.contains(scheme), "{scheme}");
        }
    }

    #[test]
    fn conversations_read_in_the_order_in_which_they_were_held() {
        let html = render(
            Kind::Portability,
            false,
            &[
                (conversation(1, 50, "later talk"), None),
                (conversation(2, 0, "first talk"), None),
                (said(1, 1, 51, Author::EndUser, Some("third")), None),
                (said(2, 1, 20, Author::Agent, Some("second")), None),
                (said(2, 2, 10, Author::EndUser, Some("first")), None),
                (said(1, 2, 60, Author::EndUser, None), None),
            ],
        );
        let order = [
            "first talk",
            ">first<",
            ">second<",
            "later talk",
            ">third<",
            "has been redacted",
        ];
        let places: Vec<_> = order.iter().map(|text| html.find(text).unwrap()).collect();
        assert!(places.is_sorted(), "{places:?}");
        assert!(!html.contains("mem_") && html.contains("Agent · "));
        assert!(!html.contains("How your data is used") && !html.contains("Your last visit"));
    }

    #[test]
    fn a_person_of_whom_little_is_known_gets_a_page() {
        let html = render(Kind::Access, false, &[]);
        assert!(html.contains("No messages.") && html.contains("No files."));
        assert!(!html.contains("Help content shown to you"));
        assert!(html.contains("How your data is used") && html.contains("Your last visit"));
    }
}
