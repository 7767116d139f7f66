//! After a restore: either table, or both, at an earlier moment; then the replay. Nobody who
//! was forgotten can be read again, and nobody who lives is harmed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_sdk_dynamodb::types::{AttributeValue, DeleteRequest, PutRequest, WriteRequest};
use jiff::Timestamp;
use lethe_tests::{Service, assert_has, days, hours, minutes};
use local::Options;
use local::template::RESTORING;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use shared::aws::dynamo::{Item, Write};
use shared::base::id::{SubjectId, TenantId};
use shared::crypto::{Aad, SealingKey};
use shared::domain::keyring::list_write;
use shared::domain::keyring::{Entry, Rules, State};
use shared::domain::keys::{self, DOOR, EXPIRY, LifeKey, PERSON, Rule};
use shared::domain::life::door::Door;

use crate::late::{Sleeper, asleep_with};
use crate::rows::{self, Row};

const WAYS: [&str; 3] = ["records", "keyring", "both"];

/// Both tables at one moment.
#[derive(Clone)]
struct Tables {
    at: Timestamp,
    records: Vec<Row>,
    keyring: Vec<Row>,
}

/// A service whose worker can be paused, as everything is between a restore and the replay.
struct Scene {
    service: Service,
    worker: Sleeper,
}

impl Scene {
    async fn new() -> Scene {
        // A table that is restored has no TTL until it is given back.
        let options = Options {
            ttl: false,
            parameters: RESTORING,
            ..Options::default()
        };
        let (service, worker) = asleep_with("delete", options).await;
        worker.wake();
        Scene { service, worker }
    }

    fn tenant(&self) -> TenantId {
        TenantId::parse(&self.service.ours.id).expect("an id")
    }

    async fn tables(&self) -> Tables {
        Tables {
            at: self.service.now(),
            records: rows::records(&self.service).await,
            keyring: rows::keyring(&self.service).await,
        }
    }

    /// Puts one table, or both, back to an earlier moment. Nobody works from here on.
    async fn restore(&self, way: &str, before: &Tables) {
        self.service.cloud.settle().await;
        self.worker.sleep();
        let config = &self.service.cloud.app().config;
        if way != "keyring" {
            replace(&self.service, &config.records_table, &before.records).await;
        }
        if way != "records" {
            replace(&self.service, &config.keyring_table, &before.keyring).await;
        }
        self.service.cloud.settle().await;
    }

    async fn invoke(&self, order: &Value) -> Result<Value, String> {
        let answer = self.service.cloud.invoke("restore", order.clone()).await;
        answer.map_err(|failure| failure.to_string())
    }

    /// A replay in steps as small as they get. Its last answer.
    async fn replay(&self, mut order: Value) -> Value {
        order["seconds"] = json!(0);
        for _ in 0..1000 {
            let answer = self.invoke(&order).await.expect("the replay goes on");
            if answer["cursor"].is_null() {
                return answer;
            }
            order["cursor"] = answer["cursor"].clone();
        }
        panic!("the replay never ends");
    }

    /// The service works again, until everything that was left has been swept.
    async fn resume(&self) {
        self.worker.wake();
        for _ in 0..6 {
            self.service.cloud.sweep_ttl().await;
            self.service.advance(minutes(15)).await;
        }
    }

    async fn erase(&self, subject: &str, suppress: bool) {
        let path = format!("/v1/subjects/{subject}?suppress={suppress}");
        let owner = &self.service.ours.owner;
        self.service.delete(&path, owner).await.expect(202);
        self.service.cloud.settle().await;
    }

    async fn entry(&self, subject: &str) -> Option<Entry> {
        let subject = SubjectId::parse(subject).expect("a subject");
        let keyring = &self.service.cloud.app().keyring;
        keyring
            .entry(self.tenant(), subject)
            .await
            .expect("it answers")
    }

    /// Puts somebody under rules, or takes them out, in both tables at once.
    async fn rule(&self, subject: &str, change: impl Fn(&mut Rules)) {
        let app = self.service.cloud.app();
        let entry = self.entry(subject).await.expect("they are known");
        let door = app
            .store
            .door(&entry.key)
            .await
            .unwrap()
            .expect("they live");
        let mut rules = entry.rules;
        change(&mut rules);
        let mut writes = vec![entry.rules_write(rules, entry.rules_version + 1)];
        for rule in Rule::ALL {
            writes.push(list_write(&entry.key, rule, rules.under(rule)));
        }
        let end = shared::domain::life::door::expires_at(door.last_seen, 30);
        let write = Write::update(&entry.key.partition(), DOOR)
            .set("rules_version", entry.rules_version + 1);
        writes.push(match rules.stop_clock() {
            true => write.remove(&["expires_at"]),
            false => write.set("expires_at", end.as_second()),
        });
        app.store
            .transact(writes)
            .await
            .unwrap()
            .expect("nobody else is there");
    }

