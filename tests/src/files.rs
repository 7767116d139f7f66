//! Files: announced with the tenant's `ingest` key unless another is given, sent by a link,
//! and fetched by one.

use http::{Request, Response};
use local::client::Client;
use serde_json::{Value, json};

use crate::{Reply, Service};

/// Every scanner takes this for malware.
pub const EICAR: &[u8] = br"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*";

/// The announcement of a text.
pub fn note(visitor: &str, body: &[u8]) -> Value {
    json!({"visitor_id": visitor, "filename": "note.txt", "content_type": "text/plain",
           "size": body.len(), "sha256": sha256(body)})
}

impl Service {
    /// Announces a text. The answer, with its link.
    pub async fn announce(&self, visitor: &str, body: &[u8]) -> Value {
        let announced = self.post("/v1/attachments", &self.ours.ingest, note(visitor, body));
        announced.await.expect(201)
    }

    /// Announces the text `hello` with a key.
    pub async fn announce_with(&self, key: &str, visitor: &str) -> Reply {
        let file = note(visitor, b"hello");
        self.post("/v1/attachments", key, file).await
    }

    /// Uploads a file for a visitor through its link and lets it be scanned. Its id.
    pub async fn upload(
        &self,
        visitor: &str,
        filename: &str,
        content_type: &str,
        body: &[u8],
    ) -> String {
        let announced = self
            .post(
                "/v1/attachments",
                &self.ours.ingest,
                json!({"visitor_id": visitor, "conversation_id": "c-1", "filename": filename,
                       "content_type": content_type, "size": body.len(), "sha256": sha256(body)}),
            )
            .await
            .expect(201);
        let reply = self.put(&announced["upload"], body).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        self.settle().await;
        file_of(&announced).to_owned()
    }

    /// Sends a body by an upload link.
    pub async fn put(&self, upload: &Value, body: &[u8]) -> Reply {
        let headers = upload["headers"].as_object().expect("headers");
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str().unwrap_or_default()))
            .collect();
        let url = upload["url"].as_str().expect("a link");
        self.raw("PUT", url, &headers, body.to_vec()).await
    }

    /// Uploads the text `hello` for a visitor and lets it be scanned. Its id.
    pub async fn attach(&self, visitor: &str) -> String {
        let (name, text) = ("note.txt", b"hello");
        self.upload(visitor, name, "text/plain", text).await
    }

    /// What is shown of a file.
    pub async fn attachment(&self, subject: &str, file: &str) -> Value {
        let path = format!("/v1/subjects/{subject}/attachments/{file}");
        self.get(&path, &self.ours.owner).await.expect(200)
    }
}

/// The id of an announced file.
pub fn file_of(announced: &Value) -> &str {
    announced["attachment"].as_str().expect("an id")
}

/// Follows a link: the status, and the bytes as they came.
pub async fn fetch(link: &Value) -> (u16, Vec<u8>) {
    let answer = follow(link).await;
    (answer.status().as_u16(), answer.into_body())
}

/// Follows a link with no key, as a browser does. The whole answer.
pub async fn follow(link: &Value) -> Response<Vec<u8>> {
    let url = link["url"].as_str().expect("a link");
    let request = Request::get(url).body("").expect("a URL");
    let answer = Client::default().send(request).await;
    answer.expect("the bucket answers").map(Vec::from)
}

/// SHA-256 in hexadecimal.
pub fn sha256(body: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body);
    digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
