//! Records as answers and exports show them. An absent value is left out.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::base::id::{AttachmentId, KeyedHash, MessageId};
use crate::crypto::HashKey;
use crate::domain::records::content::{Author, FileState, Verdict};
use crate::domain::records::rows::{Attachment, Conversation, Interaction, Message, Record};

/// A record of a person.
#[derive(Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schemars(rename = "Record")]
pub enum RecordView {
    Conversation {
        conversation_id: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        at: Timestamp,
        /// The number of messages.
        messages: u64,
    },
    Message {
        message: MessageId,
        conversation_id: String,
        author: Author,
        /// The agent who wrote it.
        #[serde(skip_serializing_if = "Option::is_none")]
        member: Option<String>,
        at: Timestamp,
        /// Absent once the whole message is redacted.
        #[serde(skip_serializing_if = "Option::is_none")]
        body: Option<String>,
        /// A keyed hash of the body. The redaction of a part requires it.
        #[serde(skip_serializing_if = "Option::is_none")]
        content_hash: Option<KeyedHash>,
        redacted: bool,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        attachments: Vec<String>,
    },
    Attachment {
        attachment: AttachmentId,
        #[serde(skip_serializing_if = "Option::is_none")]
        conversation_id: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        filename: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        content_type: Option<String>,
        /// SHA-256 of the file, in hexadecimal.
        #[serde(skip_serializing_if = "Option::is_none")]
        sha256: Option<String>,
        /// Bytes.
        size: u64,
        at: Timestamp,
        state: FileState,
        #[serde(skip_serializing_if = "Option::is_none")]
        verdict: Option<Verdict>,
    },
    Interaction {
        item_id: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        scope: Option<String>,
        loaded: u64,
        viewed: u64,
        clicked: u64,
        first_at: Timestamp,
        last_at: Timestamp,
    },
}

impl Conversation {
    pub fn view(&self) -> RecordView {
        RecordView::Conversation {
            conversation_id: self.content.conversation_id.clone(),
            title: self.content.title.clone(),
            at: self.at,
            messages: self.messages,
        }
    }
}

impl Message {
    pub fn view(&self, hash: &HashKey) -> RecordView {
        let content = &self.content;
        RecordView::Message {
            message: self.id,
            conversation_id: content.conversation_id.clone(),
            author: self.author,
            member: content.member.clone(),
            at: self.at,
            body: content.body.clone(),
            content_hash: content.body.as_deref().map(|body| hash.content(body)),
            redacted: self.redacted,
            attachments: content.attachments.clone(),
        }
    }
}

impl Attachment {
    pub fn view(&self) -> RecordView {
        let content = self.content.as_ref();
        RecordView::Attachment {
            attachment: self.id,
            conversation_id: content.and_then(|it| it.conversation_id.clone()),
            filename: content.map(|it| it.filename.clone()),
            content_type: content.map(|it| it.content_type.clone()),
            sha256: content.map(|it| it.sha256.clone()),
            size: self.size,
            at: self.at,
            state: self.state,
            verdict: self.verdict.clone(),
        }
    }
}

impl Interaction {
    pub fn view(&self) -> RecordView {
        RecordView::Interaction {
            item_id: self.content.item_id.clone(),
            scope: self.content.scope.clone(),
            loaded: self.loaded,
            viewed: self.viewed,
            clicked: self.clicked,
            first_at: self.first_at,
            last_at: self.last_at,
        }
    }
}

impl Record {
    pub fn view(&self, hash: &HashKey) -> RecordView {
        match self {
            Record::Conversation(it) => it.view(),
            Record::Message(it) => it.view(hash),
            Record::Attachment(it) => it.view(),
            Record::Interaction(it) => it.view(),
        }
    }
}