    /// A life gets a new data key; everything is sealed under it, and the old one is gone.
    async fn rekey(&self, subject: &str) {
        let app = self.service.cloud.app();
        let before = self.entry(subject).await.expect("they are known");
        let old = app.keyring.open(&before).await.unwrap().expect("they live");
        let partition = before.key.partition();
        let place = Aad {
            partition: &partition,
            row: "keyring",
            part: "data_key",
        };
        let tenant = app.keyring.tenant(self.tenant()).await.unwrap();
        let wrapped = tenant.wrap(place, &SealingKey::random());
        let bytes = Item::default().with("key", wrapped);
        let bytes = bytes.bytes("key").expect("bytes").to_vec();
        let call = rows::client(&self.service).update_item();
        call.table_name(&app.config.keyring_table)
            .key(
                "PK",
                AttributeValue::S(keys::keyring_subject(self.tenant(), before.key.subject)),
            )
            .update_expression("SET data_key = :key, generation = :generation")
            .expression_attribute_values(":key", AttributeValue::B(bytes.into()))
            .expression_attribute_values(":generation", AttributeValue::N("2".into()))
            .send()
            .await
            .unwrap();
        let after = self.entry(subject).await.expect("they are known");
        let new = app.keyring.open(&after).await.unwrap().expect("they live");
        for row in app.store.query_all(&partition, "").await.unwrap() {
            let mut sealed = row.clone();
            for (part, content) in row.sealed_parts() {
                let plain: Value = old.open(row.sort(), part, &content).unwrap();
                sealed = sealed.with(part, new.seal_json(row.sort(), part, &plain));
                sealed = sealed.with("key", 2_u64);
            }
            let _written = app.store.write(Write::put(sealed)).await.unwrap();
        }
    }

    /// All that can be read of somebody; `null` when nothing can.
    async fn view(&self, subject: &str) -> Value {
        let read = &self.service.ours.owner;
        let path = format!("/v1/subjects/{subject}");
        let reply = self.service.get(&path, read).await;
        if reply.status == 404 {
            self.service
                .get(&format!("{path}/records"), read)
                .await
                .expect(404);
            return Value::Null;
        }
        let mut view = reply.expect(200);
        let path = format!("{path}/records?limit=100");
        view["records"] = self.service.get(&path, read).await.expect(200)["data"].clone();
        // When the life ends is looked at apart.
        for name in ["expires_at", "state", "restriction", "objection", "hold"] {
            view.as_object_mut().expect("an object").remove(name);
        }
        view
    }

    async fn views(&self, subjects: impl IntoIterator<Item = &String>) -> BTreeMap<String, Value> {
        let mut views = BTreeMap::new();
        for subject in subjects {
            views.insert(subject.clone(), self.view(subject).await);
        }
        views
    }

    /// Who is listed.
    async fn listed(&self) -> BTreeSet<String> {
        let (mut found, mut after) = (BTreeSet::new(), String::new());
        loop {
            let path = format!("/v1/subjects?limit=100{after}");
            let page = self
                .service
                .get(&path, &self.service.ours.owner)
                .await
                .expect(200);
            let people = page["data"].as_array().expect("a list");
            found.extend(
                people
                    .iter()
                    .map(|it| it["subject"].as_str().unwrap().to_owned()),
            );
            match page["next_cursor"].as_str() {
                Some(cursor) => after = format!("&cursor={cursor}"),
                None => return found,
            }
        }
    }

    async fn lookup(&self, email: &str) -> Vec<Value> {
        let owner = &self.service.ours.owner;
        let reply = self
            .service
            .post("/v1/lookup", owner, json!({"email": email}))
            .await;
        reply.expect(200)["subjects"]
            .as_array()
            .cloned()
            .expect("a list")
    }

    /// Somebody can be written to as anybody: a visit, words, a name, a redaction of words.
    async fn write_to(&self, visitor: &str, subject: &str) {
        let results = self
            .service
            .store(json!([
                {"type": "visit", "visitor_id": visitor, "url": "https://shop.example/back"},
                {"type": "identify", "visitor_id": visitor, "user_id": "anew"},
                {"type": "message", "visitor_id": visitor, "conversation_id": "c-1",
                 "author": "end_user", "body": "Here I am again."},
            ]))
            .await;
        let owner = &self.service.ours.owner;
        let targets = json!([{"message": results[2]["message"]}]);
        let body = json!({"subject": subject, "targets": targets});
        let done = self
            .service
            .post("/v1/redactions", owner, body)
            .await
            .expect(200);
        assert_eq!(done["results"][0]["status"], "redacted", "{done}");
        let seen = self.view(subject).await;
        assert_eq!(seen["visitor_id"], visitor);
        assert_eq!(seen["identity"]["user_id"], "anew");
    }

