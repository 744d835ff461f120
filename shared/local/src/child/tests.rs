use super::*;

fn shell(folder: &Path, script: &str) -> Launch {
    Launch {
        name: "shell".to_owned(),
        program: PathBuf::from("/bin/sh"),
        arguments: vec!["-c".into(), script.into()],
        environment: vec![("ROWCAST_TOLD".to_owned(), "hello".into())],
        log: folder.join("shell.log"),
        echo: false,
        stop: Signal::Terminate,
        abort: Signal::Kill,
    }
}

/// Waits for a word in the log: the script has come that far.
async fn said(child: &mut Child, word: &str) {
    let log = child.log().to_owned();
    child
        .ready(
            Duration::from_secs(10),
            async || match std::fs::read_to_string(&log) {
                Ok(text) if text.contains(word) => Ok(()),
                Ok(_) | Err(_) => Err(format!("{word} is not in the log")),
            },
        )
        .await
        .unwrap();
}

#[tokio::test]
async fn an_early_death_shows_the_end_of_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let script = "echo $ROWCAST_TOLD; echo no disk >&2; exit 3";
    let mut child = Child::spawn(shell(folder.path(), script)).unwrap();
    let never = async || Err("not yet".to_owned());
    let error = child.ready(Duration::from_secs(10), never).await;
    let text = error.unwrap_err().to_string();
    assert!(text.contains("exit status: 3"), "{text}");
    assert!(text.ends_with("hello\nno disk"), "{text}");
}

#[tokio::test]
async fn the_end_of_the_log_is_of_this_start_only() {
    let folder = tempfile::tempdir().unwrap();
    for _start in 0..2 {
        let mut child = Child::spawn(shell(folder.path(), "echo once; exit 3")).unwrap();
        let status = child.wait().await.unwrap();
        let text = child.ended(status).to_string();
        assert_eq!(text.matches("once").count(), 1, "{text}");
    }
}

#[tokio::test]
async fn what_is_not_ready_in_time_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Child::spawn(shell(folder.path(), "exec sleep 60")).unwrap();
    let never = async || Err("waiting for nats".to_owned());
    let error = child.ready(Duration::from_millis(50), never).await;
    let text = error.unwrap_err().to_string();
    assert!(text.contains("waiting for nats"), "{text}");
}

#[tokio::test]
async fn a_process_may_end_in_its_own_way() {
    let folder = tempfile::tempdir().unwrap();
    let script = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done";
    let mut child = Child::spawn(shell(folder.path(), script)).unwrap();
    said(&mut child, "up").await;
    child.stop(Duration::from_secs(10)).await.unwrap();
    said_after_end(&child, "bye");
    assert!(child.wait().await.unwrap().success());
}

#[tokio::test]
async fn a_process_that_does_not_end_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let script = "trap '' TERM; echo up; while :; do sleep 0.05; done";
    let mut child = Child::spawn(shell(folder.path(), script)).unwrap();
    said(&mut child, "up").await;
    child.stop(Duration::from_millis(100)).await.unwrap();
    assert!(!child.wait().await.unwrap().success());
}

#[tokio::test]
async fn an_echoed_process_has_a_log_too() {
    let folder = tempfile::tempdir().unwrap();
    let launch = Launch {
        echo: true,
        ..shell(folder.path(), "echo out; echo err >&2; exec sleep 60")
    };
    let mut child = Child::spawn(launch).unwrap();
    said(&mut child, "out").await;
    said(&mut child, "err").await;
}

#[tokio::test]
async fn a_dropped_process_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let child = Child::spawn(shell(folder.path(), "exec sleep 60")).unwrap();
    let id = child.id().unwrap().to_string();
    drop(child);
    let alive = std::process::Command::new("sh")
        .args(["-c", "kill -0 \"$1\" 2>&1", "kill", &id])
        .status();
    assert!(!alive.unwrap().success());
}

fn said_after_end(child: &Child, word: &str) {
    let text = std::fs::read_to_string(child.log()).unwrap();
    assert!(text.contains(word), "{text}");
}
