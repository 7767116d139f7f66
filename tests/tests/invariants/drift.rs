//! What is said in two places says the same: the template, the route table, the published
//! description, the functions' crates, and the names that the stores use.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use aws_sdk_dynamodb::types::AttributeValue;
use lethe_tests::{NOON, Service};
use local::Options;
use local::template::{RESTORING, Template};
use serde_json::json;
use shared::base::id::{JobId, TenantId};
use shared::domain::jobs::{JobKey, JobKind};
use shared::domain::keys;
use shared::http::routes::{Access, DEFAULT, ROUTES};

use crate::{requests, rows};

fn template() -> Template {
    Template::read(Path::new(&Options::default().template), RESTORING)
        .expect("the template is read")
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

#[test]
fn the_template_has_the_route_tables_routes() {
    let template = template();
    let declared: BTreeSet<_> = template
        .routes
        .all()
        .iter()
        .map(|it| (it.key(), it.function.clone(), it.operator))
        .collect();
    let listed: BTreeSet<_> = ROUTES
        .iter()
        .flat_map(|it| {
            let operator = it.access == Access::Operator;
            // `HEAD` is answered wherever `GET` is.
            let head = it
                .key
                .strip_prefix("GET ")
                .map(|path| format!("HEAD {path}"));
            let keys = std::iter::once(it.key.to_owned()).chain(head);
            keys.map(move |key| (key, it.function.to_owned(), operator))
        })
        .collect();
    assert_eq!(declared, listed);
    let gets = ROUTES.iter().filter(|it| it.key.starts_with("GET "));
    assert_eq!(
        listed.len(),
        ROUTES.len() + gets.count(),
        "each stands there once"
    );
    let (default, _) = template.routes.find("ANY", "/").expect("a default route");
    assert_eq!(default.key(), DEFAULT.key);
    assert_eq!(default.function, DEFAULT.function);
}

#[tokio::test]
async fn what_is_published_is_what_is_served() {
    let service = Service::start().await;
    let document = service.get("/v1/openapi.json", "").await.expect(200);
    let mut described = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        let methods = methods.as_object().expect("methods").keys();
        described.extend(methods.map(|method| format!("{} {path}", method.to_uppercase())));
    }
    let declared: BTreeSet<_> = requests::routes(&service).into_iter().collect();
    assert_eq!(described, declared);

    let stage = requests::stage(&service).await;
    for route in requests::routes(&service) {
        let request = stage.request(&route);
        let (path, body) = (&request.path, request.body.as_ref());
        let reply = service
            .call(request.method(), path, &request.bearer, body)
            .await;
        assert_eq!(reply.status, request.status, "{route}: {}", reply.text);
        let (_, path) = route.split_once(' ').expect("method and path");
        let operation = &document["paths"][path][request.method().to_lowercase()];
        let answer = &operation["responses"][reply.status.to_string()];
        assert!(answer.is_object(), "{route} {}", reply.status);
        let content = reply.header("content-type").unwrap_or_default();
        let essence = content.split(';').next().unwrap_or_default();
        let described = answer["content"].as_object();
        match described {
            Some(described) => assert!(described.contains_key(essence), "{route}: {content}"),
            None => assert_eq!(reply.text, "", "{route}"),
        }
        for name in answer["headers"].as_object().expect("headers").keys() {
            assert!(reply.header(name).is_some(), "{route}: {name}");
        }
    }
}

#[test]
fn every_function_is_a_crate_with_a_binary_of_its_name() {
    let declared: BTreeSet<_> = template().functions.into_iter().map(|it| it.name).collect();
    let folders: BTreeSet<_> = std::fs::read_dir(folder("functions"))
        .expect("the folder is there")
        .map(|entry| entry.expect("an entry").file_name())
        .map(|name| name.into_string().expect("a plain name"))
        .collect();
    assert_eq!(declared, folders);
    let built: BTreeSet<_> = local::functions::roster()
        .keys()
        .map(|name| (*name).to_owned())
        .collect();
    assert_eq!(declared, built);
    for name in declared {
        let read = |file: &str| {
            let path = folder("functions").join(&name).join(file);
            std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
        };
        // A package has a binary of its own name where there is `src/main.rs`.
        let manifest = read("Cargo.toml");
        assert!(manifest.contains(&format!("\nname = \"{name}\"\n")));
        assert!(!manifest.contains("[[bin]]") && !manifest.contains("autobins"));
        assert!(read("src/main.rs").contains(&format!("{name}::handle")));
    }
}

