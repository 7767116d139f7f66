//! Exports: the whole copy, for the right person, for a day, and not a moment longer than
//! the life it tells of.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use lethe_tests::files::EICAR;
use lethe_tests::{Service, assert_has, days, fetch, hours, minutes, seconds, sha256, subject};
use serde_json::{Value, json};
use zip::ZipArchive;

use crate::late::{asleep, turns, versions};
use crate::rows;

const GIF: &[u8] = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\x04\x01\0\0\0\0,\
    \0\0\0\0\x01\0\x01\0\0\x02\x01D\0;";
const SCRIPT: &str = "<script>alert(1)</script>";

/// An opened archive: its files by name.
struct Copy(BTreeMap<String, Vec<u8>>);

impl Copy {
    /// Opens an archive whose every file must be in its manifest, and as that says.
    fn open(bytes: Vec<u8>) -> Copy {
        let mut zip = ZipArchive::new(Cursor::new(bytes)).expect("a ZIP");
        let mut files = BTreeMap::new();
        for at in 0..zip.len() {
            let mut file = zip.by_index(at).expect("a file");
            let name = file.name().expect("a readable name").into_owned();
            let inside = file.enclosed_name().is_some_and(|it| it.is_relative());
            assert!(inside, "{name} would be unpacked elsewhere");
            let mut content = Vec::new();
            file.read_to_end(&mut content).expect("its content");
            assert!(files.insert(name, content).is_none(), "a name twice");
        }
        let copy = Copy(files);
        let manifest = copy.json("manifest.json");
        let mut listed = vec!["manifest.json"];
        for file in manifest["files"].as_array().expect("a list") {
            let name = file["name"].as_str().expect("a name");
            let content = &copy.0[name];
            assert_eq!(file["sha256"], sha256(content), "{name}");
            assert_eq!(file["size"], content.len(), "{name}");
            listed.push(name);
        }
        listed.sort_unstable();
        assert_eq!(copy.names(), listed);
        copy
    }

