//! The events in `events/`, one for each trigger as AWS sends it, through the handlers
//! that they wake: as they stand, about nobody, and about somebody who is there.

use std::collections::BTreeSet;
use std::path::Path;

use lethe_tests::{Service, by_hand, days, minutes};
use local::Options;
use local::template::{RESTORING, Template};
use serde_json::{Value, json};

use crate::rows;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../events");

// What stands in the files for a key and for ids.
const KEY: &str = "lethe_018f3c5e7a2b7c4d9e1f2a3b4c5d6e7f_018f3c5e8b3c7d5e8f2a3b4c5d6e7f80_0000000000000000000000000000000000000000000000000000000000000000";
const TENANT: &str = "ten_018f3c5e7a2b7c4d9e1f2a3b4c5d6e7f";
const SUBJECT: &str = "sub_5d41402abc4b2a76b9719d911017c592";
const LIFE: &str = "life_7c9e66797f3a4d21a3f0c2b18e6d5a94";
const JOB: &str = "job_018f3c5f00007d5e8f2a3b4c5d6e7f80";
const FILE: &str = "018f3c5f-1111-7d5e-8f2a-3b4c5d6e7f80";
const VERSION: &str = "096fKKXTRTtl3on89fVO.nfljtsv6qko";

/// One file: `<function>.<trigger>.json`.
struct File {
    function: String,
    trigger: String,
    text: String,
}

impl File {
    fn name(&self) -> String {
        format!("{}.{}.json", self.function, self.trigger)
    }

    fn event(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{}: {e}", self.name()))
    }

    fn is_http(&self) -> bool {
        matches!(self.trigger.as_str(), "http" | "operator")
    }
}

fn files() -> Vec<File> {
    let listed = std::fs::read_dir(FOLDER).expect("the folder is there");
    let mut files: Vec<_> = listed
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path.file_name().and_then(|it| it.to_str());
            let name = name.and_then(|it| it.strip_suffix(".json"));
            let parts = name.and_then(|it| it.split_once('.'));
            let (function, trigger) = parts.unwrap_or_else(|| panic!("{}", path.display()));
            File {
                function: function.to_owned(),
                trigger: trigger.to_owned(),
                text: std::fs::read_to_string(&path).expect("it is text"),
            }
        })
        .collect();
    files.sort_by_key(File::name);
    files
}

/// With every function, that of a restore among them.
fn template() -> Template {
    Template::read(Path::new(&Options::default().template), RESTORING).expect("a template")
}

/// Calls the file's function. An HTTP answer, a stream's failures, or nothing.
async fn invoke(service: &Service, file: &File, event: Value) -> Value {
    let result = service.cloud.invoke(&file.function, event).await;
    result.unwrap_or_else(|failure| panic!("{}: {failure}", file.name()))
}

/// An answer is a documented success, or a problem with all that belongs to one. Its status.
async fn documented(service: &Service, file: &File, answer: &Value) -> u64 {
    let event = file.event();
    let status = answer["statusCode"].as_u64().expect("a status");
    let body = answer["body"].as_str().unwrap_or_default();
    let key = event["routeKey"].as_str().expect("a route's key");
    let (method, path) = key.split_once(' ').expect("method and path");
    let document = service.get("/v1/openapi.json", "").await.expect(200);
    let operation = &document["paths"][path][method.to_lowercase()];
    assert!(
        operation["responses"].get(status.to_string()).is_some(),
        "{}: {answer}",
        file.name()
    );
    if status >= 400 {
        let problem: Value = serde_json::from_str(body).expect("a problem is JSON");
        assert_eq!(
            answer["headers"]["content-type"],
            "application/problem+json"
        );
        assert_eq!(problem["status"], status, "{problem}");
        assert_eq!(
            problem["request_id"], event["requestContext"]["requestId"],
            "{problem}"
        );
        for member in ["type", "title", "detail", "code"] {
            assert!(problem[member].is_string(), "{problem}");
        }
    }
    status
}

#[test]
fn every_function_and_every_trigger_has_its_event() {
    let template = template();
    let names: BTreeSet<_> = files().iter().map(File::name).collect();
    let mut wanted = BTreeSet::new();
    for function in &template.functions {
        let routes = || template.routes.all().iter();
        let has =
            |operator| routes().any(|it| it.function == function.name && it.operator == operator);
        let triggers = [
            ("http", has(false)),
            ("operator", has(true)),
            ("s3", !function.objects.is_empty()),
            ("schedule", !function.schedules.is_empty()),
            ("order", function.name == "restore"),
        ];
        let triggers = triggers.iter().filter(|(_, it)| *it).map(|(name, _)| *name);
        wanted.extend(triggers.map(|trigger| format!("{}.{trigger}.json", function.name)));
        for stream in &function.streams {
            for pattern in &stream.patterns {
                let of_it = |file: &&File| {
                    let record = &file.event()["Records"][0];
                    file.function == function.name && pattern.matches(record)
                };
                let file = files().iter().find(of_it).map(File::name);
                wanted.extend([file.unwrap_or_else(|| panic!("{}: {pattern:?}", function.name))]);
            }
        }
    }
    assert_eq!(names, wanted);
}

