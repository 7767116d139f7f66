//! People: what is sent of them, what is shown of them, and the rules they are under. All of
//! our tenant, with its owner's key unless a key is given.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::Service;

impl Service {
    /// Sends events. Their results.
    pub async fn send(&self, key: &str, events: Value) -> Vec<Value> {
        let sent = self.post("/v1/events", key, json!({"events": events}));
        let answer = sent.await.expect(200);
        answer["results"].as_array().expect("results").clone()
    }

    /// Sends one event. Its result.
    pub async fn send_one(&self, key: &str, event: Value) -> Value {
        self.send(key, json!([event])).await.remove(0)
    }

    /// Sends events with the tenant's `ingest` key; all must be stored. Their results.
    pub async fn store(&self, events: Value) -> Vec<Value> {
        let results = self.send(&self.ours.ingest, events).await;
        for result in &results {
            assert_eq!(result["status"], "stored", "{result}");
        }
        results
    }

    /// A visitor visits. Their subject.
    pub async fn visit(&self, visitor: &str) -> String {
        let event =
            json!([{"type": "visit", "visitor_id": visitor, "url": "https://shop.example/cart"}]);
        subject(&self.store(event).await[0])
    }

    /// What becomes of events: of each its status, or the reason for which it is not stored.
    pub async fn try_store(&self, events: Value) -> Vec<String> {
        let results = self.send(&self.ours.ingest, events).await;
        let told = results
            .iter()
            .map(|it| it["reason"].as_str().or(it["status"].as_str()));
        told.map(|it| it.expect("a status").to_owned()).collect()
    }

    /// What becomes of a visit.
    pub async fn try_visit(&self, visitor: &str) -> String {
        let visit = json!([{"type": "visit", "visitor_id": visitor}]);
        self.try_store(visit).await.remove(0)
    }

    /// Somebody of whom everything is known: a visit, identity, a conversation with two
    /// messages, an interaction. Their subject.
    pub async fn acquaint(&self, visitor: &str) -> String {
        let results = self
            .store(json!([
                {"type": "visit", "visitor_id": visitor, "url": "https://shop.example/cart", "ip": "203.0.113.9",
                 "device": {"browser": "Firefox", "os": "Linux"}},
                {"type": "identify", "visitor_id": visitor, "user_id": format!("u-{visitor}"), "name": "Ada Lovelace",
                 "email": format!("{visitor}@example.com"), "custom": {"plan": "gold"}},
                {"type": "message", "visitor_id": visitor, "conversation_id": "c-1", "title": "Invoice",
                 "author": "end_user", "body": "Where is my invoice?"},
                {"type": "message", "visitor_id": visitor, "conversation_id": "c-1", "author": "agent",
                 "member": "mem_1", "body": "On its way."},
                {"type": "interaction", "visitor_id": visitor, "item_id": "help-7", "action": "viewed"},
            ]))
            .await;
        subject(&results[0])
    }

    /// What is shown of somebody.
    pub async fn person(&self, subject: &str) -> Value {
        let path = format!("/v1/subjects/{subject}");
        self.get(&path, &self.ours.owner).await.expect(200)
    }

    /// Nobody of this name is found.
    pub async fn no_person(&self, subject: &str) {
        let path = format!("/v1/subjects/{subject}");
        self.get(&path, &self.ours.owner).await.expect(404);
    }

    /// Who is found by a value.
    pub async fn lookup(&self, value: Value) -> Vec<Value> {
        let found = self.post("/v1/lookup", &self.ours.owner, value).await;
        let found = found.expect(200);
        found["subjects"].as_array().expect("a list").clone()
    }

    /// The one who is found by a visitor id.
    pub async fn subject_of(&self, visitor: &str) -> String {
        subject(&self.lookup(json!({"visitor_id": visitor})).await[0])
    }

    /// Who is in a state, or under a rule: `active`, `held`, `restricted`, and so on.
    pub async fn in_state(&self, state: &str) -> Vec<Value> {
        self.list(&format!("/v1/subjects?state={state}")).await
    }

    /// Somebody's records of a type.
    pub async fn records(&self, subject: &str, kind: &str) -> Vec<Value> {
        let path = format!("/v1/subjects/{subject}/records?type={kind}&limit=100");
        self.list(&path).await
    }

    /// Corrects what is known of somebody, by a merge patch.
    pub async fn correct(&self, subject: &str, patch: Value) {
        let (path, owner) = (format!("/v1/subjects/{subject}"), &self.ours.owner);
        let corrected = self.call("PATCH", &path, owner, Some(&patch));
        corrected.await.expect(204);
    }

    /// Puts somebody under a rule: `restriction`, `objection`, `hold` or `suppression`.
    pub async fn set_rule(&self, subject: &str, rule: &str) {
        let hold = json!({"reason": "litigation"});
        let body = (rule == "hold").then_some(&hold);
        let (path, owner) = (format!("/v1/subjects/{subject}/{rule}"), &self.ours.owner);
        self.call("PUT", &path, owner, body).await.expect(204);
    }

    /// Lifts a rule; or withdraws somebody's `consent`.
    pub async fn lift_rule(&self, subject: &str, rule: &str) {
        let path = format!("/v1/subjects/{subject}/{rule}");
        self.delete(&path, &self.ours.owner).await.expect(204);
    }

    pub async fn hold(&self, subject: &str) {
        self.set_rule(subject, "hold").await;
    }

    pub async fn hold_until(&self, subject: &str, until: Timestamp) {
        let body = json!({"reason": "litigation", "until": until});
        let (path, owner) = (format!("/v1/subjects/{subject}/hold"), &self.ours.owner);
        self.call("PUT", &path, owner, Some(&body))
            .await
            .expect(204);
    }

    pub async fn lift_hold(&self, subject: &str) {
        self.lift_rule(subject, "hold").await;
    }

    pub async fn withdraw_consent(&self, subject: &str) {
        self.lift_rule(subject, "consent").await;
    }

    /// Replaces the tenant's settings.
    pub async fn settings(&self, settings: Value) {
        let owner = &self.ours.owner;
        let set = self.call("PUT", "/v1/settings", owner, Some(&settings));
        set.await.expect(200);
    }

    /// A new key with these scopes.
    pub async fn key(&self, scopes: &[&str]) -> String {
        let made = self.post("/v1/keys", &self.ours.owner, json!({"scopes": scopes}));
        let made = made.await.expect(201);
        made["secret"].as_str().expect("a secret").to_owned()
    }

    /// Every row of a list, page by page.
    pub async fn list(&self, path: &str) -> Vec<Value> {
        let and = if path.contains('?') { '&' } else { '?' };
        let (mut rows, mut page) = (Vec::new(), path.to_owned());
        loop {
            let answer = self.get(&page, &self.ours.owner).await.expect(200);
            rows.extend(answer["data"].as_array().expect("a list").iter().cloned());
            match answer["next_cursor"].as_str() {
                Some(next) => page = format!("{path}{and}cursor={next}"),
                None => return rows,
            }
        }
    }

    /// The log's entries of a kind, newest first.
    pub async fn activity(&self, kind: &str) -> Vec<Value> {
        self.list(&format!("/v1/activity?kind={kind}")).await
    }
}

/// The subject in an event's result.
pub fn subject(result: &Value) -> String {
    result["subject"]
        .as_str()
        .expect("a server's key learns the subject")
        .to_owned()
}