    fn names(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    /// The cells of a table, row by row, as a spreadsheet reads them.
    fn table(&self, name: &str) -> Vec<Vec<String>> {
        let text = self.text(name);
        let text = text.strip_prefix('\u{FEFF}').expect("a byte order mark");
        let rows = csv::Reader::from_reader(text.as_bytes()).into_records();
        rows.map(|row| row.expect("a row").iter().map(str::to_owned).collect())
            .collect()
    }

    fn text(&self, name: &str) -> &str {
        let content = self.0.get(name).unwrap_or_else(|| panic!("no {name}"));
        std::str::from_utf8(content).expect("UTF-8")
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_str(self.text(name)).expect("JSON")
    }

    fn lines(&self, name: &str) -> Vec<Value> {
        let lines = self.text(name).lines();
        lines
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect()
    }

    /// The files that say something.
    fn saying(&self, what: &str) -> Vec<&str> {
        let says = |content: &[u8]| content.windows(what.len()).any(|it| it == what.as_bytes());
        let files = self.0.iter().filter(|(_, content)| says(content));
        files.map(|(name, _)| name.as_str()).collect()
    }

    /// Why something was left out.
    fn left_out(&self, what: &str) -> Option<String> {
        let manifest = self.json("manifest.json");
        let left = manifest["left_out"].as_array().expect("a list");
        let it = left.iter().find(|it| it["what"] == what)?;
        it["why"].as_str().map(str::to_owned)
    }
}

/// Asks for an export. Its place.
async fn begin(service: &Service, body: Value) -> String {
    let reply = service.post("/v1/exports", &service.ours.owner, body).await;
    let place = reply.header("location").expect("a job has a place");
    let place = place.to_owned();
    let job = reply.expect(202);
    assert_eq!(
        place,
        format!("/v1/exports/{}", job["id"].as_str().unwrap())
    );
    assert_has(&job, json!({"kind": "export", "state": "queued"}));
    place
}

/// The one download of a finished export.
fn download(job: &Value) -> &Value {
    assert_eq!(job["state"], "completed", "{job}");
    let downloads = job["downloads"].as_array().expect("a list");
    assert_eq!(downloads.len(), 1, "{job}");
    &downloads[0]
}

/// The whole way: asked for, made, fetched, compared with what was said of it, opened.
async fn copy(service: &Service, body: Value) -> Copy {
    let place = begin(service, body).await;
    let job = service.job(&place).await;
    let download = download(&job);
    let (status, bytes) = fetch(download).await;
    assert_eq!(status, 200);
    assert_eq!(download["size"], bytes.len());
    assert_eq!(download["sha256"], sha256(&bytes));
    Copy::open(bytes)
}

/// Somebody with one of everything, and with texts that mean harm.
struct Known {
    subject: String,
    clean: String,
    rejected: String,
    awaited: String,
    from_agent: String,
}

async fn know(service: &Service) -> Known {
    let subject = service.acquaint("ada").await;
    let clean = service
        .upload("ada", "../../dot <b>.gif", "image/gif", GIF)
        .await;
    let rejected = service
        .upload("ada", "eicar.txt", "text/plain", EICAR)
        .await;
    let from_agent = service
        .upload("ada", "guide.txt", "text/plain", b"how to pay")
        .await;
    let announced = service.announce("ada", b"never").await;
    let awaited = announced["attachment"].as_str().unwrap().to_owned();
    let stored = service
        .store(json!([
            {"type": "identify", "visitor_id": "ada", "user_id": "u-ada", "name": SCRIPT, "phone": "+49 151 2345678",
             "email": "ada@example.com", "custom": {"plan": "gold", "note": "=1+1"},
             "consent": {"basis": "contract", "source": "widget", "given_by": "self"}},
            {"type": "message", "visitor_id": "ada", "conversation_id": "c-2", "title": SCRIPT, "author": "end_user",
             "body": format!("=HYPERLINK(\"x\")\n{SCRIPT}"), "attachments": [clean, rejected]},
            {"type": "message", "visitor_id": "ada", "conversation_id": "c-2", "author": "end_user", "body": "my secret"},
            {"type": "message", "visitor_id": "ada", "conversation_id": "c-2", "author": "agent", "member": "mem_Grace",
             "body": "Read this.", "attachments": [from_agent]},
        ]))
        .await;
    let targets = json!([{"message": stored[2]["message"]}]);
    let redact = json!({"subject": subject, "targets": targets});
    let done = service
        .post("/v1/redactions", &service.ours.owner, redact)
        .await;
    assert_eq!(done.expect(200)["results"][0]["status"], "redacted");
    Known {
        subject,
        clean,
        rejected,
        awaited,
        from_agent,
    }
}

#[tokio::test]
async fn an_access_export_is_the_whole_copy() {
    let service = Service::start().await;
    let ada = know(&service).await;
    let copy = copy(&service, json!({"subject": ada.subject})).await;
    let manifest = copy.json("manifest.json");
    assert_eq!(manifest["subject"], json!(ada.subject));
    assert_has(
        &manifest,
        json!({"kind": "access", "include_agents": false}),
    );
    assert_eq!(manifest["tenant"], json!(service.ours.id));
    assert_eq!(manifest["processing"].as_array().unwrap().len(), 7);

    // It says what the service itself says.
    let path = format!("/v1/subjects/{}", ada.subject);
    let person = service.get(&path, &service.ours.read).await.expect(200);
    let exported = copy.json("subject.json");
    for name in [
        "subject",
        "visitor_id",
        "state",
        "created_at",
        "last_seen",
        "expires_at",
        "identity",
        "contact",
        "network",
        "device",
        "custom",
        "consent",
        "verified",
        "counts",
    ] {
        assert_eq!(exported[name], person[name], "{name}");
        assert_ne!(exported[name], Value::Null, "{name}");
    }
    for record in ["conversation", "message", "attachment", "interaction"] {
        let path = format!("{path}/records?type={record}&limit=100");
        let page = service.get(&path, &service.ours.read).await.expect(200);
        let mut told = page["data"].as_array().unwrap().clone();
        let mut exported = copy.lines(&format!("{record}s.jsonl"));
        assert_eq!(manifest["counts"][format!("{record}s")], told.len());
        for row in &mut told {
            row.as_object_mut().unwrap().remove("member");
        }
        for row in &mut exported {
            row.as_object_mut().unwrap().remove("file");
        }
        let key = |row: &Value| row.to_string();
        told.sort_by_key(key);
        exported.sort_by_key(key);
        assert_eq!(exported, told, "{record}");
    }
}

#[tokio::test]
async fn files_are_in_the_copy_if_clean_and_named_if_not() {
    let service = Service::start().await;
    let ada = know(&service).await;
    let copy = copy(&service, json!({"subject": ada.subject})).await;
    let rows = copy.lines("attachments.jsonl");
    let file = |id: &str| {
        let row = rows.iter().find(|row| row["attachment"] == id);
        row.expect("a row")["file"].as_str()
    };
    assert_eq!(copy.0[file(&ada.clean).unwrap()], GIF);
    assert_eq!(copy.0[file(&ada.from_agent).unwrap()], b"how to pay");
    assert_eq!((file(&ada.rejected), file(&ada.awaited)), (None, None));
    let files = copy
        .names()
        .into_iter()
        .filter(|it| it.starts_with("attachments/"));
    assert_eq!(files.count(), 2);
    let why = copy.left_out(&ada.rejected).expect("a reason");
    assert!(why.contains("malware"), "{why}");
    let why = copy.left_out(&ada.awaited).expect("a reason");
    assert!(why.contains("not uploaded"), "{why}");
    assert_eq!(copy.saying("EICAR-STANDARD"), Vec::<&str>::new());
}

#[tokio::test]
async fn what_was_redacted_is_absent_and_said_to_be() {
    let service = Service::start().await;
    let ada = know(&service).await;
    let file = json!({"subject": ada.subject, "targets": [{"attachment": ada.clean}]});
    service
        .post("/v1/redactions", &service.ours.owner, file)
        .await
        .expect(200);
    let copy = copy(&service, json!({"subject": ada.subject})).await;
    for gone in ["my secret", "dot ", "GIF89a"] {
        assert_eq!(copy.saying(gone), Vec::<&str>::new(), "{gone}");
    }
    assert_eq!(copy.left_out("messages").as_deref(), Some("redacted"));
    assert_eq!(copy.left_out(&ada.clean).as_deref(), Some("redacted"));
    let redacted = copy.lines("messages.jsonl");
    let redacted = redacted.iter().filter(|row| row["redacted"] == true);
    assert_eq!(redacted.count(), 1);
    assert!(
        copy.text("index.html")
            .contains("This message has been redacted.")
    );
}

#[tokio::test]
async fn agents_are_named_only_if_asked_for() {
    let service = Service::start().await;
    let ada = know(&service).await;
    let quiet = copy(&service, json!({"subject": ada.subject})).await;
    assert_eq!(quiet.saying("mem_"), Vec::<&str>::new());
    assert!(quiet.left_out("agents' names").is_some());
    let naming = json!({"subject": ada.subject, "include_agents": true});
    let naming = copy(&service, naming).await;
    assert_eq!(
        naming.saying("mem_Grace"),
        ["index.html", "messages.csv", "messages.jsonl"]
    );
    assert_eq!(naming.left_out("agents' names"), None);
    assert_eq!(naming.json("manifest.json")["include_agents"], true);
}

#[tokio::test]
async fn the_page_shows_what_strangers_wrote_and_runs_none_of_it() {
    let service = Service::start().await;
    let ada = know(&service).await;
    let copy = copy(&service, json!({"subject": ada.subject})).await;
    let page = copy.text("index.html");
    let lower = page.to_lowercase();
    for active in [
        "<script",
        "<b>",
        "javascript:",
        " onload=",
        "<iframe",
        "<link",
        "@import",
        "http-equiv=\"refresh",
    ] {
        assert!(!lower.contains(active), "{active}");
    }
    // As a name, a title and a body.
    assert_eq!(
        page.matches("&lt;script&gt;alert(1)&lt;/script&gt;")
            .count(),
        3
    );
    assert!(page.contains("Where is my invoice?") && page.contains("ada@example.com"));
    // It fetches nothing: what it points to lies beside it.
    assert!(!page.contains("src=") && !page.contains("url("));
    for link in page.split("href=\"").skip(1) {
        let target = link.split('"').next().unwrap_or_default();
        let here = target.starts_with('#')
            || copy.names().contains(&target)
            || target.starts_with("attachments/");
        assert!(here, "{target}");
    }
}

#[tokio::test]
async fn a_spreadsheet_takes_no_text_for_a_formula() {
    let service = Service::start().await;
    let texts = [
        "=1+1",
        "+49 151",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\u{200B}=1",
        "plain, \"quoted\"",
    ];
    let events: Vec<_> = texts
        .iter()
        .map(|body| json!({"type": "message", "visitor_id": "ada", "conversation_id": "=cmd", "author": "end_user", "body": body}))
        .collect();
    let ada = subject(&service.store(Value::Array(events)).await[0]);
    let copy = copy(&service, json!({"subject": ada})).await;
    let table = copy.text("messages.csv");
    for text in &texts[..6] {
        assert!(table.contains(&format!("'{text}")), "{text:?} in {table}");
    }
    assert!(table.contains("\"plain, \"\"quoted\"\"\""));
    assert_eq!(table.matches("'=cmd").count(), texts.len());
    for line in table.split("\r\n") {
        for cell in line.split(',') {
            let cell = cell.trim_matches('"');
            assert!(!cell.starts_with(['=', '+', '-', '@']), "{line}");
        }
    }
    let cells = copy.table("messages.csv");
    assert!(
        cells
            .iter()
            .flatten()
            .any(|cell| cell == "plain, \"quoted\"")
    );
    let mut bodies: Vec<_> = copy
        .lines("messages.jsonl")
        .iter()
        .map(|row| row["body"].clone())
        .collect();
    bodies.sort_by_key(Value::to_string);
    let mut sent: Vec<_> = texts.iter().map(|text| json!(text)).collect();
    sent.sort_by_key(Value::to_string);
    assert_eq!(bodies, sent, "the JSON Lines hold them as they are");
}

#[tokio::test]
async fn a_portability_export_holds_what_the_person_gave() {
    let service = Service::start().await;
    let ada = know(&service).await;
    let wanted = json!({"subject": ada.subject, "kind": "portability", "include_agents": true});
    let copy = copy(&service, wanted).await;
    let person = copy.json("subject.json");
    let mut names: Vec<_> = person
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    let given = [
        "contact",
        "created_at",
        "custom",
        "expires_at",
        "identity",
        "last_seen",
        "subject",
    ];
    assert_eq!(names, given);
    assert_eq!(
        person["identity"],
        json!({"user_id": "u-ada", "name": SCRIPT})
    );
    assert_eq!(person["contact"]["email"], "ada@example.com");
    assert_eq!(person["custom"]["plan"], "gold");

    let messages = copy.lines("messages.jsonl");
    let bodies: Vec<_> = messages
        .iter()
        .filter_map(|row| row["body"].as_str())
        .collect();
    assert_eq!(bodies.len(), 2, "{bodies:?}");
    assert!(bodies.contains(&"Where is my invoice?"));
    for row in &messages {
        for observed in ["author", "member", "content_hash"] {
            assert_eq!(row.get(observed), None, "{row}");
        }
    }
    for not_given in [
        "mem_",
        "On its way.",
        "how to pay",
        "guide.txt",
        "help-7",
        "Firefox",
        "203.0.113.",
        "cart",
        "my secret",
    ] {
        assert_eq!(copy.saying(not_given), Vec::<&str>::new(), "{not_given}");
    }
    assert!(
        !copy
            .names()
            .iter()
            .any(|name| name.starts_with("interactions"))
    );
    let manifest = copy.json("manifest.json");
    assert_eq!(manifest.get("processing"), None);
    for left in [
        "agents' messages",
        "agents' files",
        "network",
        "device",
        "usage",
    ] {
        assert!(copy.left_out(left).is_some(), "{left}");
    }
    let files = copy
        .names()
        .into_iter()
        .filter(|it| it.starts_with("attachments/"));
    assert_eq!(files.count(), 1);
}

#[tokio::test]
async fn somebody_of_whom_nothing_is_kept_gets_a_copy_too() {
    let service = Service::start().await;
    let ada = service.visit("ada").await;
    for kind in ["access", "portability"] {
        let copy = copy(&service, json!({"subject": ada, "kind": kind})).await;
        assert_eq!(copy.lines("messages.jsonl"), Vec::<Value>::new());
        assert_eq!(
            copy.text("messages.csv").matches("\r\n").count(),
            1,
            "the heads"
        );
    }
}

#[tokio::test]
async fn a_link_lives_a_minute_and_each_look_makes_a_new_one() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    let place = begin(&service, json!({"subject": ada})).await;
    let job = service.job(&place).await;
    let first = download(&job).clone();
    assert_eq!(
        first["name"],
        format!("{}.zip", job["id"].as_str().unwrap())
    );
    let until = service.now() + seconds(60);
    assert_eq!(first["expires_at"], json!(until));
    service.advance(seconds(60)).await;
    assert_eq!(fetch(&first).await.0, 200);
    service.advance(seconds(1)).await;
    assert_eq!(fetch(&first).await.0, 403);
    let job = service.job(&place).await;
    let again = download(&job);
    assert_eq!(
        (&again["sha256"], &again["size"]),
        (&first["sha256"], &first["size"])
    );
    assert_eq!(fetch(again).await.0, 200);
}

