//! One request for each route, that it carries out: for tests that go through every route
//! of the template. A route that nobody knows a request for makes them fail. What people
//! say and are is made from the catalog, so a new field is sent by itself.

use lethe_tests::{Service, Tenant, sha256, subject};
use serde_json::{Map, Value, json};
use shared::http::routes::{Access, Scope};
use shared::schema::catalog::{Category, FIELDS, Field, Kind, Record};

/// Stands in every value of a person. Its base64 and percent forms have no character that
/// is spelled differently anywhere.
pub const MARK: &str = "Ca9aRy";
/// Stands in names of fields, which a refusal repeats in its `pointer`, by contract.
pub const NAME: &str = "Na7meRy";
/// What a value of these kinds can be, since a mark cannot stand in it.
pub const ADDRESS: &str = "198.51.100.237";
pub const PHONE: &str = "4915199887766";

/// A request that a route carries out.
pub struct Request {
    pub route: String,
    pub path: String,
    pub bearer: String,
    pub body: Option<Value>,
    /// What it is answered with.
    pub status: u16,
}

impl Request {
    pub fn method(&self) -> &str {
        self.route.split(' ').next().unwrap_or_default()
    }

    /// Sends it, under an idempotency key where its route honours one. It is answered as it
    /// should be.
    pub async fn carry_out(&self, service: &Service) {
        let route = &self.route;
        let key = route.replace(|it: char| !it.is_ascii_alphanumeric(), "-");
        let idempotent = [("idempotency-key", key.as_str())];
        let once = shared::http::routes::find(route).is_some_and(|row| row.once);
        let headers: &[_] = if once { &idempotent } else { &[] };
        let (method, body) = (self.method(), self.body.as_ref());
        let reply = service.call_with(method, &self.path, &self.bearer, body, headers);
        let reply = reply.await;
        assert_eq!(reply.status, self.status, "{route}: {}", reply.text);
    }
}

/// A tenant with somebody for each route to act on.
pub struct Stage {
    pub tenant: Tenant,
    operator: String,
    pub subject: String,
    pub attachment: String,
    /// Everything of this person may be redacted, and this one erased.
    redacted: String,
    erased: String,
    /// This one may be put under every rule, and this one takes their consent back.
    governed: String,
    consenting: String,
    key: String,
    redaction: String,
    erasure: String,
    /// Asked for, and not begun.
    leaving: String,
    export: String,
    /// A tenant whom nobody needs.
    unneeded: String,
}

/// A value that fits a field, marked, and of `who` alone where it can be.
pub fn value(field: &Field, who: &str) -> Value {
    let word = format!("{MARK}{who}{}", field.name);
    match field.kind {
        // A media type, which its kind does not say.
        _ if field.name == "content_type" => json!(format!("text/{word}")),
        Kind::Text(_) | Kind::Body(_) | Kind::Name(_) => json!(word),
        Kind::Url(_) => json!(format!("https://shop.example/{word}?q={word}")),
        Kind::Address => json!(ADDRESS),
        Kind::Email => json!(format!("{word}@{word}.example")),
        Kind::Phone => json!(format!("+{PHONE}")),
        Kind::Custom => {
            let name = format!("{NAME}{who}");
            json!({name: word, "number": 7})
        }
    }
}

/// The value of a field that everybody knows by name.
pub fn known(record: Record, name: &str, who: &str) -> Value {
    value(
        shared::schema::catalog::field(record, name).expect("a row of the catalog"),
        who,
    )
}

/// The fields of these categories, as an event carries them.
fn fields(record: Record, categories: &[Category], who: &str) -> Map<String, Value> {
    FIELDS
        .iter()
        .filter(|field| field.record == record && categories.contains(&field.category))
        .map(|field| (field.name.to_owned(), value(field, who)))
        .collect()
}

/// An event of every kind, with every field.
pub fn events(who: &str) -> Value {
    let event = |kind: &str, parts: Vec<Map<String, Value>>| {
        let mut event =
            json!({"type": kind, "visitor_id": known(Record::Person, "visitor_id", who)});
        for part in parts {
            event.as_object_mut().expect("it is one").extend(part);
        }
        event
    };
    use Category::{Contact, Content, Custom, Device, Identity, Network, Usage};
    let mut visit = event("visit", vec![fields(Record::Visit, &[Network], who)]);
    visit["device"] = Value::Object(fields(Record::Visit, &[Device], who));
    let mut identify = event(
        "identify",
        vec![fields(Record::Person, &[Identity, Contact, Custom], who)],
    );
    identify["consent"] = json!({"basis": "consent", "source": "widget", "given_by": "self"});
    let said = || {
        vec![
            fields(Record::Conversation, &[Content], who),
            fields(Record::Message, &[Content], who),
        ]
    };
    let mut asked = event("message", said());
    asked["author"] = json!("end_user");
    let mut answered = event("message", said());
    answered["author"] = json!("agent");
    answered["member"] = json!(format!("{MARK}{who}member"));
    let mut looked = event(
        "interaction",
        vec![fields(Record::Interaction, &[Usage], who)],
    );
    looked["action"] = json!("viewed");
    // A member's id that is somebody's telephone number.
    let shared = json!({"type": "session", "visitor_id": visit["visitor_id"], "member": PHONE, "action": "started"});
    json!([visit, identify, asked, answered, looked, shared])
}

