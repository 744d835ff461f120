//! What the command says, and how it ends, where nothing runs.

use std::path::Path;
use std::process::{Command, Output};

fn rowcast(state: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rowcast"))
        .arg("--state")
        .arg(state)
        .args(arguments)
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap()
}

fn said(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap().trim_end()
}

#[test]
fn status_tells_scripts_that_nothing_runs() {
    let folder = tempfile::tempdir().unwrap();
    let output = rowcast(folder.path(), &["status", "-o", "json"]);
    assert_eq!(output.status.code(), Some(3));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["running"], false);
}

#[test]
fn down_is_content_where_nothing_runs() {
    let folder = tempfile::tempdir().unwrap();
    let output = rowcast(folder.path(), &["down"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(said(&output.stdout).starts_with("nothing runs on "));
}

#[test]
fn up_without_the_services_says_so_in_one_sentence_and_leaves_nothing_running() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let no_programs = folder.path().to_str().unwrap();
    let output = rowcast(&state, &["up", "--bin", no_programs]);
    assert_eq!(output.status.code(), Some(1));
    let trouble = said(&output.stderr);
    assert!(
        trouble.starts_with("rowcast: capture was not found"),
        "{trouble}"
    );
    assert_eq!(trouble.lines().count(), 1, "{trouble}");
    let output = rowcast(&state, &["down"]);
    assert!(said(&output.stdout).starts_with("nothing runs on "));
}

#[test]
fn reset_asks_and_leaves_other_folders_alone() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let no_programs = folder.path().to_str().unwrap();
    rowcast(&state, &["up", "--bin", no_programs]);

    let output = rowcast(&state, &["reset"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output.stderr).contains("--yes"));
    assert!(state.exists());

    let output = rowcast(folder.path(), &["reset", "--yes"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output.stderr).contains("is not a state folder"));

    let output = rowcast(&state, &["reset", "--yes"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(!state.exists());
}