    /// Everything agrees with everything, and nothing is left over.
    async fn sound(&self) {
        let app = self.service.cloud.app();
        let tables = self.tables().await;
        let alive = alive(&tables, self.service.now());
        for row in &tables.records {
            let (partition, sort) = (text(row, "PK"), text(row, "SK"));
            if let Some(life) = LifeKey::parse(partition) {
                assert!(alive.contains(&life), "left over: {partition} {sort}");
            }
            if let Some((tenant, subject)) = keys::parse_lookup(partition, sort) {
                let life = text(row, "life");
                let leads = alive.iter().any(|it| {
                    it.tenant == tenant && it.subject == subject && it.life.to_string() == life
                });
                assert!(leads, "a lookup of nobody: {partition}");
            }
            if partition.contains("#jobs#") && sort.starts_with("job_") && !sort.contains('#') {
                // A re-keying begins when it is its time, and a rotation never ends.
                let later = ["#rekey", "#rotation"]
                    .iter()
                    .any(|kind| partition.ends_with(kind));
                let waits = later && text(row, "state") == "queued";
                let over = ["completed", "cancelled"].contains(&text(row, "state"));
                assert!(
                    over || waits,
                    "stuck: {partition} {sort} {}",
                    text(row, "state")
                );
            }
        }
        for object in rows::files(&self.service) {
            let life = keys::parse_life_of_object(&object).expect("of a life");
            assert!(alive.contains(&life), "left over: {object}");
        }
        let lists: BTreeSet<_> = tables
            .records
            .iter()
            .filter_map(|row| keys::parse_standing(text(row, "PK"), text(row, "SK")))
            .map(|(tenant, rule, subject)| (tenant, rule.name(), subject))
            .collect();
        let mut listed = BTreeSet::new();
        for row in &tables.keyring {
            let Some((tenant, subject)) = text(row, "PK").split_once('#') else {
                continue;
            };
            let tenant = TenantId::parse(tenant).unwrap();
            let subject = SubjectId::parse(subject).unwrap();
            let entry = app.keyring.entry(tenant, subject).await.unwrap().unwrap();
            for rule in Rule::ALL {
                if entry.rules.under(rule) {
                    listed.insert((tenant, rule.name(), subject));
                }
            }
            let key = &entry.key;
            let of_life = |it: &&Row| text(it, "PK") == key.partition();
            let rows: HashMap<_, _> = tables
                .records
                .iter()
                .filter(of_life)
                .map(|row| (text(row, "SK").to_owned(), row))
                .collect();
            if entry.state != State::Active {
                assert_eq!(entry.state, State::Erased, "stuck: {key:?}");
                assert!(!row.contains_key("data_key") && !row.contains_key("retiring_key"));
                assert!(!row.contains_key("held") && !row.contains_key("restricted"));
                continue;
            }
            for sort in [DOOR, PERSON, EXPIRY] {
                assert!(rows.contains_key(sort), "{key:?} has no {sort}");
            }
            let door = app.store.door(key).await.unwrap().unwrap();
            assert_eq!(door.rules_version, entry.rules_version);
            assert_eq!(door.expires_at.is_none(), entry.rules.stop_clock());
            counted(&door, &rows);
        }
        assert_eq!(lists, listed, "lists and keyring agree");
        let ours = alive.iter().filter(|it| it.tenant == self.tenant());
        let ours: BTreeSet<_> = ours.map(|it| it.subject.to_string()).collect();
        assert_eq!(self.listed().await, ours);
        for subject in &ours {
            assert_ne!(self.view(subject).await, Value::Null, "{subject}");
        }
        let dead = self.service.cloud.dead_letters();
        assert_eq!(dead.len(), 0, "{dead:?}");
    }
}

fn counted(door: &Door, rows: &HashMap<String, &Row>) {
    let count = |prefix: &str| {
        let of_kind = rows.keys().filter(|sort| sort.starts_with(prefix));
        of_kind.count() as u64
    };
    let counts = door.counts;
    assert_eq!(counts.conversations, count("conversation#"));
    assert_eq!(counts.messages, count("message#"));
    assert_eq!(counts.attachments, count("attachment#"));
    assert_eq!(counts.interactions, count("interaction#"));
    for (sort, row) in rows {
        if let Some(hash) = sort.strip_prefix("conversation#") {
            let said = row["messages"].as_n().expect("a number");
            assert_eq!(*said, count(&format!("message#{hash}#")).to_string());
        }
    }
}

fn text<'a>(row: &'a Row, name: &str) -> &'a str {
    rows::text(row, name).unwrap_or_default()
}

/// Lives that keyring and doors agree on.
fn alive(tables: &Tables, now: Timestamp) -> BTreeSet<LifeKey> {
    let doors: HashMap<&str, &Row> = tables
        .records
        .iter()
        .filter(|row| text(row, "SK") == DOOR)
        .map(|row| (text(row, "PK"), row))
        .collect();
    let lives = tables.keyring.iter().filter_map(|row| {
        let life = LifeKey::parse(&format!("{}#{}", text(row, "PK"), text(row, "life")))?;
        let door = doors.get(life.partition().as_str())?;
        let end = door.get("expires_at").and_then(|it| it.as_n().ok());
        let end = end.and_then(|it| it.parse::<i64>().ok());
        let over = end.is_some_and(|end| end <= now.as_second());
        (text(row, "state") == "active" && !over).then_some(life)
    });
    lives.collect()
}

