//! `index.html`: what is kept about a person, as that person can read it. One file, without
//! scripts and without anything fetched; all text in it comes from strangers and is escaped.
//!
//! Messages are stored by conversation, not by time. So each is laid down as it is read, and
//! the page picks them up in the order in which they were written. What waits is kept in
//! memory: when it is a lot, it becomes a page of its own, which `index.html` leads to.

mod frame;
mod text;

use std::collections::HashMap;
use std::io::{self, Write};

use jiff::Timestamp;
use serde_json::Value;
use shared::base::id::KeyedHash;
use shared::domain::people::profile::Profile;
use shared::domain::records::content::{Author, FileState};
use shared::domain::records::rows::{Attachment, Conversation, Interaction, Message, Record};

use crate::processing::Processing;
use crate::request::Kind;
use text::{address, escape, push, size, time};

/// Conversations that are shown with their titles; a person may have millions.
const TITLES: usize = 50_000;

/// What the page says besides the records.
pub struct Facts<'a> {
    pub kind: Kind,
    pub made_at: Timestamp,
    pub profile: &'a Profile,
    /// None of it for an export that serves portability.
    pub processing: &'a [Processing],
    pub left_out: &'a [Value],
}

/// The page in the making.
#[derive(Default)]
pub struct Page {
    /// Whether agents are named.
    agents: bool,
    /// When each conversation began, and what stands above it.
    conversations: HashMap<KeyedHash, (Timestamp, String)>,
    messages: String,
    placed: Vec<Placed>,
    files: String,
    usage: String,
    /// The pages that were written before.
    earlier: Vec<String>,
}

/// Where a message lies among the others.
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

    /// Takes in a record. `path`: where its file lies in the archive.
    pub fn add(&mut self, record: &Record, path: Option<&str>) {
        match record {
            Record::Conversation(it) if self.conversations.len() < TITLES => {
                self.conversations.insert(it.hash, (it.at, heading(it)));
            }
            Record::Conversation(_) => {}
            Record::Message(it) => {
                let from = self.messages.len();
                self.messages.push_str(&message(it, self.agents));
                self.placed.push(Placed {
                    conversation: it.id.conversation,
                    at: it.at,
                    from,
                    to: self.messages.len(),
                });
            }
            Record::Attachment(it) => self.files.push_str(&file(it, path)),
            Record::Interaction(it) => self.usage.push_str(&interaction(it)),
        }
    }

    /// How much waits.
    pub fn length(&self) -> usize {
        let placed = self.placed.len() * size_of::<Placed>();
        self.messages.len() + placed + self.files.len() + self.usage.len()
    }

    /// The name of the page that [`Page::turn`] would write.
    pub fn next_name(&self) -> String {
        format!("more-{}.html", self.earlier.len() + 1)
    }

    /// Writes what waits as a page of its own.
    ///
    /// # Errors
    /// When it cannot be written, as below.
    pub fn turn(&mut self, page: &mut impl Write) -> io::Result<()> {
        let name = self.next_name();
        page.write_all(frame::more(self.earlier.len() + 1).as_bytes())?;
        self.records(page)?;
        page.write_all(frame::END.as_bytes())?;
        self.messages.clear();
        self.placed.clear();
        self.files.clear();
        self.usage.clear();
        self.earlier.push(name);
        Ok(())
    }

    /// The whole page, but what stands in earlier ones.
    ///
    /// # Errors
    /// As [`Page::turn`].
    pub fn render(mut self, facts: &Facts<'_>, page: &mut impl Write) -> io::Result<()> {
        page.write_all(frame::top(facts).as_bytes())?;
        page.write_all(frame::person(facts).as_bytes())?;
        page.write_all(frame::when(facts).as_bytes())?;
        page.write_all(frame::earlier(&self.earlier).as_bytes())?;
        self.records(page)?;
        page.write_all(frame::processing(facts).as_bytes())?;
        page.write_all(frame::bottom(facts).as_bytes())
    }

    /// The records that wait.
    fn records(&mut self, page: &mut impl Write) -> io::Result<()> {
        self.talk(page)?;
        let heads = "<th>File</th><th>Type</th><th class=\"number\">Size</th><th>Stored since</th>";
        let none = "<p class=\"soft\">No files.</p>";
        let none = self.earlier.is_empty().then_some(none);
        rows(page, "files", "Files", heads, &self.files, none)?;
        let heads = "<th>Help item</th><th>Where</th><th class=\"number\">Loaded</th>\
            <th class=\"number\">Viewed</th><th class=\"number\">Clicked</th><th>First</th><th>Last</th>";
        let title = "Help content shown to you";
        rows(page, "usage", title, heads, &self.usage, None)
    }

    /// Conversations by their beginning, messages by their time.
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