#[tokio::test]
async fn progress_counts_records() {
    let (service, export) = asleep("export").await;
    let ada = service.acquaint("ada").await;
    let place = begin(&service, json!({"subject": ada})).await;
    let waiting = service.job(&place).await;
    assert_has(&waiting, json!({"state": "queued", "downloads": []}));
    assert_eq!(waiting["progress"], json!({"done": 0, "total": 4}));
    assert_has(&waiting, json!({"subject": ada, "export": "access"}));
    assert_eq!(waiting["finished_at"], Value::Null);
    export.wake();
    let turn = turns(&service, "export").await.remove(0);
    service.cloud.invoke("export", turn).await.unwrap();
    let done = service.job(&place).await;
    assert_eq!(done["progress"], json!({"done": 4, "total": 4}));
    assert_eq!(done["finished_at"], json!(service.now()));
}

#[tokio::test]
async fn cleanup_takes_up_an_export_whose_worker_died() {
    let (service, export) = asleep("export").await;
    let ada = service.acquaint("ada").await;
    let place = begin(&service, json!({"subject": ada})).await;
    service.cloud.settle().await;
    export.wake();
    service.advance(minutes(30)).await;
    let job = service.job(&place).await;
    assert_eq!(fetch(download(&job)).await.0, 200);
}