/// Every life that is named anywhere.
fn ever(tables: &Tables) -> BTreeSet<LifeKey> {
    let keyring = tables.keyring.iter();
    let keyring = keyring
        .filter_map(|row| LifeKey::parse(&format!("{}#{}", text(row, "PK"), text(row, "life"))));
    let records = tables.records.iter();
    let records = records.filter_map(|row| LifeKey::parse(text(row, "PK")));
    keyring.chain(records).collect()
}

/// What a restore does to a table: everything in it is as it was.
async fn replace(service: &Service, table: &str, rows: &[Row]) {
    let client = rows::client(service);
    let now = match table == service.cloud.app().config.records_table {
        true => rows::records(service).await,
        false => rows::keyring(service).await,
    };
    let key = |row: &Row| -> Row {
        let names = ["PK", "SK"].into_iter();
        let parts = names.filter_map(|name| Some((name.to_owned(), row.get(name)?.clone())));
        parts.collect()
    };
    let deletes = now.iter().map(|row| {
        let delete = DeleteRequest::builder().set_key(Some(key(row))).build();
        WriteRequest::builder()
            .delete_request(delete.unwrap())
            .build()
    });
    let puts = rows.iter().map(|row| {
        let put = PutRequest::builder().set_item(Some(row.clone())).build();
        WriteRequest::builder().put_request(put.unwrap()).build()
    });
    for writes in [deletes.collect::<Vec<_>>(), puts.collect()] {
        for some in writes.chunks(25) {
            let call = client
                .batch_write_item()
                .request_items(table, some.to_vec());
            let answer = call.send().await.expect("the engine answers");
            assert!(answer.unprocessed_items.unwrap_or_default().is_empty());
        }
    }
}

/// Rows in a form that can be compared.
fn shown(rows: &[Row]) -> BTreeSet<String> {
    let value = |value: &AttributeValue| match value.as_ss() {
        Ok(texts) => format!("{:?}", texts.iter().collect::<BTreeSet<_>>()),
        Err(other) => format!("{other:?}"),
    };
    let row = |row: &Row| {
        let parts: BTreeMap<_, _> = row.iter().map(|(name, it)| (name, value(it))).collect();
        format!("{parts:?}")
    };
    rows.iter().map(row).collect()
}

#[track_caller]
fn same(before: &Tables, after: &Tables) {
    for (before, after) in [
        (&before.records, &after.records),
        (&before.keyring, &after.keyring),
    ] {
        let (before, after) = (shown(before), shown(after));
        let lost: Vec<_> = before.difference(&after).collect();
        let new: Vec<_> = after.difference(&before).collect();
        assert!(lost.is_empty() && new.is_empty(), "{lost:#?} {new:#?}");
    }
}

/// What a replay counts of what it does, but for how much it has looked at.
fn done(answer: &Value) -> Vec<(String, u64)> {
    let numbers = answer.as_object().expect("an object").iter();
    let of_it = |name: &str| !["seen", "lives", "to_erase", "tenants_unknown"].contains(&name);
    let numbers = numbers.filter(|(name, _)| of_it(name));
    numbers
        .filter_map(|(name, it)| Some((name.clone(), it.as_u64().filter(|it| *it > 0)?)))
        .collect()
}

/// The whole of a replay: dry, for real, once more, and what follows. The first real answer.
async fn drill(scene: &Scene, way: &str, before: &Tables, lost_at: Timestamp) -> Value {
    let keyring_at = if way == "both" { before.at } else { lost_at };
    let records_at = if way == "keyring" { lost_at } else { before.at };
    let order = json!({"restored": way, "records_at": records_at, "keyring_at": keyring_at,
                       "max_share": 1.0});
    let restored = scene.tables().await;
    let objects = rows::objects(&scene.service);
    let dry = scene.invoke(&order).await.expect("it is done at once");
    assert_eq!(dry["dry_run"], true);
    assert_eq!(done(&dry), []);
    same(&restored, &scene.tables().await);
    assert_eq!(rows::objects(&scene.service), objects);

    let mut order = order;
    order["dry_run"] = json!(false);
    let real = scene.replay(order.clone()).await;
    assert_eq!(real["to_erase"], dry["to_erase"], "{real}");
    assert_eq!(real["erased"], real["to_erase"], "{real}");
    assert_eq!(real["stopped"], false);
    let after = scene.tables().await;
    let again = scene.invoke(&order).await.expect("it is done at once");
    assert_eq!(done(&again), [], "{way}: {again}");
    same(&after, &scene.tables().await);

    scene.resume().await;
    scene.sound().await;
    scene.worker.sleep();
    let after = scene.tables().await;
    let again = scene.invoke(&order).await.expect("it is done at once");
    assert_eq!(done(&again), [], "{way}: {again}");
    let now = scene.tables().await;
    assert_eq!(alive(&after, now.at), alive(&now, now.at));
    scene.worker.wake();
    real
}