/// The announcement of a file with this text.
pub fn announcement(who: &str, text: &str) -> Value {
    let mut body = fields(Record::Attachment, &[Category::Content], who);
    body.insert(
        "visitor_id".into(),
        known(Record::Person, "visitor_id", who),
    );
    let conversation = known(Record::Conversation, "conversation_id", who);
    body.insert("conversation_id".into(), conversation);
    body.insert("size".into(), json!(text.len()));
    body.insert("sha256".into(), json!(sha256(text.as_bytes())));
    Value::Object(body)
}

/// Acquaints a tenant with people, and asks for a job of each kind.
pub async fn stage(service: &Service) -> Stage {
    let tenant = service.ours.clone();
    let owner = &tenant.owner;
    let settings = json!({"store_url": "full", "store_ip": "full", "location": true});
    service
        .call("PUT", "/v1/settings", owner, Some(&settings))
        .await
        .expect(200);
    let mut people = Vec::new();
    for who in [
        "kept",
        "redacted",
        "erased",
        "governed",
        "consenting",
        "left",
    ] {
        people.push(subject(&service.store(events(who)).await[0]));
    }
    let [kept, redacted, erased, governed, consenting, left] =
        people.try_into().expect("six people");
    let made = json!({"scopes": ["read"]});
    let key = service.post("/v1/keys", owner, made).await.expect(201);
    let body = json!({"subject": kept, "kind": "access", "include_agents": true});
    let attachment = upload(service, "kept").await;
    let export = service.post("/v1/exports", owner, body).await.expect(202);
    let erasure = service
        .call("DELETE", &format!("/v1/subjects/{left}"), owner, None)
        .await
        .expect(202);
    let body = json!({"tenant": true, "confirm": tenant.id});
    let leaving = service.post("/v1/erasures", owner, body).await.expect(202);
    let operator = service.cloud.operator_key();
    let unneeded = service.post("/v1/tenants", operator, json!({})).await;
    let unneeded = unneeded.expect(201)["tenant"]
        .as_str()
        .expect("an id")
        .to_owned();
    let id = |body: &Value| body["id"].as_str().expect("an id").to_owned();
    let redaction = id(&long_redaction(service).await);
    service.cloud.settle().await;
    Stage {
        operator: service.cloud.operator_key().to_owned(),
        subject: kept,
        attachment,
        redacted,
        erased,
        governed,
        consenting,
        key: id(&key),
        redaction,
        erasure: id(&erasure),
        leaving: id(&leaving),
        unneeded,
        export: id(&export),
        tenant,
    }
}

/// Uploads a file that is found clean. Its id.
async fn upload(service: &Service, who: &str) -> String {
    let text = format!("{MARK}{who}file");
    let mut body = announcement(who, &text);
    body["content_type"] = json!("text/plain");
    let announced = service
        .post("/v1/attachments", &service.ours.ingest, body)
        .await
        .expect(201);
    let put = service.put(&announced["upload"], text.as_bytes()).await;
    assert_eq!(put.status, 200, "{}", put.text);
    service.cloud.settle().await;
    announced["attachment"].as_str().expect("an id").to_owned()
}

/// A redaction of so many records that it becomes a job.
async fn long_redaction(service: &Service) -> Value {
    let conversation = known(Record::Conversation, "conversation_id", "talkative");
    let messages: Vec<_> = (0..101)
        .map(|n| {
            json!({"type": "message", "visitor_id": format!("{MARK}talkative"), "author": "end_user",
                   "conversation_id": conversation, "body": format!("{MARK}{n}")})
        })
        .collect();
    let (most, last) = messages.split_at(100);
    let talkative = subject(&service.store(json!(most)).await[0]);
    service.store(json!(last)).await;
    let body = json!({"subject": talkative, "targets": [{"conversation": conversation}]});
    let reply = service.post("/v1/redactions", &service.ours.owner, body);
    reply.await.expect(202)
}

impl Stage {
    /// The request that the route carries out.
    pub fn request(&self, route: &str) -> Request {
        let (bearer, status, body) = self.recipe(route);
        let (_, path) = route.split_once(' ').expect("method and path");
        let subject = match route {
            "DELETE /v1/subjects/{subject}" => &self.erased,
            "DELETE /v1/subjects/{subject}/consent" => &self.consenting,
            _ if self.governs(route) => &self.governed,
            _ => &self.subject,
        };
        let id = match path.split('/').nth(2) {
            Some("keys") => &self.key,
            Some("redactions") => &self.redaction,
            Some("erasures") if path.ends_with("/cancel") => &self.leaving,
            Some("erasures") => &self.erasure,
            Some("exports") => &self.export,
            _ => "{id}",
        };
        let path = path
            .replace("{subject}", subject)
            .replace("{attachment}", &self.attachment)
            .replace("{tenant}", &self.unneeded)
            .replace("{id}", id);
        assert!(!path.contains('{'), "whose parameters does {path} have?");
        Request {
            route: route.to_owned(),
            path,
            bearer: bearer.to_owned(),
            body,
            status,
        }
    }