#[tokio::test]
async fn a_lookup_exports_one_person_of_whom_somebody_vouched() {
    let service = Service::start().await;
    let owner = &service.ours.owner;
    let ada = service.acquaint("ada").await;
    let by = |kind: &str, value: &str| {
        let body = json!({"lookup": {kind: value}});
        service.post("/v1/exports", owner, body)
    };
    for (kind, value) in [
        ("email", "ADA@example.com"),
        ("user_id", "u-ada"),
        ("visitor_id", "ada"),
    ] {
        assert_eq!(
            by(kind, value).await.expect(202)["subject"],
            json!(ada),
            "{kind}"
        );
    }
    assert_eq!(
        by("email", "nobody@example.com").await.expect(404)["code"],
        "not_found"
    );

    // What a page claims names nobody, and hides nobody.
    let claim = |email: &str| json!({"events": [{"type": "identify", "visitor_id": "eve", "email": email}]});
    for email in ["ada@example.com", "eve@example.com"] {
        service
            .post("/v1/events", &service.ours.collect, claim(email))
            .await
            .expect(200);
    }
    by("email", "eve@example.com").await.expect(404);
    service
        .post(
            "/v1/events",
            &service.ours.collect,
            claim("ada@example.com"),
        )
        .await
        .expect(200);
    assert_eq!(
        by("email", "ada@example.com").await.expect(202)["subject"],
        json!(ada)
    );

    let twin = json!([{"type": "identify", "visitor_id": "bob", "email": "ada@example.com"}]);
    let bob = subject(&service.store(twin).await[0]);
    let refused = by("email", "ada@example.com").await.expect(409);
    assert_eq!(refused["code"], "ambiguous");
    let candidates = refused["candidates"].as_array().unwrap();
    assert_eq!(candidates.len(), 2);
    assert!(candidates.contains(&json!(ada)) && candidates.contains(&json!(bob)));
    service.erase(&bob).await;
    by("email", "ada@example.com").await.expect(202);
}