/// Nobody of these lives is left anywhere, nor can their key come back.
async fn forgotten(scene: &Scene, lives: &BTreeSet<LifeKey>) {
    let tables = scene.tables().await;
    let left = alive(&tables, tables.at);
    let rows = ever(&tables);
    for life in lives {
        assert!(!left.contains(life), "{life:?} lives again");
        let partition = life.partition();
        let row = tables
            .records
            .iter()
            .find(|row| text(row, "PK") == partition);
        assert!(row.is_none(), "left over: {row:?}");
    }
    assert!(rows.len() >= left.len());
}

fn names(lives: &BTreeSet<LifeKey>) -> BTreeSet<String> {
    lives.iter().map(|life| life.subject.to_string()).collect()
}

/// Who should go on, by the tables that there were.
fn survivors(
    way: &str,
    before: &Tables,
    lost: &Tables,
    erased: &BTreeSet<LifeKey>,
) -> BTreeSet<LifeKey> {
    let then = alive(before, before.at);
    let last = alive(lost, lost.at);
    match way {
        // As both knew them: the same life at both moments.
        "records" | "keyring" => then.intersection(&last).copied().collect(),
        // Nobody knows of what came after, but whom the ledger names.
        _ => {
            let still = alive(before, lost.at);
            still.difference(erased).copied().collect()
        }
    }
}

#[tokio::test]
async fn whatever_is_restored_the_forgotten_stay_forgotten_and_the_living_live() {
    for way in WAYS {
        let scene = Scene::new().await;
        let service = &scene.service;
        // Due in the middle of what follows, unless they are seen again.
        let lapses = service.acquaint("lapses").await;
        let comes_back = service.acquaint("comes-back").await;
        let seen_again = service.acquaint("seen-again").await;
        service.advance(days(29)).await;
        let stays = service.acquaint("stays").await;
        let erased = service.acquaint("erased").await;
        let suppressed = service.acquaint("suppressed").await;
        let returns = service.acquaint("returns").await;
        let grows = service.acquaint("grows").await;
        let held = service.acquaint("held").await;
        let objects = service.acquaint("objects").await;
        let freed = service.acquaint("freed").await;
        let in_flight = service.acquaint("in-flight").await;
        for visitor in ["stays", "erased", "lapses"] {
            service.attach(visitor).await;
        }
        scene.rule(&freed, |rules| rules.held = true).await;
        service.advance(hours(11)).await;
        scene.erase(&in_flight, false).await;
        let before = scene.tables().await;
        let views_before = scene
            .views([&stays, &grows, &held, &freed, &seen_again])
            .await;

        service.advance(minutes(60)).await;
        service.visit("seen-again").await;
        for subject in [&erased, &returns] {
            scene.erase(subject, false).await;
        }
        scene.erase(&suppressed, true).await;
        service.advance(minutes(30)).await;
        service.advance(minutes(1)).await;
        service.visit("returns").await;
        service
            .upload("returns", "b.txt", "text/plain", b"again")
            .await;
        let new = service.acquaint("new").await;
        service.upload("new", "n.txt", "text/plain", b"new").await;
        let brief = service.acquaint("brief").await;
        scene.erase(&brief, false).await;
        service
            .store(
                json!([{"type": "message", "visitor_id": "grows", "conversation_id": "c-1",
                           "author": "end_user", "body": "One more thing."}]),
            )
            .await;
        scene.rule(&held, |rules| rules.held = true).await;
        scene.rule(&objects, |rules| rules.objected = true).await;
        scene.rule(&freed, |rules| rules.held = false).await;
        service.advance(hours(13)).await;
        service.advance(minutes(60)).await;
        service.advance(minutes(1)).await;
        service.visit("comes-back").await;
        let hasty = service.acquaint("hasty").await;
        scene.erase(&hasty, false).await;
        let lost = scene.tables().await;
        let views_lost = scene
            .views([&stays, &grows, &held, &freed, &seen_again])
            .await;
        assert_eq!(scene.view(&lapses).await, Value::Null);

        let gone: BTreeSet<_> = ever(&before).union(&ever(&lost)).copied().collect();
        let gone: BTreeSet<_> = gone.difference(&alive(&lost, lost.at)).copied().collect();
        let of = |who: &[&String]| -> BTreeSet<LifeKey> {
            let named = |life: &&LifeKey| who.iter().any(|it| **it == life.subject.to_string());
            gone.iter().filter(named).copied().collect()
        };
        let erasures = of(&[&erased, &returns, &suppressed, &brief, &in_flight]);
        let expected = survivors(way, &before, &lost, &erasures);
        scene.restore(way, &before).await;
        let answer = drill(&scene, way, &before, lost.at).await;

        forgotten(&scene, &gone).await;
        let tables = scene.tables().await;
        assert_eq!(alive(&tables, tables.at), expected, "{way}: {answer}");
        let views = match way {
            "keyring" => &views_lost,
            _ => &views_before,
        };
        for (subject, view) in views {
            if names(&expected).contains(subject) {
                assert_eq!(scene.view(subject).await, *view, "{way}");
            }
        }
        let lives = names(&expected);
        assert!(
            [&stays, &grows, &held, &objects, &freed]
                .iter()
                .all(|it| lives.contains(*it))
        );
        assert_eq!(lives.contains(&seen_again), way != "both", "{way}");
        for gone in ["erased", "suppressed", "in-flight", "brief", "lapses"] {
            assert_eq!(
                scene.lookup(&format!("{gone}@example.com")).await.len(),
                0,
                "{gone}"
            );
        }

        // Rules that the other table knew are in force.
        let rules = |entry: Option<Entry>| entry.map(|entry| entry.rules).unwrap_or_default();
        let known = way != "both";
        assert_eq!(rules(scene.entry(&held).await).held, known, "{way}");
        assert_eq!(rules(scene.entry(&objects).await).objected, known, "{way}");
        // Of two restored tables the rule that binds: it was not lifted yet.
        assert_eq!(rules(scene.entry(&freed).await).held, !known, "{way}");
        assert!(rules(scene.entry(&suppressed).await).suppressed, "{way}");

        for (visitor, subject) in [("stays", &stays), ("grows", &grows)] {
            scene.write_to(visitor, subject).await;
        }
        let visit = json!({"events": [{"type": "visit", "visitor_id": "objects"}]});
        let ingest = &service.ours.ingest;
        let told = service.post("/v1/events", ingest, visit).await.expect(200);
        let status = if known { "ignored" } else { "stored" };
        assert_eq!(told["results"][0]["status"], status, "{way}: {told}");
        let path = format!("/v1/subjects/{held}");
        let owner = &service.ours.owner;
        let refused = service.erase(&held).await;
        assert_eq!(refused["state"] == "blocked", known, "{way}: {refused}");
        if known {
            // As if nothing had been lost: it goes on when the hold ends.
            let lifted = service.delete(&format!("{path}/hold"), owner).await;
            assert_eq!(lifted.status, 204);
        }
        service.cloud.settle().await;
        assert_eq!(scene.view(&held).await, Value::Null);
        // Whoever was lost, or forgotten, may come back.
        service.advance(minutes(1)).await;
        for visitor in ["new", "returns", "erased", "lapses", "comes-back"] {
            service.visit(visitor).await;
        }
        assert!(!lives.contains(&new));
        scene.resume().await;
        scene.sound().await;
        assert_eq!(comes_back, service.visit("comes-back").await);
    }
}

