//! Which platform a command speaks to, and how it ends where that platform does not answer.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A user with a configuration folder of its own.
struct User {
    folder: TempDir,
}

impl User {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "abc\n").unwrap();
        Self { folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("config/contexts.toml")
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rowcast"));
        command
            .args(line.split(' '))
            .env_clear()
            .env("ROWCAST_CONTEXTS", self.file())
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    fn run(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    /// What a line prints that succeeds.
    fn prints(&self, line: &str) -> String {
        let output = self.run(line);
        let trouble = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {trouble}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The code of a line, and what it says on standard error.
    fn told(&self, line: &str) -> (Option<i32>, String) {
        ended(&self.run(line))
    }
}

fn ended(output: &Output) -> (Option<i32>, String) {
    let trouble = String::from_utf8_lossy(&output.stderr)
        .trim_end()
        .to_owned();
    (output.status.code(), trouble)
}

/// An address at which nobody listens.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn contexts_are_added_used_listed_and_removed() {
    let user = User::new();
    let (office, home) = (nobody(), nobody());
    user.prints(&format!(
        "context add office --api-url {office} --token-file token"
    ));
    user.prints(&format!(
        "context add home --api-url {home} --token-file token"
    ));
    let mode = std::fs::metadata(user.file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let listed = user.prints("context list -o json");
    assert!(!listed.contains("abc"), "the token is shown: {listed}");
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let expected = serde_json::json!([
        {"name": "home", "api_url": home, "current": false},
        {"name": "office", "api_url": office, "current": true},
    ]);
    assert_eq!(listed, expected);

    // Commands speak to the one in use, unless told otherwise.
    assert!(user.told("source list").1.contains(&office));
    let named = user.told("source list --context home").1;
    assert!(named.contains(&home), "{named}");
    user.prints("context use home");
    assert!(user.told("source list").1.contains(&home));
    user.prints("context use local");
    assert!(user.told("source list").1.contains("no platform runs on"));

    let (code, trouble) = user.told(&format!(
        "context add home --api-url {home} --token-file token"
    ));
    assert!(
        code == Some(1) && trouble.contains("--replace"),
        "{trouble}"
    );
    user.prints("context remove home");
    let (code, trouble) = user.told("context use home");
    assert_eq!(code, Some(4), "{trouble}");
    let (code, trouble) = user.told("source list --context home");
    assert_eq!(code, Some(4), "{trouble}");
}

#[test]
fn a_token_in_clear_text_to_another_machine_is_told_of() {
    let user = User::new();
    for (url, told) in [
        ("http://rowcast.example", true),
        ("https://rowcast.example", false),
        ("http://127.0.0.1:1", false),
    ] {
        let line = format!("context add office --replace --api-url {url} --token-file token");
        let (code, trouble) = user.told(&line);
        assert_eq!(code, Some(0), "{trouble}");
        assert_eq!(trouble.contains("clear text"), told, "{url}: {trouble}");
    }
}

#[test]
fn a_file_that_others_may_read_is_refused() {
    let user = User::new();
    user.prints("context add office --api-url http://127.0.0.1:1 --token-file token");
    std::fs::set_permissions(user.file(), std::fs::Permissions::from_mode(0o640)).unwrap();
    let (code, trouble) = user.told("source list");
    assert!(
        code == Some(1) && trouble.contains("chmod 600"),
        "{trouble}"
    );
}

#[test]
fn a_platform_that_is_not_there_is_an_exit_code_of_its_own() {
    let user = User::new();
    let url = nobody();
    let (code, trouble) = user.told(&format!("source list --api-url {url} --token-file token"));
    assert_eq!(code, Some(3), "{trouble}");
    assert!(
        trouble.contains(&url) && trouble.lines().count() == 1,
        "{trouble}"
    );

    let (code, trouble) = user.told("source list");
    assert_eq!(code, Some(3), "{trouble}");
    assert!(trouble.contains("`rowcast up`"), "{trouble}");
}

#[test]
fn a_wrong_command_line_is_told_before_anything_is_tried() {
    let user = User::new();
    for (line, said) in [
        ("source list --api-url http://127.0.0.1:1", "--token-file"),
        (
            "source list --api-url nonsense --token-file token",
            "http://host:port",
        ),
        (
            "source list --api-url http://127.0.0.1:1 --context office",
            "--context",
        ),
        ("source create shop", "--host"),
        (
            "source create shop --host h --database d --account a --sslmode sometimes",
            "verify-full",
        ),
        (
            "context add office --api-url http://127.0.0.1:1",
            "--token-file",
        ),
    ] {
        let (code, trouble) = user.told(line);
        assert_eq!(code, Some(2), "{line}: {trouble}");
        assert!(trouble.contains(said), "{line}: {trouble}");
    }
    // A secret has no place on a command line.
    for option in ["--password=x", "--token=x"] {
        let (code, trouble) = user.told(&format!("source create s --host h {option}"));
        assert_eq!(code, Some(2), "{trouble}");
    }
}

#[test]
fn the_token_may_come_from_the_environment() {
    let user = User::new();
    let url = nobody();
    let mut command = user.command("source list");
    command
        .env("ROWCAST_API_URL", &url)
        .env("ROWCAST_TOKEN", "abc");
    let (code, trouble) = ended(&command.output().unwrap());
    assert!(code == Some(3) && trouble.contains(&url), "{trouble}");
}
