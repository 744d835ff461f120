//! Each exit code that the help tells, by a command that ends with it.

use rowcast_domain::TaskState;
use rowcast_e2e::{PASSWORD, Shell, untracked_shop};
use rowcast_proto::rest::Task;
use rowcast_testkit::Platform;

/// What `rowcast --help` and README say.
const TOLD: &str = "Exit codes: 0 done; 1 refused or failed; 2 wrong command line; 3 not reachable, or nothing runs;\n\
                    4 not found; 5 token missing, wrong, or not for this; 6 not over within --timeout.";

#[tokio::test]
async fn every_code_that_is_told_is_seen() {
    let platform = Box::pin(Platform::start(Default::default())).await.unwrap();
    let _sql = untracked_shop(&platform).await.unwrap();
    let mut shell = Shell::of(&platform).unwrap();
    shell.write("source.pw", PASSWORD).unwrap();
    let help = shell.prints("--help").await.unwrap();
    assert!(help.contains(TOLD), "{help}");
    let source = format!(
        "source create shop --host 127.0.0.1 --port {} --database shop --account shop_owner \
         --password-file source.pw --sslmode disable",
        platform.postgres.port()
    );
    shell.prints(&source).await.unwrap();
    let create = "task create orders --source shop --schema shop";
    let task: Task = shell.json(create).await.unwrap();
    assert_eq!(task.state, TaskState::NotStarted);

    for (line, code, word) in [
        ("task purchase orders", 1, "`rowcast task precheck`"),
        ("task start orders", 1, "precheck"),
        ("task create orders --source shop", 2, "--all"),
        ("task precheck", 2, "<TASK>"),
        ("task list --in asleep", 1, "not_started"),
        ("task show nobody", 4, "nobody"),
        ("group show orders nobody", 4, "nobody"),
        ("--context nowhere task list", 4, "nowhere"),
    ] {
        // Where the platform is named by a variable, a context is not looked at.
        let mut command = shell.command(line).unwrap();
        if line.starts_with("--context") {
            command.env_remove("ROWCAST_API_URL");
        }
        let output = command.output().await.unwrap();
        let trouble = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{line}: {trouble}");
        assert!(trouble.contains(word), "{line}: {trouble}");
    }

    shell.prints("task precheck orders").await.unwrap();
    let (code, trouble) = shell
        .fails("task precheck orders --wait --timeout 0")
        .await
        .unwrap();
    assert!(code == 6 && trouble.contains("--timeout"), "{trouble}");
    shell.set("ROWCAST_TOKEN", "wrong");
    let (code, trouble) = shell.fails("task list").await.unwrap();
    assert_eq!(code, 5, "{trouble}");
    shell.set("ROWCAST_API_URL", "http://127.0.0.1:1");
    let (code, trouble) = shell.fails("task list").await.unwrap();
    assert!(code == 3 && trouble.contains("127.0.0.1:1"), "{trouble}");
}