#[tokio::test]
async fn what_was_sealed_before_a_rekeying_is_removed_where_it_cannot_be_opened() {
    for way in WAYS {
        let scene = Scene::new().await;
        let service = &scene.service;
        let ada = service.acquaint("ada").await;
        let eve = service.acquaint("eve").await;
        service.attach("ada").await;
        let before = scene.tables().await;
        let (ada_before, eve_before) = (scene.view(&ada).await, scene.view(&eve).await);
        service.advance(minutes(60)).await;
        scene.rekey(&ada).await;
        assert_eq!(
            scene.view(&ada).await,
            ada_before,
            "a re-keying loses nothing"
        );
        let lost = scene.tables().await;
        scene.restore(way, &before).await;
        let answer = drill(&scene, way, &before, lost.at).await;
        assert_eq!(scene.view(&eve).await, eve_before);
        let seen = scene.view(&ada).await;
        if way == "both" {
            assert_eq!(seen, ada_before);
            assert_eq!(answer["unreadable_removed"], 0);
            continue;
        }
        // Person, visit, conversation, two messages, interaction, file.
        assert_eq!(answer["unreadable_removed"], 7, "{answer}");
        assert_eq!(answer["people_repaired"], 1);
        assert_eq!(seen["identity"], json!({}));
        assert_eq!(seen["records"], json!([]));
        assert_eq!(seen["counts"]["messages"], 0);
        assert_eq!(seen["last_seen"], ada_before["last_seen"]);
        scene.write_to("ada", &ada).await;
        scene.sound().await;
    }
}