#[test]
fn events_over_http_are_of_their_routes() {
    let template = template();
    for file in files().iter().filter(|file| file.is_http()) {
        let event = file.event();
        let method = event["requestContext"]["http"]["method"].as_str();
        let path = event["rawPath"].as_str().unwrap_or_default();
        let found = template.routes.find(method.unwrap_or_default(), path);
        let (route, parameters) = found.unwrap_or_else(|| panic!("{}: {path}", file.name()));
        assert_eq!(event["routeKey"], route.key(), "{}", file.name());
        assert_eq!(event["requestContext"]["routeKey"], route.key());
        assert_eq!(route.function, file.function);
        let given = event.get("pathParameters").cloned().unwrap_or(json!({}));
        assert_eq!(given, json!(parameters), "{}", file.name());
        let signed = event.pointer("/requestContext/authorizer/iam").is_some();
        assert_eq!(signed, route.operator, "{}", file.name());
        let length = event["body"].as_str().unwrap_or_default().len();
        let said = &event["headers"]["content-length"];
        assert_eq!(said, &length.to_string(), "{}", file.name());
    }
}

#[tokio::test]
async fn an_event_about_nobody_ends_well() {
    let options = Options {
        parameters: RESTORING,
        ..Options::default()
    };
    let service = Service::with(options).await;
    for file in files() {
        let result = invoke(&service, &file, file.event()).await;
        match file.trigger.as_str() {
            "http" => {
                let status = documented(&service, &file, &result).await;
                let public = file.function == "console";
                assert_eq!(status, if public { 200 } else { 401 }, "{}", file.name());
            }
            "operator" => assert_eq!(documented(&service, &file, &result).await, 201),
            "stream-turn" | "stream-ttl" => {
                assert_eq!(result, json!({"batchItemFailures": []}), "{}", file.name());
            }
            "schedule" => assert_eq!(result["complete"], true, "{result}"),
            "order" => assert_eq!(result["phase"], "over", "{result}"),
            "s3" => assert_eq!(result, Value::Null),
            other => panic!(
                "{}: what is {other}, and how does it end well?",
                file.name()
            ),
        }
    }
    service.cloud.settle().await;
    assert_eq!(service.cloud.dead_letters().len(), 0);
}

/// A service where nothing happens by itself as time passes, and somebody in it.
struct Scene {
    service: Service,
    subject: String,
    attachment: String,
}

impl Scene {
    async fn new() -> Scene {
        let options = Options {
            parameters: RESTORING,
            ..by_hand()
        };
        let service = Service::with(options).await;
        let subject = service.acquaint("v-1").await;
        let attachment = service.attach("v-1").await;
        Scene {
            service,
            subject,
            attachment,
        }
    }

    /// A job of the worker that the event is for.
    async fn job(&self, function: &str) -> String {
        let (service, owner) = (&self.service, &self.service.ours.owner);
        let reply = match function {
            "delete" => {
                let path = format!("/v1/subjects/{}", self.subject);
                service.delete(&path, owner).await
            }
            "export" => {
                let body = json!({"subject": self.subject});
                service.post("/v1/exports", owner, body).await
            }
            other => panic!("which job does {other} do?"),
        };
        service.cloud.settle().await;
        let id = &reply.expect(202)["id"];
        id.as_str().expect("an id").to_owned()
    }

    /// The event with what is here in place of what stands for it.
    async fn filled(&self, file: &File) -> Value {
        let tenant = &self.service.ours;
        let key = match file.function.as_str() {
            "ingest" => &tenant.ingest,
            _ => &tenant.owner,
        };
        let objects = self.service.cloud.objects().everything();
        let held = objects.first().expect("the upload is there");
        let parts: Vec<_> = held.key.split('/').collect();
        let [_, _, _, life, uuid] = parts.as_slice() else {
            panic!("{}", held.key)
        };
        let mut text = file.text.replace(KEY, key).replace(SUBJECT, &self.subject);
        text = text.replace(TENANT, &tenant.id).replace(LIFE, life);
        text = text.replace(FILE, uuid).replace(VERSION, &held.id);
        if text.contains(JOB) {
            text = text.replace(JOB, &self.job(&file.function).await);
        }
        serde_json::from_str(&text).expect("it is JSON still")
    }

    async fn status(&self, path: &str) -> Value {
        let path = format!("/v1/subjects/{}{path}", self.subject);
        let reply = self.service.get(&path, &self.service.ours.owner).await;
        if reply.status == 404 {
            return json!("gone");
        }
        reply.expect(200)["state"].clone()
    }
}

#[tokio::test]
async fn an_event_about_somebody_does_its_work() {
    for file in files() {
        let scene = Scene::new().await;
        let event = scene.filled(&file).await;
        let (service, name) = (&scene.service, file.name());
        if matches!(file.trigger.as_str(), "stream-ttl" | "schedule") {
            service.advance(days(30) + minutes(1)).await;
        }
        let result = invoke(service, &file, event).await;
        service.cloud.settle().await;
        match file.trigger.as_str() {
            "http" | "operator" => {
                let status = documented(service, &file, &result).await;
                assert!(status < 300, "{name}: {result}");
                if file.function == "delete" {
                    assert_eq!(scene.status("").await, "gone");
                }
            }
            "stream-turn" => assert_eq!(result, json!({"batchItemFailures": []}), "{name}"),
            "stream-ttl" => {
                assert_eq!(result, json!({"batchItemFailures": []}), "{name}");
                let left = rows::about(service, &scene.subject).await;
                let person = |row: &rows::Row| rows::text(row, "SK") == Some("person");
                assert!(!left.iter().any(person), "{left:?}");
            }
            "schedule" => assert_eq!(result["expired"], 1, "{name}: {result}"),
            "order" => assert_eq!(result["lives"], 1, "{name}: {result}"),
            "s3" => {
                let path = format!("/attachments/{}", scene.attachment);
                assert_eq!(scene.status(&path).await, "clean");
            }
            other => panic!("{name}: what is {other}, and what does it do?"),
        }
        assert_eq!(service.cloud.dead_letters().len(), 0, "{name}");
    }
}