/// The words after `turn#` in the template's filters.
fn filtered() -> BTreeSet<String> {
    let text = std::fs::read_to_string(Options::default().template).expect("the template");
    let words = text.split("\"turn#").skip(1);
    words
        .filter_map(|rest| Some(rest.split_once("#\"")?.0.to_owned()))
        .collect()
}

#[test]
fn every_turn_is_handed_to_one_worker() {
    let workers: BTreeSet<_> = JobKind::ALL
        .iter()
        .map(|kind| kind.worker().to_owned())
        .collect();
    assert_eq!(filtered(), workers);
    let functions = template().functions;
    let mut handed = BTreeMap::new();
    for kind in JobKind::ALL {
        let job = JobKey {
            tenant: TenantId::new(),
            kind,
            id: JobId::at(NOON.parse().expect("a time")),
        };
        let turn = keys::turn(job, 1);
        let record = json!({"eventName": "INSERT", "dynamodb": {"Keys": {"SK": {"S": turn}}}});
        let takers: Vec<_> = functions
            .iter()
            .filter(|function| {
                let patterns = function.streams.iter().flat_map(|it| &it.patterns);
                patterns.into_iter().any(|it| it.matches(&record))
            })
            .map(|function| function.name.clone())
            .collect();
        assert_eq!(takers.len(), 1, "{turn}: {takers:?}");
        handed.insert(kind.name(), takers.concat());
    }
    let expected = [
        ("discard", "export"),
        ("erasure", "delete"),
        ("expiry", "delete"),
        ("export", "export"),
        ("redaction", "delete"),
        ("rekey", "delete"),
        ("rotation", "delete"),
    ];
    assert_eq!(handed, expected.map(|(kind, it)| (kind, it.into())).into());
}

#[test]
fn a_door_that_ttl_removes_is_handed_to_delete() {
    let record = json!({
        "eventName": "REMOVE",
        "userIdentity": {"type": "Service", "principalId": "dynamodb.amazonaws.com"},
        "dynamodb": {"Keys": {"SK": {"S": keys::DOOR}}},
    });
    for function in template().functions {
        let patterns = function.streams.iter().flat_map(|it| &it.patterns);
        let takes = patterns.into_iter().any(|it| it.matches(&record));
        assert_eq!(takes, function.name == "delete", "{}", function.name);
    }
}

#[tokio::test]
async fn rows_have_the_names_that_the_template_gives() {
    let service = Service::start().await;
    let subject = service.visit("ada").await;
    let tables = template().tables;
    let table = |name: &str| tables.iter().find(|it| it.name == name).expect("a table");
    let config = &service.cloud.app().config;
    let (records, keyring) = (table(&config.records_table), table(&config.keyring_table));
    let [index] = records.indexes.as_slice() else {
        panic!("one index")
    };
    let ttl = records.ttl_attribute.as_deref().expect("a TTL");
    let sort = records.range_key.as_deref().expect("a sort key");
    let about = rows::about(&service, &subject).await;
    let row = |name: &str| {
        let mut found = about
            .iter()
            .filter(|row| rows::text(row, sort) == Some(name));
        found.next().unwrap_or_else(|| panic!("no {name}"))
    };
    let partition = rows::text(row(keys::DOOR), &records.hash_key).expect("a partition");
    assert!(keys::LifeKey::parse(partition).is_some(), "{partition}");
    // TTL takes numbers alone, and passes over everything else in silence.
    assert!(matches!(row(keys::DOOR)[ttl], AttributeValue::N(_)));
    let clock = row(keys::EXPIRY);
    let due = rows::text(clock, index.range_key.as_deref().expect("a sort key"));
    assert!(rows::text(clock, &index.hash_key).is_some() && due.is_some());
    let entries = rows::keyring(&service).await;
    let named = entries
        .iter()
        .filter_map(|row| rows::text(row, &keyring.hash_key));
    assert!(named.into_iter().any(|key| key.ends_with(&subject)));
    assert_eq!(keyring.range_key, None);
    assert_eq!(keyring.ttl_attribute.as_deref(), Some(ttl));
    // The engine knows no index but the template's: its name is right if people are listed.
    let listed = service.get("/v1/subjects", &service.ours.owner).await;
    assert_eq!(listed.expect(200)["data"][0]["subject"], json!(subject));
}
