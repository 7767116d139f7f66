//! What the command line says when it cannot start: one line, exit code 2.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

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
