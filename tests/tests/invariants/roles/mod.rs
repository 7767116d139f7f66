//! The functions' roles in the template, held against every call that the functions make:
//! what is called is allowed, and what is allowed is called. Each function has a memory of
//! its own here, so that none is spared a read by another's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use lethe_tests::{Service, days, minutes, subject};
use local::Options;
use local::template::{Parameters, RESTORING, Tree};
use serde_json::{Value, json};
use shared::base::id::TenantId;
use shared::domain::jobs::{JobFilter, JobKind};

use crate::{requests, rows};

mod iam;

use iam::{Asked, Parts, Statement};

/// Who asked for what, so far.
type Noted = Arc<Mutex<BTreeSet<(String, Asked)>>>;

fn text() -> String {
    std::fs::read_to_string(Options::default().template).expect("the template")
}

fn tree() -> Tree {
    Tree::parse(&text()).expect("the template is YAML")
}

/// The template while a restore is under way.
fn tree_restoring() -> Tree {
    let mut tree = tree();
    for (name, value) in RESTORING {
        tree.set(name, value).expect("the parameter");
    }
    tree
}

/// A service whose functions share no memory, and all that they ask for.
async fn watched(name: &str, parameters: Parameters) -> (Service, Noted) {
    let apart = |line: &str| {
        let folder = line.trim().strip_prefix("CodeUri: ../target/lambda/");
        folder.map_or(line.to_owned(), |folder| {
            let folder = folder.trim_end_matches('/');
            format!("{line}\n      Environment: {{ Variables: {{ APART: {folder} }} }}")
        })
    };
    let template: Vec<_> = text().lines().map(apart).collect();
    let file = format!("{}/roles-{name}.yaml", env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(&file, template.join("\n")).expect("a template is written");
    let noted = Noted::default();
    let notes = noted.clone();
    let options = Options {
        template: file.into(),
        parameters,
        watch: Some(Arc::new(move |sent| {
            if let Some(function) = &sent.function {
                let asked = iam::asked(sent).into_iter();
                let mut notes = notes.lock().expect("nobody panics");
                notes.extend(asked.map(|asked| (function.clone(), asked)));
            }
        })),
        ..Options::default()
    };
    (Service::with(options).await, noted)
}

/// What was asked for so far, once each.
fn asked(noted: &Noted) -> Vec<(String, Asked)> {
    noted
        .lock()
        .expect("nobody panics")
        .iter()
        .cloned()
        .collect()
}

/// By which parts of the roles everything passes; all of it must.
#[track_caller]
fn passed(
    roles: &BTreeMap<String, Vec<Statement>>,
    asked: &[(String, Asked)],
) -> BTreeMap<(String, String), Parts> {
    let mut used: BTreeMap<_, Parts> = BTreeMap::new();
    let mut refused = BTreeSet::new();
    for (function, asked) in asked {
        let mut any = false;
        for statement in &roles[function] {
            if let Some(parts) = statement.allows(asked) {
                let at = (function.clone(), statement.place.clone());
                used.entry(at).or_default().extend(parts);
                any = true;
            }
        }
        if !any {
            refused.insert(format!("{function}: {asked:?}"));
        }
    }
    assert!(refused.is_empty(), "{refused:#?}");
    used
}

/// What only a rare coincidence brings about; other tests make it happen, without a watch.
const RARE: &[(&str, &str)] = &[
    // Whoever was erased while their copy was made.
    ("export", "s3:DeleteObject"),
    ("export", "s3:DeleteObjectVersion"),
    // A worker that died in the middle of an archive.
    ("export", "s3:AbortMultipartUpload"),
    ("delete", "s3:AbortMultipartUpload"),
    // S3 itself asks for these, to tell what is gone from what may not be seen.
    ("export", "s3:ListBucket"),
    ("export", "s3:ListBucketVersions"),
    ("scan", "s3:ListBucket"),
    ("scan", "s3:ListBucketVersions"),
];

/// Whether a statement is for what Lambda asks for in a function's name: to log, to read the
/// stream, to bury what failed.
fn of_the_platform(statement: &Statement) -> bool {
    let mut actions = statement.parts();
    actions.retain(|(kind, _)| kind == "action");
    let stream = [
        "dynamodb:DescribeStream",
        "dynamodb:GetRecords",
        "dynamodb:GetShardIterator",
        "dynamodb:ListStreams",
    ];
    actions.iter().all(|(_, action)| {
        let services = ["logs:", "sqs:"];
        services.iter().any(|it| action.starts_with(it)) || stream.contains(&action.as_str())
    })
}

async fn put(service: &Service, path: &str, body: Value) {
    let owner = &service.ours.owner;
    let reply = service.call("PUT", path, owner, Some(&body)).await;
    assert!(reply.status < 300, "{path}: {}", reply.text);
}

/// A day as it comes: every route, and what it sets going.
async fn every_route(service: &Service) {
    let stage = requests::stage(service).await;
    for route in requests::routes(service) {
        let request = stage.request(&route);
        request.carry_out(service).await;
        service.cloud.settle().await;
    }
    // A request that is refused frees its key.
    let (operator, owner) = (service.cloud.operator_key(), &service.ours.owner);
    for (path, key) in [
        ("/v1/tenants", operator),
        ("/v1/keys", owner),
        ("/v1/redactions", owner),
        ("/v1/exports", owner),
    ] {
        let (body, once) = (json!({"no": "field"}), [("idempotency-key", "refused")]);
        let refused = service.call_with("POST", path, key, Some(&body), &once);
        refused.await.expect(422);
    }
}

/// Files, good and bad; a copy that is fetched; what is taken out of both.
async fn files(service: &Service, ada: &str) {
    let owner = &service.ours.owner;
    let note = service.upload("ada", "note.txt", "text/plain", b"hello");
    let note = note.await;
    service
        .upload("ada", "a.pdf", "application/pdf", b"MZ no")
        .await;
    let path = format!("/v1/subjects/{ada}/attachments/{note}");
    let link = service.get(&path, owner).await.expect(200);
    assert_eq!(lethe_tests::fetch(&link["download"]).await.0, 200, "{link}");
    let made = service.post("/v1/exports", owner, json!({"subject": ada}));
    let made = made.await.expect(202);
    let made = service.follow(&made).await;
    assert_eq!(
        lethe_tests::fetch(&made["downloads"][0]).await.0,
        200,
        "{made}"
    );
    let targets = json!([{"attachment": note}, {"conversation": "c-1"}]);
    let body = json!({"subject": ada, "targets": targets});
    let done = service.post("/v1/redactions", owner, body);
    done.await.expect(200);
    // The life is re-keyed.
    service.advance(minutes(30)).await;
}

/// People come, change, are put under rules, are let go, expire and return.
async fn lives(service: &Service, ada: &str) {
    let owner = &service.ours.owner;
    service
        .store(json!([{"type": "identify", "visitor_id": "ada", "email": "ada@example.org"}]))
        .await;
    let path = format!("/v1/subjects/{ada}");
    let correction = json!({"contact": {"email": null}});
    let corrected = service.call("PATCH", &path, owner, Some(&correction));
    corrected.await.expect(204);
    let until = service.now() + days(2);
    let hold = json!({"reason": "litigation", "until": until});
    put(service, &format!("{path}/hold"), hold).await;
    for rule in ["restriction", "objection"] {
        put(service, &format!("{path}/{rule}"), json!({})).await;
    }
    service
        .get("/v1/subjects?state=held", owner)
        .await
        .expect(200);
    // What is asked for meanwhile waits for the hold, and is let go with it.
    let body = json!({"lookup": {"user_id": "u-ada"}});
    service.erasure(body).await;
    let path = format!("/v1/subjects/{ada}/restriction");
    service.advance(days(1)).await;
    let day = (service.now() - days(1)).strftime("%F").to_string();
    let sealed = format!("/v1/activity/seals?day={day}");
    service.get(&sealed, owner).await.expect(200);
    service.delete(&path, owner).await.expect(204);
    service.advance(days(3)).await;

    // A shorter retention is brought to every door. Bob returns to a life that is over,
    // before anybody has noticed.
    let bob = service.acquaint("bob").await;
    service.advance(days(1)).await;
    let shorter = json!({"retention_days": 2});
    put(service, "/v1/settings?dry_run=true", shorter.clone()).await;
    put(service, "/v1/settings", shorter).await;
    let carol = service.acquaint("carol").await;
    let path = format!("/v1/subjects/{carol}/hold");
    put(service, &path, json!({"reason": "litigation"})).await;
    let body = json!({"subjects": [carol]});
    service.erasure(body).await;
    service.delete(&path, owner).await.expect(204);
    let copied = service.post("/v1/exports", owner, json!({"subject": bob}));
    copied.await.expect(202);
    service.cloud.settle().await;
    let body = json!({"subjects": [bob], "reason": "subject_request", "suppress": true});
    let erased = service.post("/v1/erasures", owner, body);
    let erased = erased.await.expect(202)["id"].as_str().map(str::to_owned);
    service.advance(minutes(30)).await;
    let path = format!("/v1/erasures/{}/receipt", erased.expect("an id"));
    assert_eq!(service.get(&path, owner).await.status, 200);
    let lifted = format!("/v1/subjects/{bob}/suppression");
    service.delete(&lifted, owner).await.expect(204);
}

/// A service without schedules and TTL: who is due is noticed by whoever meets them first.
async fn unnoticed(service: &Service) {
    let visit = || json!([{"type": "visit", "visitor_id": "eve"}]);
    let eve = subject(&service.store(visit()).await[0]);
    // A rule that outlasted somebody is lifted when nothing else is known of them.
    let dan = service.visit("dan").await;
    let rule = format!("/v1/subjects/{dan}/objection");
    put(service, &rule, json!({})).await;
    let owner = &service.ours.owner;
    let path = format!("/v1/subjects/{dan}");
    service.delete(&path, owner).await.expect(202);
    service.cloud.settle().await;
    service.cloud.clock().advance(days(31));
    service.store(visit()).await;
    service.cloud.clock().advance(days(31));
    service.cloud.sweep_ttl().await;
    assert!(rows::about(service, &eve).await.len() <= 1);
    service.delete(&rule, owner).await.expect(204);
}

/// After a year a tenant's wrapping key gets a new version.
async fn rotates(service: &Service) {
    let tenant = TenantId::parse(&service.theirs.id).expect("a tenant");
    let store = &service.cloud.app().store;
    let (kind, all) = (JobKind::Rotation, JobFilter::default());
    let jobs = store.jobs::<Value>(tenant, kind, &all, 1, None);
    let mut job = jobs.await.expect("it answers").0.remove(0);
    service.cloud.clock().advance(days(366));
    let handed = store.next_turn(&mut job, service.now()).await;
    assert!(handed.expect("it answers"));
    service.cloud.settle().await;
}

/// A tenant leaves in the middle of everything.
async fn leaves(service: &Service) {
    let owner = &service.ours.owner;
    let ada = service.acquaint("zoe").await;
    for rule in ["restriction", "objection", "suppression"] {
        put(service, &format!("/v1/subjects/{ada}/{rule}"), json!({})).await;
    }
    let body = json!({"tenant": true, "confirm": service.ours.id});
    service.erasure(body).await;
    service.advance(days(1)).await;
    for _ in 0..8 {
        service.advance(minutes(61)).await;
    }
    service.get("/v1/settings", owner).await.expect(401);
}

#[tokio::test]
async fn what_is_called_is_allowed_and_what_is_allowed_is_called() {
    let (service, noted) = watched("day", &[]).await;
    every_route(&service).await;
    let ada = service.acquaint("ada").await;
    files(&service, &ada).await;
    lives(&service, &ada).await;
    leaves(&service).await;
    // Tombstones go, and the jobs that made them.
    for _ in 0..37 {
        service.advance(days(1)).await;
    }
    assert_eq!(service.cloud.dead_letters().len(), 0);
    let mut all = asked(&noted);
    let (service, noted) = watched("unnoticed", &[]).await;
    unnoticed(&service).await;
    rotates(&service).await;
    all.extend(asked(&noted));

    let tree = tree();
    let roles = iam::roles(&tree).expect("every function has a role");
    let used = passed(&roles, &all);
    // A policy that several roles share need not be of use to each, but to one.
    let mut unused = BTreeSet::new();
    for (function, statements) in &roles {
        for statement in statements.iter().filter(|it| !of_the_platform(it)) {
            let by_all = statement.place.starts_with("CallerPolicy");
            let used = used
                .iter()
                .filter(|((of, place), _)| *place == statement.place && (by_all || of == function));
            let used: Parts = used.flat_map(|(_, parts)| parts.clone()).collect();
            for part in statement.parts().difference(&used) {
                let rare = RARE.contains(&(function.as_str(), part.1.as_str()));
                let of_rare = part.0 == "resource" && used.is_empty();
                if !rare && !of_rare {
                    unused.insert(format!("{function} {}: {part:?}", statement.place));
                }
            }
        }
    }
    assert!(unused.is_empty(), "{unused:#?}");
    entries_are_only_added(&all);
}

/// What one transaction does to a table is allowed by one statement, so that the roles allow
/// more of the log than to add to it. No function does: entries go with their tenant alone.
#[track_caller]
fn entries_are_only_added(asked: &[(String, Asked)]) {
    let of_the_log = |asked: &Asked| {
        let keys = asked.context.get(iam::LEADING_KEYS);
        // Alone: what else a transaction does is another's business.
        let alone = keys.filter(|keys| keys.len() == 1);
        alone.is_some_and(|keys| keys[0].contains("#activity#"))
    };
    let about = asked.iter().filter(|(_, asked)| of_the_log(asked));
    let done: BTreeSet<_> = about
        .map(|(function, asked)| (function.as_str(), asked.action.as_str()))
        .collect();
    assert!(done.contains(&("admin", "dynamodb:PutItem")), "{done:?}");
    let changes = done.iter().filter(|(_, action)| {
        !["dynamodb:PutItem", "dynamodb:Query", "dynamodb:GetItem"].contains(action)
    });
    let changes: Vec<_> = changes.collect();
    assert_eq!(changes, [&("delete", "dynamodb:BatchWriteItem")]);
}

/// Both tables are put back to before somebody was erased and others were governed; then a
/// replay finds what is left of everybody.
#[tokio::test]
async fn what_a_replay_calls_is_allowed_while_a_restore_is_under_way() {
    let (service, noted) = watched("restore", RESTORING).await;
    let owner = &service.ours.owner;
    let ada = service.acquaint("ada").await;
    service.upload("ada", "note.txt", "text/plain", b"hi").await;
    let bob = service.acquaint("bob").await;
    let before = rows::records(&service).await;
    for rule in ["objection", "suppression"] {
        put(&service, &format!("/v1/subjects/{bob}/{rule}"), json!({})).await;
    }
    let path = format!("/v1/subjects/{ada}");
    service.delete(&path, owner).await.expect(202);
    service.cloud.settle().await;
    for row in &before {
        rows::put_back(&service, row).await;
    }
    noted.lock().expect("nobody panics").clear();
    for way in ["records", "keyring", "both"] {
        let order = json!({"restored": way, "dry_run": false, "max_share": 1.0});
        let replayed = service.cloud.invoke("restore", order).await;
        replayed.expect("it comes to its end");
    }
    let tree = tree_restoring();
    let roles = iam::roles(&tree).expect("every function has a role");
    let asked = asked(&noted);
    assert!(asked.iter().any(|(function, _)| function == "restore"));
    passed(&roles, &asked);
}

/// The function `restore` alone may scan, and it exists only while a restore is under way.
#[test]
fn nobody_scans_but_a_restore() {
    for (tree, expected) in [(tree(), vec![]), (tree_restoring(), vec!["restore"])] {
        let roles = iam::roles(&tree).expect("every function has a role");
        let may_scan = roles.iter().filter(|(_, statements)| {
            let mut parts = statements.iter().flat_map(Statement::parts);
            parts.any(|(kind, part)| kind == "action" && part == "dynamodb:Scan")
        });
        let may_scan: Vec<_> = may_scan.map(|(function, _)| function.as_str()).collect();
        assert_eq!(may_scan, expected);
    }
}

/// No two statements of a role allow the same write to a table, each for some keys: whichever
/// way AWS judges a transaction, one of them allows all of it. And no shape of a key counts its
/// shards.
#[test]
fn a_role_has_one_statement_for_each_write_to_a_table() {
    let tree = tree();
    let roles = iam::roles(&tree).expect("every function has a role");
    let mut found = BTreeSet::new();
    for (function, statements) in &roles {
        for parts in statements.iter().map(Statement::parts) {
            let of = |wanted| -> Vec<&str> {
                let parts = parts.iter().filter(|(kind, _)| *kind == wanted);
                parts.map(|(_, part)| part.as_str()).collect()
            };
            for write in ["PutItem", "UpdateItem", "DeleteItem", "ConditionCheckItem"] {
                let write = format!("dynamodb:{write}");
                if of("action").contains(&write.as_str()) {
                    for table in of("resource") {
                        let once = found.insert(format!("{function} {write} {table}"));
                        assert!(once, "{function} {write} {table}");
                    }
                }
            }
            let mut shapes = of(iam::LEADING_KEYS).into_iter();
            assert_eq!(shapes.find(|key| key.ends_with("#?")), None, "{function}");
        }
    }
    assert!(found.iter().any(|it| it.ends_with("-records")), "{found:?}");
    assert!(found.iter().any(|it| it.ends_with("-keyring")), "{found:?}");
}

/// No resource is a star, but where IAM knows none; no action is, ever.
#[test]
fn nothing_is_allowed_by_a_star() {
    let tree = tree_restoring();
    let roles = iam::roles(&tree).expect("every function has a role");
    for part in roles.values().flatten().flat_map(Statement::parts) {
        let star = match part.0.as_str() {
            "action" => part.1.contains('*'),
            "resource" => part.1 == "*",
            _ => false,
        };
        let lists = part == ("resource".to_owned(), "*".to_owned());
        assert!(!star || lists, "{part:?}");
    }
    let stars = roles.values().flatten().filter(|statement| {
        let parts = statement.parts();
        parts.contains(&("resource".to_owned(), "*".to_owned()))
    });
    let actions = stars.map(|it| {
        let mut parts = it.parts();
        parts.retain(|(kind, _)| kind == "action");
        parts
    });
    let lists = [
        "dynamodb:ListBackups",
        "dynamodb:ListExports",
        "backup:ListRecoveryPointsByResource",
    ];
    let lists = lists.map(|it| ("action".to_owned(), it.to_owned()));
    assert_eq!(actions.collect::<Vec<_>>(), [Parts::from(lists)]);
}