#[tokio::test]
async fn a_request_at_fault_is_refused_by_name() {
    let service = Service::start().await;
    let ada = service.visit("ada").await;
    let owner = &service.ours.owner;
    let faults = async |body| service.post("/v1/exports", owner, body).await.faults();
    assert_eq!(faults(json!({})).await, [""]);
    assert_eq!(faults(json!([])).await, [""]);
    assert_eq!(faults(json!({"subject": "ada"})).await, ["/subject"]);
    assert_eq!(faults(json!({"subject": 7})).await, ["/subject"]);
    assert_eq!(
        faults(json!({"subject": ada, "lookup": {"email": "a@b"}})).await,
        [""]
    );
    assert_eq!(
        faults(json!({"subject": ada, "kind": "all"})).await,
        ["/kind"]
    );
    assert_eq!(
        faults(json!({"subject": ada, "include_agents": "yes"})).await,
        ["/include_agents"]
    );
    assert_eq!(faults(json!({"subject": ada, "a/b": 1})).await, ["/a~1b"]);
    assert_eq!(faults(json!({"lookup": {}})).await, ["/lookup"]);
    assert_eq!(
        faults(json!({"lookup": {"email": "a@b", "phone": "+49151"}})).await,
        ["/lookup"]
    );
    assert_eq!(
        faults(json!({"lookup": {"email": "nobody"}})).await,
        ["/lookup/email"]
    );
    assert!(
        faults(json!({"lookup": {"name": "Ada"}}))
            .await
            .contains(&"/lookup/name".to_owned())
    );
    for (query, name) in [
        ("state=done", "state"),
        ("subject=ada", "subject"),
        ("limit=0", "limit"),
        ("kind=x", "kind"),
    ] {
        let refused = service.get(&format!("/v1/exports?{query}"), owner).await;
        assert_eq!(refused.faults(), [name]);
    }
    let body = json!({"subject": ada});
    service
        .post("/v1/exports", &service.ours.read, body)
        .await
        .expect(403);
    let unknown = json!({"subject": format!("sub_{}", "0".repeat(32))});
    service
        .post("/v1/exports", owner, unknown)
        .await
        .expect(404);
    assert!(
        turns(&service, "export").await.is_empty(),
        "nothing was begun"
    );
}

#[tokio::test]
async fn exports_are_listed_by_state_and_subject_newest_first() {
    let (service, export) = asleep("export").await;
    let (ada, bob) = (service.visit("ada").await, service.visit("bob").await);
    let mut begun = Vec::new();
    for subject in [&ada, &bob, &ada, &ada] {
        let place = begin(&service, json!({"subject": subject})).await;
        begun.push(place.rsplit('/').next().unwrap().to_owned());
        service.advance(seconds(1)).await;
    }
    export.wake();
    let turn = turns(&service, "export")
        .await
        .into_iter()
        .find(|turn| turn.to_string().contains(&begun[1]));
    service.cloud.invoke("export", turn.unwrap()).await.unwrap();
    let list = async |query: &str| {
        let path = format!("/v1/exports?{query}");
        let page = service.get(&path, &service.ours.owner).await.expect(200);
        let data = page["data"].as_array().unwrap().iter();
        let ids: Vec<_> = data
            .map(|job| job["id"].as_str().unwrap().to_owned())
            .collect();
        (ids, page["next_cursor"].as_str().map(str::to_owned))
    };
    begun.reverse();
    assert_eq!(list("").await, (begun.clone(), None));
    assert_eq!(list("state=completed").await.0, [begun[2].clone()]);
    assert_eq!(list("state=queued").await.0.len(), 3);
    assert_eq!(list(&format!("subject={bob}")).await.0, [begun[2].clone()]);
    assert_eq!(
        list(&format!("subject={ada}&state=completed")).await.0,
        Vec::<String>::new()
    );
    let (mut all, mut query) = (Vec::new(), "limit=1".to_owned());
    for _ in 0..6 {
        let (ids, next) = list(&query).await;
        assert!(ids.len() <= 1);
        all.extend(ids);
        let Some(next) = next else { break };
        query = format!("limit=1&cursor={next}");
    }
    assert_eq!(all, begun);
}

#[tokio::test]
async fn another_tenants_export_is_not_there() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    let place = begin(&service, json!({"subject": ada})).await;
    service.settle().await;
    let theirs = &service.theirs.owner;
    service.get(&place, theirs).await.expect(404);
    let list = service.get("/v1/exports", theirs).await.expect(200);
    assert_eq!(list["data"], json!([]));
    service
        .post("/v1/exports", theirs, json!({"subject": ada}))
        .await
        .expect(404);
    service
        .get("/v1/exports/job_0", &service.ours.owner)
        .await
        .expect(404);
    service.get(&place, &service.ours.read).await.expect(403);
}

#[tokio::test]
async fn an_erasure_takes_the_exports_along() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    let place = begin(&service, json!({"subject": ada})).await;
    let job = service.job(&place).await;
    let link = download(&job).clone();
    assert_eq!(versions(&service, "exports/").len(), 1);
    let owner = &service.ours.owner;
    let erasure = service.erase(&ada).await;
    let after = service.get(&place, owner).await.expect(200);
    assert_eq!(after["downloads"], json!([]), "in the same moment");
    // No link was open.
    service.completed(&erasure).await;
    assert!(rows::files(&service).is_empty());
    assert_eq!(
        fetch(&link).await.0,
        404,
        "a link handed out before is void"
    );
    service
        .post("/v1/exports", owner, json!({"subject": ada}))
        .await
        .expect(404);

    service.advance(minutes(1)).await;
    // Whoever comes back is somebody new: the old export does not come back with them.
    service.acquaint("ada").await;
    let after = service.job(&place).await;
    assert_has(&after, json!({"state": "completed", "downloads": []}));
}