#[tokio::test]
async fn rows_that_a_life_cannot_do_without_are_made_anew() {
    let scene = Scene::new().await;
    let service = &scene.service;
    let ada = service.acquaint("ada").await;
    let before = scene.tables().await;
    let key = scene.entry(&ada).await.expect("they are known").key;
    let mut holed = before.clone();
    holed.records.retain(|row| {
        let lost = [EXPIRY, PERSON].contains(&text(row, "SK"));
        text(row, "PK") != key.partition() || !lost
    });
    scene.restore("records", &holed).await;
    let answer = drill(&scene, "records", &holed, before.at).await;
    assert_eq!(answer["expiry_entries_repaired"], 1, "{answer}");
    assert_eq!(answer["people_repaired"], 1, "{answer}");
    assert_eq!(answer["erased"], 0, "{answer}");
    let seen = scene.view(&ada).await;
    assert_eq!(seen["counts"]["messages"], 2);
    scene.write_to("ada", &ada).await;
    // Who is made whole expires as anybody does.
    service.advance(days(31)).await;
    scene.resume().await;
    assert_eq!(scene.view(&ada).await, Value::Null);
    scene.sound().await;
}

#[tokio::test]
async fn a_table_that_is_much_emptier_than_expected_stops_the_replay() {
    for way in ["records", "keyring"] {
        let scene = Scene::new().await;
        for visitor in ["a", "b", "c"] {
            scene.service.acquaint(visitor).await;
        }
        let before = scene.tables().await;
        let mut empty = before.clone();
        empty
            .records
            .retain(|row| LifeKey::parse(text(row, "PK")).is_none());
        empty.keyring.retain(|row| !text(row, "PK").contains('#'));
        scene.restore(way, &empty).await;
        let restored = scene.tables().await;
        let order = json!({"restored": way, "dry_run": false});
        let answer = scene.replay(order).await;
        assert_eq!(answer["stopped"], true, "{answer}");
        assert_has(&answer, json!({"lives": 3, "to_erase": 3}));
        assert_eq!(done(&answer), []);
        same(&restored, &scene.tables().await);
        // The operator may insist.
        let order = json!({"restored": way, "dry_run": false, "max_share": 1.0});
        let answer = scene.replay(order).await;
        assert_eq!(answer["erased"], 3, "{answer}");
        scene.resume().await;
        scene.sound().await;
        assert_eq!(scene.listed().await.len(), 0);
    }
}

#[tokio::test]
async fn a_tenant_that_has_left_stays_away() {
    for way in WAYS {
        let scene = Scene::new().await;
        let service = &scene.service;
        let stays = service.acquaint("ada").await;
        let theirs = &service.theirs;
        service
            .send(
                &theirs.ingest,
                json!([{"type": "visit", "visitor_id": "bob"},
            {"type": "identify", "visitor_id": "bob", "email": "bob@example.com"}]),
            )
            .await;
        let before = scene.tables().await;
        let body = json!({"tenant": true, "confirm": theirs.id, "not_before": service.now()});
        service
            .post("/v1/erasures", &theirs.owner, body)
            .await
            .expect(202);
        for _ in 0..6 {
            service.advance(minutes(15)).await;
        }
        service.get("/v1/subjects", &theirs.owner).await.expect(401);
        let lost = scene.tables().await;
        assert_eq!(alive(&lost, lost.at).len(), 1);
        scene.restore(way, &before).await;
        let order = json!({"restored": way, "dry_run": false, "max_share": 1.0});
        let answer = scene.replay(order.clone()).await;
        let back = u64::from(way != "keyring");
        assert_eq!(answer["tenants_left"], back, "{answer}");
        assert_eq!(
            answer["tenant_keys_removed"],
            u64::from(way != "records"),
            "{answer}"
        );
        let again = scene.replay(order).await;
        assert_eq!(done(&again), [], "{again}");
        scene.resume().await;
        scene.sound().await;
        service.get("/v1/subjects", &theirs.owner).await.expect(401);
        let left = rows::all(service).await;
        let of_them = left
            .iter()
            .filter(|row| text(row, "PK").contains(&theirs.id));
        let partitions: BTreeSet<_> = of_them.map(|row| text(row, "PK").to_owned()).collect();
        let stay = ["#jobs#erasure", "#receipts", "#seals", "#leaves#", "#sub_"];
        for partition in &partitions {
            let known = *partition == theirs.id || stay.iter().any(|it| partition.contains(it));
            assert!(known, "{way}: {partition}");
        }
        assert_ne!(scene.view(&stays).await, Value::Null);
    }
}

#[tokio::test]
async fn an_order_that_is_not_one_is_refused_by_name() {
    let scene = Scene::new().await;
    for (order, problem) in [
        (
            json!({"dry_run": true}),
            "restored must be records, keyring or both",
        ),
        (
            json!({"restored": "records", "cursor": {}}),
            "cursor must be a cursor returned by a replay",
        ),
        (
            json!({"restored": "records", "max_share": 5}),
            "max_share must be a number from 0 to 1",
        ),
    ] {
        let refused = scene.invoke(&order).await.unwrap_err();
        assert_eq!(refused, problem);
    }
    let begun = json!({"restored": "records", "seconds": 0});
    let cursor = scene.invoke(&begun).await.unwrap()["cursor"].clone();
    let other = json!({"restored": "keyring", "cursor": cursor});
    assert!(
        scene
            .invoke(&other)
            .await
            .unwrap_err()
            .starts_with("cursor ")
    );
}