fn heading(it: &Conversation) -> String {
    let title = it.content.title.as_deref().unwrap_or("Conversation");
    format!(
        "<h3><bdi>{}</bdi> <small>{}</small></h3>\n",
        escape(title),
        time(it.at)
    )
}

fn message(it: &Message, agents: bool) -> String {
    let (class, by) = match (it.author, it.content.member.as_deref().filter(|_| agents)) {
        (Author::EndUser, _) => (" class=\"yours\"", "You".to_owned()),
        (Author::Agent, None) => ("", "Agent".to_owned()),
        (Author::Agent, Some(member)) => ("", format!("Agent <bdi>{}</bdi>", escape(member))),
    };
    let mut html = format!("<li{class}><p class=\"by\">{by} · {}</p>", time(it.at));
    match &it.content.body {
        Some(body) => push(
            &mut html,
            format_args!("<p class=\"body\">{}</p>", escape(body)),
        ),
        None => html.push_str("<p class=\"body soft\">This message has been redacted.</p>"),
    }
    if !it.content.attachments.is_empty() {
        let link = |id: &String| format!("<a href=\"#{0}\">attached file</a>", escape(id));
        let links: Vec<_> = it.content.attachments.iter().map(link).collect();
        push(
            &mut html,
            format_args!("<p class=\"files\">{}</p>", links.join(", ")),
        );
    }
    html.push_str("</li>\n");
    html
}

fn file(it: &Attachment, path: Option<&str>) -> String {
    let (name, content_type) = match &it.content {
        Some(content) => (escape(&content.filename), escape(&content.content_type)),
        None => ("Redacted file".to_owned(), String::new()),
    };
    let name = match (path, it.state) {
        (Some(path), _) => format!(
            "<a href=\"{}\" download><bdi>{name}</bdi></a>",
            address(path)
        ),
        (None, FileState::Redacted) => name,
        (None, FileState::Rejected) => {
            format!("<bdi>{name}</bdi> <span class=\"soft\">(rejected as unsafe)</span>")
        }
        (None, _) => {
            format!("<bdi>{name}</bdi> <span class=\"soft\">(not included in this copy)</span>")
        }
    };
    format!(
        "<tr id=\"{}\"><td>{name}</td><td>{content_type}</td><td class=\"number\">{}</td><td>{}</td></tr>\n",
        it.id,
        size(it.size),
        time(it.at)
    )
}

fn interaction(it: &Interaction) -> String {
    let mut html = format!(
        "<tr><td><bdi>{}</bdi></td><td><bdi>{}</bdi></td>",
        escape(&it.content.item_id),
        escape(it.content.scope.as_deref().unwrap_or_default())
    );
    for count in [it.loaded, it.viewed, it.clicked] {
        push(&mut html, format_args!("<td class=\"number\">{count}</td>"));
    }
    push(
        &mut html,
        format_args!(
            "<td>{}</td><td>{}</td></tr>\n",
            time(it.first_at),
            time(it.last_at)
        ),
    );
    html
}

/// A section with a table of rows that were laid down before.
fn rows(
    page: &mut impl Write,
    id: &str,
    title: &str,
    heads: &str,
    rows: &str,
    none: Option<&str>,
) -> io::Result<()> {
    let table = || {
        format!(
            "<div class=\"scroll\"><table><thead><tr>{heads}</tr></thead><tbody>\n{rows}</tbody></table></div>"
        )
    };
    let content = match (rows, none) {
        ("", None) => return Ok(()),
        ("", Some(none)) => none.to_owned(),
        _ => table(),
    };
    writeln!(
        page,
        "<section id=\"{id}\"><h2>{title}</h2>\n{content}\n</section>"
    )
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
        assert!(html.contains("&lt;script&gt;alert(&#39;x&#39;)"));
        assert!(html.contains("<bdi>&lt;b&gt;plan&lt;/b&gt;</bdi>"));
        assert!(html.contains("href=\"attachments/att_1-a%20%22b%22%20%231%3F.pdf\""));
        assert!(html.contains("default-src 'none'"));
        // Nothing is fetched: the only addresses are within the archive.
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