#[tokio::test]
async fn an_export_is_kept_for_a_day_and_then_deleted_in_every_version() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    // Begun just after midnight, from when S3 counts days.
    service.advance(minutes(12 * 60 + 5)).await;
    let place = begin(&service, json!({"subject": ada})).await;
    service.cloud.settle().await;
    service.advance(hours(23)).await;
    let job = service.job(&place).await;
    assert_eq!(fetch(download(&job)).await.0, 200);
    service.advance(minutes(80)).await;
    let job = service.job(&place).await;
    assert_has(
        &job,
        json!({"state": "completed", "downloads": [], "withdrawn": false}),
    );
    assert!(rows::files(&service).is_empty(), "not even a marker");
    service.person(&ada).await;
    // Nothing of the deletion is left that names whom it was about.
    service.advance(days(2)).await;
    let rows = rows::records(&service).await;
    let discards = rows
        .iter()
        .filter(|row| rows::text(row, "PK").is_some_and(|it| it.contains("#jobs#discard")));
    assert_eq!(discards.count(), 0);
}

#[tokio::test]
async fn an_expiry_takes_the_exports_along() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    service.advance(days(29) + hours(23)).await;
    let place = begin(&service, json!({"subject": ada})).await;
    let job = service.job(&place).await;
    assert_eq!(fetch(download(&job)).await.0, 200);
    service.advance(hours(2)).await;
    let job = service.job(&place).await;
    assert_eq!(job["downloads"], json!([]));
    assert!(rows::files(&service).is_empty());
}

#[tokio::test]
async fn an_export_that_comes_after_the_erasure_is_cancelled() {
    let (service, export) = asleep("export").await;
    let ada = service.acquaint("ada").await;
    let place = begin(&service, json!({"subject": ada})).await;
    service.erase(&ada).await;
    service.cloud.settle().await;
    export.wake();
    let turn = turns(&service, "export").await.remove(0);
    // Even when the person is there again.
    service.advance(minutes(1)).await;
    service.acquaint("ada").await;
    let done = service.cloud.invoke("export", turn).await.unwrap();
    assert_eq!(done["batchItemFailures"], json!([]));
    let job = service.job(&place).await;
    assert_has(&job, json!({"state": "cancelled", "downloads": []}));
    assert!(rows::files(&service).is_empty());
}

#[tokio::test]
async fn an_export_and_an_erasure_at_once_leave_no_object() {
    let (service, export) = asleep("export").await;
    let mut begun = Vec::new();
    for visitor in ["ada", "bob", "eve"] {
        let subject = service.acquaint(visitor).await;
        service.upload(visitor, "dot.gif", "image/gif", GIF).await;
        let place = begin(&service, json!({"subject": subject})).await;
        begun.push((subject, place));
    }
    service.cloud.settle().await;
    export.wake();
    let turns = turns(&service, "export").await;
    for (at, (subject, place)) in begun.iter().enumerate() {
        let id = place.rsplit('/').next().unwrap();
        let turn = turns
            .iter()
            .find(|turn| turn.to_string().contains(id))
            .unwrap();
        let erase = async {
            // The erasure meets the turn at another place each time.
            tokio::time::sleep(std::time::Duration::from_millis(8 * at as u64)).await;
            service.erase(subject).await
        };
        let (turned, _) = tokio::join!(service.cloud.invoke("export", turn.clone()), erase);
        assert_eq!(turned.unwrap()["batchItemFailures"], json!([]));
    }
    service.advance(minutes(30)).await;
    assert!(rows::files(&service).is_empty());
    for (_, place) in &begun {
        let job = service.job(place).await;
        assert_eq!(job["downloads"], json!([]));
        assert!(
            job["state"] == "cancelled" || job["state"] == "completed",
            "{job}"
        );
    }
    assert!(service.cloud.dead_letters().is_empty());
}

