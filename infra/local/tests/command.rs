//! What the command line says: when it cannot start, one line and exit code 2; of a day
//! that it checks, what was found; of a replay, what it did.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use emulators::Storage;
use http::Request;
use jiff::SignedDuration;
use lethe_local::client::Client;
use lethe_local::{Cloud, Options};
use serde_json::Value;
use shared::base::clock::Clock;

#[track_caller]
fn check(arguments: &[&str], expected: &str) {
    let output = Command::new(env!("CARGO_BIN_EXE_lethe-local"))
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.starts_with("lethe: ") && said.contains(expected),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(output.stdout.is_empty());
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn busy_port_is_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let folder = tempfile::tempdir().unwrap();
    check(
        &["--memory", "--data", text(folder.path()), "--port", &port],
        "is in use",
    );
}

#[test]
fn unreadable_data_folder_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "not a folder").unwrap();
    check(&["--port", "0", "--data", text(&file)], "cannot use");
    std::fs::create_dir(folder.path().join("kept")).unwrap();
    std::fs::write(folder.path().join("kept/local.json"), "{").unwrap();
    check(
        &["--port", "0", "--data", text(&folder.path().join("kept"))],
        "local.json",
    );
}

#[test]
fn bad_template_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("template.yaml");
    check(
        &[
            "--memory",
            "--data",
            text(folder.path()),
            "--template",
            text(&file),
        ],
        "template.yaml: No such file",
    );
    std::fs::write(&file, "Resources: [").unwrap();
    check(
        &[
            "--memory",
            "--data",
            text(folder.path()),
            "--template",
            text(&file),
        ],
        "template.yaml: not YAML",
    );
}

/// Checks a day in a process of its own: the exit code, and all that was said.
async fn verify(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lethe-local"));
    command
        .args(["verify", "--day", "2026-03-01"])
        .args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.unwrap().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

async fn ask(cloud: &Cloud, method: &str, path: &str, key: &str) -> String {
    let body = if method == "POST" { "{}" } else { "" };
    tell(cloud, method, path, key, body).await
}

async fn tell(cloud: &Cloud, method: &str, path: &str, key: &str, body: &str) -> String {
    let request = Request::builder()
        .method(method)
        .uri(format!("{}{path}", cloud.url()))
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json");
    let request = request.body(body.to_owned()).unwrap();
    let answer = Client::default().send(request).await;
    String::from_utf8(answer.unwrap().into_body().to_vec()).unwrap()
}

#[tokio::test]
async fn a_day_is_verified_by_asking_and_by_saved_answers() {
    let cloud = Cloud::start(Options {
        storage: Storage::Memory,
        port: 0,
        clock: Clock::frozen("2026-03-01T12:00:00Z".parse().unwrap()),
        ..Options::default()
    })
    .await
    .unwrap();
    let created = ask(&cloud, "POST", "/v1/tenants", cloud.operator_key()).await;
    let created: Value = serde_json::from_str(&created).unwrap();
    let key = created["keys"]["owner"].as_str().unwrap();
    let (code, said) = verify(&["--url", cloud.url(), "--key", key]).await;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("2026-03-01 has no signed log root"), "{said}");
    cloud.advance(SignedDuration::from_hours(24)).await;
    let (code, said) = verify(&["--url", cloud.url(), "--key", key]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.ends_with("\n2026-03-01: valid\n"), "{said}");

    let folder = tempfile::tempdir().unwrap();
    let from = ["--from", text(folder.path())];
    for (file, path) in [
        ("jwks.json", "/.well-known/jwks.json"),
        ("seals-1.json", "/v1/activity/seals?day=2026-03-01"),
        ("activity-1.json", "/v1/activity"),
    ] {
        let (code, said) = verify(&from).await;
        assert_eq!(code, Some(2), "{said}");
        assert!(
            said.starts_with("lethe: ") && said.lines().count() == 1,
            "{said}"
        );
        let answer = ask(&cloud, "GET", path, key).await;
        std::fs::write(folder.path().join(file), answer).unwrap();
    }
    let (code, said) = verify(&from).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("note  chain: not checked"), "{said}");
    let log = folder.path().join("activity-1.json");
    let changed = std::fs::read_to_string(&log)
        .unwrap()
        .replace("operator", "nobody");
    std::fs::write(&log, changed).unwrap();
    let (code, said) = verify(&from).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("FAIL  changed: act_"), "{said}");
    assert!(said.ends_with("\n2026-03-01: NOT VALID\n"), "{said}");

    // The log is gone: only of a tenant that has left is that as it should be.
    std::fs::write(&log, r#"{"data": []}"#).unwrap();
    let (code, said) = verify(&from).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("FAIL  missing: entry 1 of 1"), "{said}");
    std::fs::remove_file(&log).unwrap();
    assert_eq!(verify(&from).await.0, Some(2), "nothing is compared");
    let (code, said) = verify(&[from[0], from[1], "--left"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("note  missing: entry 1 of 1"), "{said}");
}

async fn in_folder(folder: &Path) -> Cloud {
    let options = Options {
        storage: Storage::Folder(folder.to_owned()),
        port: 0,
        ..Options::default()
    };
    Cloud::start(options).await.unwrap()
}

/// Replays in a process of its own: the exit code, and all that was said.
async fn replay(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lethe-local"));
    command.args(["replay", "--data", text(folder)]);
    command.args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.unwrap().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[tokio::test]
async fn a_restore_is_rehearsed_on_a_copy_of_the_data_folder() {
    let folder = tempfile::tempdir().unwrap();
    let (now, then) = (folder.path().join("now"), folder.path().join("then"));
    let (code, said) = replay(&now, &[]).await;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("does not contain a local run"), "{said}");

    let cloud = in_folder(&now).await;
    let created = ask(&cloud, "POST", "/v1/tenants", cloud.operator_key()).await;
    let created: Value = serde_json::from_str(&created).unwrap();
    let key = created["keys"]["owner"].as_str().unwrap();
    let visits = r#"{"events": [{"type": "visit", "visitor_id": "ada"},
                                {"type": "visit", "visitor_id": "eve"}]}"#;
    let told = tell(&cloud, "POST", "/v1/events", key, visits).await;
    let told: Value = serde_json::from_str(&told).unwrap();
    let [ada, eve] = [0, 1].map(|at| told["results"][at]["subject"].as_str().unwrap().to_owned());
    cloud.settle().await;
    cloud.stop().await;
    copy(&now, &then);
    let cloud = in_folder(&now).await;
    ask(&cloud, "DELETE", &format!("/v1/subjects/{ada}"), key).await;
    cloud.settle().await;
    cloud.stop().await;

    // Of two people one ends: more than the share.
    let from = ["--from", text(&then)];
    let (code, said) = replay(&now, &from).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("No changes made."), "{said}");
    let (code, said) = replay(&now, &["--apply", "--max-share", "0.5"]).await;
    assert_eq!(code, Some(0), "{said}");
    let erased = said.lines().find(|line| line.starts_with("erased "));
    let numbers: Vec<_> = erased.unwrap().split_whitespace().skip(1).collect();
    assert_eq!(numbers, ["1", "1"], "{said}");
    let cloud = in_folder(&now).await;
    let answer = ask(&cloud, "GET", &format!("/v1/subjects/{ada}"), key).await;
    assert!(answer.contains("404"), "{answer}");
    let answer = ask(&cloud, "GET", &format!("/v1/subjects/{eve}"), key).await;
    assert!(answer.contains(&eve), "{answer}");
    cloud.stop().await;
}

/// A folder with all that is in it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