/// Something happens to somebody.
async fn chance(
    scene: &Scene,
    rng: &mut StdRng,
    people: usize,
    known: &mut BTreeMap<String, String>,
    erased: &mut BTreeSet<LifeKey>,
) {
    let service = &scene.service;
    let visitor = format!("v-{}", rng.random_range(0..people));
    let subject = known.get(&visitor).cloned();
    let lives = match &subject {
        Some(subject) => scene.view(subject).await != Value::Null,
        None => false,
    };
    let held = match &subject {
        Some(subject) => scene.entry(subject).await.is_some_and(|it| it.rules.held),
        None => false,
    };
    match (rng.random_range(0..9), subject) {
        (0 | 1, Some(subject)) if lives && !held => {
            erased.insert(scene.entry(&subject).await.unwrap().key);
            scene.erase(&subject, false).await;
        }
        (2, Some(subject)) if lives => scene.rule(&subject, |it| it.held = !it.held).await,
        (3, Some(subject)) if lives => scene.rule(&subject, |it| it.objected = !it.objected).await,
        (4, Some(_)) if lives => {
            service.attach(&visitor).await;
        }
        (5, _) => service.advance(minutes(rng.random_range(1..90))).await,
        (6 | 7, Some(subject)) if lives => {
            let events = json!({"events": [
                {"type": "message", "visitor_id": visitor, "conversation_id": "c-2",
                 "author": "end_user", "body": "and another"}]});
            let _ = service
                .post("/v1/events", &service.ours.ingest, events)
                .await;
            let _ = subject;
        }
        _ => {
            let results = service.send(&service.ours.ingest, json!([
                {"type": "visit", "visitor_id": visitor},
                {"type": "identify", "visitor_id": visitor, "email": format!("{visitor}@example.com")},
                {"type": "message", "visitor_id": visitor, "conversation_id": "c-1",
                 "author": "end_user", "body": "hello"}])).await;
            if let Some(subject) = results[0]["subject"].as_str() {
                known.insert(visitor, subject.to_owned());
            }
        }
    }
}

#[tokio::test]
async fn whatever_happens_before_and_after_the_restored_moment() {
    const PEOPLE: usize = 10;
    let one = std::env::var("LETHE_SEED").ok();
    let seeds = match one.and_then(|seed| seed.parse().ok()) {
        Some(seed) => seed..seed + 1,
        None => 0..if cfg!(feature = "long") { 60 } else { 2 },
    };
    for seed in seeds {
        let way = WAYS[seed as usize % 3];
        eprintln!("seed {seed}: {way}");
        let mut rng = StdRng::seed_from_u64(seed);
        let scene = Scene::new().await;
        let (mut known, mut erased) = (BTreeMap::new(), BTreeSet::new());
        for _ in 0..rng.random_range(15..40) {
            chance(&scene, &mut rng, PEOPLE, &mut known, &mut erased).await;
        }
        if rng.random_bool(0.5) {
            // Some are due soon.
            scene.service.advance(days(29)).await;
            for _ in 0..5 {
                chance(&scene, &mut rng, PEOPLE, &mut known, &mut erased).await;
            }
        }
        let before = scene.tables().await;
        let then = scene.views(known.values()).await;
        for _ in 0..rng.random_range(15..40) {
            chance(&scene, &mut rng, PEOPLE, &mut known, &mut erased).await;
        }
        scene.service.cloud.settle().await;
        let lost = scene.tables().await;
        let last = scene.views(known.values()).await;
        let gone: BTreeSet<_> = ever(&before).union(&ever(&lost)).copied().collect();
        let gone = gone.difference(&alive(&lost, lost.at)).copied().collect();
        let expected = survivors(way, &before, &lost, &erased);
        scene.restore(way, &before).await;
        let answer = drill(&scene, way, &before, lost.at).await;
        let tables = scene.tables().await;
        let now = alive(&tables, tables.at);
        forgotten(&scene, &gone).await;
        assert!(now.is_subset(&expected), "seed {seed}, {way}: {answer}");
        // Those whose time came while the sweeps went on are over, and nobody else.
        for life in expected.difference(&now) {
            let of_it = |row: &&Row| text(row, "PK") == life.partition() && text(row, "SK") == DOOR;
            let doors = if way == "keyring" { &lost } else { &before };
            let door = doors.records.iter().find(of_it).expect("it stood");
            let end = door["expires_at"].as_n().unwrap().parse::<i64>().unwrap();
            assert!(
                end <= tables.at.as_second(),
                "seed {seed}, {way}: {life:?} {answer}"
            );
        }
        let views = if way == "keyring" { &last } else { &then };
        for life in &now {
            let subject = life.subject.to_string();
            assert_eq!(
                scene.view(&subject).await,
                views[&subject],
                "seed {seed}, {way}"
            );
        }
    }
}