#[tokio::test]
async fn a_repeated_request_is_the_same_export() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    let (owner, body) = (&service.ours.owner, json!({"subject": ada}));
    let once = [("idempotency-key", "export-ada")];
    let send = async |body: &Value| {
        service
            .call_with("POST", "/v1/exports", owner, Some(body), &once)
            .await
    };
    let first = send(&body).await;
    let again = send(&body).await;
    assert_eq!(first.header("location"), again.header("location"));
    assert_eq!(first.expect(202), again.expect(202));
    let other = send(&json!({"subject": ada, "kind": "portability"})).await;
    assert_eq!(other.faults(), ["Idempotency-Key"]);
    let list = service.get("/v1/exports", owner).await.expect(200);
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_turn_that_is_handed_over_twice_makes_one_object() {
    let (service, export) = asleep("export").await;
    let ada = service.acquaint("ada").await;
    let place = begin(&service, json!({"subject": ada})).await;
    service.cloud.settle().await;
    export.wake();
    let turn = turns(&service, "export").await.remove(0);
    // At once, as when a platform believes the first to be dead; and again much later.
    let (one, other) = tokio::join!(
        service.cloud.invoke("export", turn.clone()),
        service.cloud.invoke("export", turn.clone())
    );
    assert_eq!(
        (&one.unwrap(), &other.unwrap()),
        (
            &json!({"batchItemFailures": []}),
            &json!({"batchItemFailures": []})
        )
    );
    let job = service.job(&place).await;
    let link = download(&job).clone();
    service.cloud.invoke("export", turn).await.unwrap();
    assert_eq!(service.job(&place).await, job);
    assert_eq!(rows::files(&service).len(), 1);
    let (status, bytes) = fetch(&link).await;
    assert_eq!(
        (status, link["sha256"].as_str().unwrap()),
        (200, sha256(&bytes).as_str())
    );
    let kinds = service.get("/v1/activity?kind=export.completed", &service.ours.owner);
    assert_eq!(kinds.await.expect(200)["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_export_stands_in_the_activity_log_without_its_subject() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    let place = begin(&service, json!({"subject": ada})).await;
    service.settle().await;
    let log = service.get("/v1/activity", &service.ours.owner).await;
    let text = log.text.clone();
    let log = log.expect(200);
    let id = place.rsplit('/').next().unwrap();
    let data = log["data"].as_array().unwrap().iter();
    let about: Vec<_> = data
        .filter(|entry| entry["about"].to_string().contains(id))
        .map(|entry| entry["kind"].clone())
        .collect();
    assert_eq!(
        about,
        [json!("export.completed"), json!("export.requested")]
    );
    assert!(!text.contains(&ada));
}

async fn redact(service: &Service, ada: &str, target: Value) {
    let body = json!({"subject": ada, "targets": [target]});
    let reply = service
        .post("/v1/redactions", &service.ours.owner, body)
        .await;
    assert!([200, 202].contains(&reply.status), "{}", reply.text);
}

/// The first message of somebody, by its id.
async fn message(service: &Service, ada: &str) -> Value {
    let path = format!("/v1/subjects/{ada}/records?type=message");
    let page = service.get(&path, &service.ours.read).await.expect(200);
    page["data"][0].clone()
}

#[tokio::test]
async fn what_makes_an_export_untrue_withdraws_it() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    let file = service.upload("ada", "dot.gif", "image/gif", GIF).await;
    let consent = json!([{"type": "identify", "visitor_id": "ada", "name": "Ada", "consent": {"basis": "consent"}}]);
    service.store(consent).await;
    let owner = &service.ours.owner;
    let first = message(&service, &ada).await;
    let span = json!({"message": first["message"], "content_hash": first["content_hash"],
                      "spans": [{"start": 0, "end": 2}]});
    let many: Vec<_> = (0..100)
        .map(|n| json!({"type": "message", "visitor_id": "ada", "conversation_id": "long", "author": "end_user",
                        "body": format!("number {n}")}))
        .collect();
    service.store(Value::Array(many)).await;
    for how in ["span", "message", "file", "long", "correction", "consent"] {
        let place = begin(&service, json!({"subject": ada})).await;
        let job = service.job(&place).await;
        assert_eq!(job["withdrawn"], false);
        let link = download(&job).clone();
        assert_eq!(fetch(&link).await.0, 200, "{how}");
        match how {
            "span" => redact(&service, &ada, span.clone()).await,
            "message" => redact(&service, &ada, json!({"message": first["message"]})).await,
            "file" => redact(&service, &ada, json!({"attachment": file})).await,
            "long" => {
                redact(&service, &ada, json!({"conversation": "long"})).await;
                service.cloud.settle().await;
            }
            "correction" => {
                service
                    .correct(&ada, json!({"identity": {"name": "Ada King"}}))
                    .await
            }
            _ => {
                service.withdraw_consent(&ada).await;
            }
        }
        // As soon as that is answered there is no link to it.
        let job = service.get(&place, owner).await.expect(200);
        assert_eq!(
            (&job["state"], &job["withdrawn"], &job["downloads"]),
            (&json!("completed"), &json!(true), &json!([])),
            "{how}"
        );
        service.cloud.settle().await;
        assert_eq!(fetch(&link).await.0, 404, "{how}: a link from before");
        let exports = rows::files(&service)
            .into_iter()
            .filter(|key| key.starts_with("exports/"));
        assert_eq!(exports.count(), 0, "{how}");
    }
    let copy = copy(&service, json!({"subject": ada})).await;
    assert_eq!(copy.saying("number 7"), Vec::<&str>::new());
}

#[tokio::test]
async fn what_leaves_an_export_true_leaves_it() {
    let service = Service::start().await;
    let ada = service.acquaint("ada").await;
    let place = begin(&service, json!({"subject": ada})).await;
    let job = service.job(&place).await;
    let name = json!({"identity": {"name": "Ada Lovelace"}});
    service.correct(&ada, name).await;
    redact(
        &service,
        &ada,
        json!({"attachment": "att_00112233445566778899aabbccddeeff"}),
    )
    .await;
    service.acquaint("ada").await;
    let later = service.job(&place).await;
    assert_eq!(later["withdrawn"], false);
    assert_eq!(
        fetch(download(&later)).await.1,
        fetch(download(&job)).await.1
    );
}

#[tokio::test]
async fn an_export_that_runs_while_something_is_redacted_is_packed_anew() {
    let (service, export) = asleep("export").await;
    let owner = &service.ours.owner;
    for delay in [0_u64, 4, 8, 12, 16, 24, 32, 48] {
        let ada = service.acquaint(&format!("ada-{delay}")).await;
        let secret = message(&service, &ada).await;
        let body = secret["body"].as_str().unwrap().to_owned();
        let place = begin(&service, json!({"subject": ada})).await;
        service.cloud.settle().await;
        let id = place.rsplit('/').next().unwrap();
        let turns = turns(&service, "export").await;
        let turn = turns
            .iter()
            .find(|turn| turn.to_string().contains(id))
            .unwrap();
        export.wake();
        let redacts = async {
            // It meets the turn at another place each time.
            tokio::time::sleep(std::time::Duration::from_millis(delay)).await;
            redact(&service, &ada, json!({"message": secret["message"]})).await;
        };
        let (turned, ()) = tokio::join!(service.cloud.invoke("export", turn.clone()), redacts);
        turned.unwrap();
        let job = service.get(&place, owner).await.expect(200);
        for download in job["downloads"].as_array().unwrap() {
            let (_, bytes) = fetch(download).await;
            assert_eq!(
                Copy::open(bytes).saying(&body),
                Vec::<&str>::new(),
                "after {delay} ms"
            );
        }
        let job = service.job(&place).await;
        assert_eq!(job["state"], "completed", "{job}");
        let exports = versions(&service, &format!("exports/{}/{ada}/", service.ours.id));
        let withdrawn = job["withdrawn"] == true;
        assert_eq!(exports.len(), usize::from(!withdrawn), "after {delay} ms");
        for export in exports {
            let copy = Copy::open(export.body.to_vec());
            assert_eq!(copy.saying(&body), Vec::<&str>::new(), "after {delay} ms");
        }
        export.sleep();
    }
    assert!(service.cloud.dead_letters().is_empty());
}

#[tokio::test]
async fn a_withdrawn_export_goes_though_the_first_try_to_delete_it_was_lost() {
    let (service, export) = asleep("export").await;
    export.wake();
    let ada = service.acquaint("ada").await;
    let place = begin(&service, json!({"subject": ada})).await;
    service.job(&place).await;
    export.sleep();
    service
        .correct(&ada, json!({"identity": {"name": "Ada King"}}))
        .await;
    service.cloud.settle().await;
    assert_eq!(versions(&service, "exports/").len(), 1, "the worker sleeps");
    let job = service.get(&place, &service.ours.owner).await.expect(200);
    assert_has(&job, json!({"withdrawn": true, "downloads": []}));
    export.wake();
    // After its day at the latest.
    service.advance(minutes(24 * 60 + 20)).await;
    assert!(rows::files(&service).is_empty());
}

#[tokio::test]
async fn a_flood_is_exported_in_parts_and_nothing_of_it_waits_for_long() {
    let service = Service::start().await;
    let mut ada = String::new();
    for request in 0..11 {
        // 64 KiB each, and no two alike.
        let said = |n: usize| {
            json!({"type": "message", "visitor_id": "ada", "conversation_id": format!("c-{request}"),
            "author": "end_user", "body": format!("r{request:02}m{n:02} ").repeat(9_300)})
        };
        let events = (0..15).map(said).collect();
        ada = subject(&service.store(events).await[0]);
    }
    let copy = copy(&service, json!({"subject": ada})).await;
    let files = |start: &str, end: &str| -> Vec<String> {
        let names = copy.names().into_iter();
        names
            .filter(|it| it.starts_with(start) && it.ends_with(end))
            .map(str::to_owned)
            .collect()
    };
    let (lines, tables, pages) = (
        files("messages", ".jsonl"),
        files("messages", ".csv"),
        files("more-", ".html"),
    );
    assert!(lines.len() > 1 && lines.len() == tables.len() && pages.len() == lines.len() - 1);
    let read: usize = lines.iter().map(|name| copy.lines(name).len()).sum();
    let rows: usize = tables.iter().map(|name| copy.table(name).len()).sum();
    assert_eq!((read, rows), (165, 165));
    // What is read at once comes on top of what may wait.
    let most = copy.0.values().map(Vec::len).max().unwrap();
    assert!(most < 11_000_000, "{most}");
    let shown = pages.iter().map(String::as_str).chain(["index.html"]);
    let shown: usize = shown
        .map(|name| copy.text(name).matches("<li class=\"yours\">").count())
        .sum();
    assert_eq!(shown, 165);
    for page in &pages {
        assert!(
            copy.text("index.html")
                .contains(&format!("href=\"{page}\""))
        );
    }
}

#[tokio::test]
async fn files_with_long_and_hostile_names_can_be_unpacked_anywhere() {
    let service = Service::start().await;
    let names = [
        format!("{}.txt", "日本語".repeat(30)),
        format!("{}.txt", "👩".repeat(60)),
        format!("{} {}", "x".repeat(99), "y".repeat(60)),
        "CON".to_owned(),
        "nul.txt".to_owned(),
        "SAME.TXT".to_owned(),
        "same.txt".to_owned(),
        "e\u{301}.txt".to_owned(),
        "evil\u{202E}fdp.txt".to_owned(),
        "a:b?.txt".to_owned(),
        " .txt. ".to_owned(),
    ];
    let ada = service.visit("ada").await;
    for name in &names {
        service.upload("ada", name, "text/plain", b"x").await;
    }
    let copy = copy(&service, json!({"subject": ada})).await;
    let mut seen = std::collections::BTreeSet::new();
    for name in copy.names() {
        for part in name.split('/') {
            assert!(part.len() <= 255 && !part.ends_with(['.', ' ']), "{part:?}");
            let stem = part.split('.').next().unwrap_or_default().to_lowercase();
            assert!(
                !["con", "nul", "prn", "aux"].contains(&stem.as_str()),
                "{part}"
            );
            assert!(
                !part.contains(['<', '>', ':', '"', '|', '?', '*', '\\', '\u{202E}']),
                "{part}"
            );
        }
        assert!(
            seen.insert(name.to_lowercase()),
            "{name} and another differ by case alone"
        );
    }
    assert_eq!(
        seen.iter()
            .filter(|it| it.starts_with("attachments/"))
            .count(),
        names.len()
    );
}