    /// Whether a route puts a person under a rule, lifts it, or withdraws their consent.
    fn governs(&self, route: &str) -> bool {
        let row = shared::http::routes::find(route);
        let govern = Access::Key(&[Scope::Govern]);
        row.is_some_and(|row| row.access == govern) && route.contains("{subject}")
    }

    /// The key, the status and the body. `GET`s of a tenant's own things are all alike.
    fn recipe(&self, route: &str) -> (&str, u16, Option<Value>) {
        let Tenant {
            owner,
            ingest,
            collect,
            ..
        } = &self.tenant;
        let email = known(Record::Person, "email", "kept");
        match route {
            "POST /v1/events" => (ingest, 200, Some(json!({"events": events("new")}))),
            "POST /v1/attachments" => (ingest, 201, Some(announcement("new", "text"))),
            "GET /v1/privacy-config" => (collect, 200, None),
            "PATCH /v1/subjects/{subject}" => {
                let mut identity = fields(Record::Person, &[Category::Identity], "kept");
                identity.remove("visitor_id");
                let contact = fields(Record::Person, &[Category::Contact], "kept");
                let custom = known(Record::Person, "custom", "kept");
                let body = json!({"identity": identity, "contact": contact, "custom": custom});
                (owner, 204, Some(body))
            }
            "POST /v1/lookup" => (owner, 200, Some(json!({"email": email}))),
            "POST /v1/redactions" => {
                let conversation = known(Record::Conversation, "conversation_id", "redacted");
                let targets = json!([{"conversation": conversation}]);
                let body = json!({"subject": self.redacted, "reason": "asked", "targets": targets});
                (owner, 200, Some(body))
            }
            "DELETE /v1/subjects/{subject}" => (owner, 202, None),
            "POST /v1/erasures" => {
                let visitor = known(Record::Person, "visitor_id", "new");
                let body = json!({"visitors": [visitor], "reason": "asked", "reference": "r-1"});
                (owner, 202, Some(body))
            }
            "POST /v1/exports" => {
                let body = json!({"lookup": {"email": email}, "kind": "portability", "include_agents": true});
                (owner, 202, Some(body))
            }
            "PUT /v1/settings" => {
                let body = json!({"store_url": "full", "store_ip": "full", "location": true,
                    "retention_days": 30, "consent_required": "none", "integrations": {"clarity": {"enabled": false}}});
                (owner, 200, Some(body))
            }
            "POST /v1/keys" => {
                let body = json!({"scopes": ["collect"], "allowed_origins": ["https://shop.example"], "reference": "k-1"});
                (owner, 201, Some(body))
            }
            "DELETE /v1/keys/{id}" => (owner, 204, None),
            "POST /v1/erasures/{id}/cancel" => (owner, 200, None),
            "DELETE /v1/tenants/{tenant}" => (&self.operator, 202, None),
            "PUT /v1/subjects/{subject}/hold" => {
                let until = "2026-03-08T12:00:00+01:00";
                let body = json!({"reason": "litigation", "until": until});
                (owner, 204, Some(body))
            }
            _ if self.governs(route) => (owner, 204, None),
            "POST /v1/tenants" | "POST /v1/tenants/{tenant}/keys" => {
                (&self.operator, 201, Some(json!({})))
            }
            "GET /v1/tenants" => (&self.operator, 200, None),
            "GET /console"
            | "GET /v1/openapi.json"
            | "GET /v1/health"
            | "GET /.well-known/jwks.json" => ("", 200, None),
            "GET /v1/subjects"
            | "GET /v1/subjects/{subject}"
            | "GET /v1/subjects/{subject}/records"
            | "GET /v1/subjects/{subject}/attachments/{attachment}"
            | "GET /v1/redactions"
            | "GET /v1/redactions/{id}"
            | "GET /v1/erasures"
            | "GET /v1/erasures/{id}"
            | "GET /v1/erasures/{id}/receipt"
            | "GET /v1/exports"
            | "GET /v1/exports/{id}"
            | "GET /v1/settings"
            | "GET /v1/keys"
            | "GET /v1/activity"
            | "GET /v1/activity/seals" => (owner, 200, None),
            _ => panic!("no test knows a request that {route} carries out: add it here"),
        }
    }
}

/// The routes, in an order in which each finds what it acts on: `POST /v1/erasures` erases
/// whom `POST /v1/events` brought.
pub fn routes(service: &Service) -> Vec<String> {
    let mut routes: Vec<_> = service.routes().iter().map(|it| it.key()).collect();
    routes.sort_by_key(|key| {
        (
            key.starts_with("DELETE ") || key == "POST /v1/erasures",
            !key.starts_with("POST "),
        )
    });
    routes
}
