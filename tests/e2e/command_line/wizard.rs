//! From a database to its changes and back, by commands alone.

use rowcast_domain::TaskState;
use rowcast_e2e::{PASSWORD, PATIENCE, Shell, untracked_shop};
use rowcast_proto::rest::{
    CheckOutcome, Group, GroupConnection, IncidentList, Instance, Objects, Precheck, Task,
    TaskList, TaskTransitionList, UsageList,
};
use rowcast_testkit::{Platform, eventually};

/// A platform, a shop and a user who knows both.
struct Beginning {
    platform: Platform,
    sql: tokio_postgres::Client,
    shell: Shell,
}

impl Beginning {
    /// Up to a task that tracks the schema `shop`.
    async fn with_a_task() -> Self {
        let platform = Box::pin(Platform::start(Default::default())).await.unwrap();
        let sql = untracked_shop(&platform).await.unwrap();
        let shell = Shell::of(&platform).unwrap();
        shell.write("source.pw", PASSWORD).unwrap();
        shell.write("group.pw", "Blue-horse-7\n").unwrap();
        let port = platform.postgres.port();
        let source = format!(
            "source create shop --host 127.0.0.1 --port {port} --database shop \
             --account shop_owner --password-file source.pw --sslmode disable"
        );
        shell.prints(&source).await.unwrap();
        let task: Task = shell
            .json("task create orders --source shop --schema shop")
            .await
            .unwrap();
        assert_eq!(task.state, TaskState::NotStarted);
        Self {
            platform,
            sql,
            shell,
        }
    }
}

/// States that `--wait` has told, in their order.
async fn told(shell: &Shell, line: &str) -> Vec<String> {
    let output = shell.run(line).await.unwrap();
    let progress = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{line}: {progress}");
    let state = |line: &str| line.split(" is ").nth(1).map(str::to_owned);
    progress.lines().filter_map(state).collect()
}

#[tokio::test]
async fn a_task_lives_by_commands() {
    let Beginning {
        platform: _platform,
        sql,
        shell,
    } = Box::pin(Beginning::with_a_task()).await;
    is_prechecked_check_by_check(&shell).await;
    let report: Precheck = shell.json("task precheck orders --last").await.unwrap();
    assert!(report.passed && !report.items.is_empty());
    its_alerts_are_answered_for(&shell, &report).await;

    let first: Instance = shell.json("task purchase orders").await.unwrap();
    let again: Instance = shell.json("task purchase orders").await.unwrap();
    assert_eq!(first.id, again.id, "it was bought twice");
    let states = told(&shell, "task start orders --wait").await;
    assert_eq!(states, ["starting", "running"]);

    let group: Group = shell
        .json("group create orders warehouse --account reader --password-file group.pw")
        .await
        .unwrap();
    let connection: GroupConnection = shell
        .json("group connection orders warehouse")
        .await
        .unwrap();
    assert_eq!(connection.login, format!("reader-{}", group.id));
    sql.batch_execute("INSERT INTO shop.counter VALUES (1)")
        .await
        .unwrap();
    // The table's shape, and the row.
    let changes = shell
        .prints("task tail orders --group warehouse --password-file group.pw --count 2")
        .await
        .unwrap();
    let last = changes.lines().last().unwrap();
    let is_the_row = last.contains("INSERT") && last.contains("shop.counter");
    assert!(is_the_row, "{changes}");

    let tables = "task objects orders --table shop.orders --table shop.cust*";
    let objects: Objects = shell.json(tables).await.unwrap();
    assert_eq!(objects.schemas[0].tables, ["orders"]);
    assert_eq!(objects.schemas[0].patterns, ["cust*"]);
    let shown = shell.prints("task objects orders").await.unwrap();
    assert!(shown.contains("shop.orders, shop.cust*"), "{shown}");

    let states = told(&shell, "task suspend orders --wait").await;
    assert_eq!(states, ["suspended"]);
    let output = shell.run("task resume orders --wait --timeout 0");
    assert_eq!(output.await.unwrap().status.code(), Some(6));
    told(&shell, "task resume orders --wait").await;

    is_observed(&shell).await;
    is_destroyed_when_agreed(&shell).await;
    let left = "SELECT slot_name::text FROM pg_replication_slots
                UNION ALL SELECT pubname::text FROM pg_publication";
    let left = sql.query(left, &[]).await.unwrap();
    assert!(left.is_empty(), "the release was told before it was done");
    let tasks: TaskList = shell.json("task list --live").await.unwrap();
    assert!(tasks.tasks.is_empty());
    // It is still found by its name, and once more released.
    told(&shell, "task release orders --yes").await;
}

/// Where no terminal shows a bar, each check is a line.
async fn is_prechecked_check_by_check(shell: &Shell) {
    let output = shell.run("task precheck orders --wait").await.unwrap();
    assert!(output.status.success(), "{output:?}");
    let progress = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<&str> = progress.lines().collect();
    assert!(lines[0].ends_with("orders is prechecking"), "{progress}");
    assert!(lines[1].contains(" 1/26 pass "), "{progress}");
    assert!(progress.contains("/26 pass connectivity"), "{progress}");
    assert!(progress.contains("26/26 "), "{progress}");
    assert!(progress.contains(" alert wal_keep"), "{progress}");
    let [before, last] = &lines[lines.len() - 2..] else {
        panic!("{progress}");
    };
    assert!(before.ends_with("orders is precheck_passed"), "{progress}");
    assert!(
        last.contains("ignore-alerts orders privileges wal_keep"),
        "{last}"
    );
}

/// Before, nothing is sold and nothing starts.
async fn its_alerts_are_answered_for(shell: &Shell, report: &Precheck) {
    assert_eq!(report.open_alerts, ["privileges", "wal_keep"]);
    assert!(report.success_percent < 100);
    for line in ["task purchase orders", "task start orders"] {
        let (code, trouble) = shell.fails(line).await.unwrap();
        assert!(code == 1 && trouble.contains("wal_keep"), "{trouble}");
        assert!(trouble.contains("ignore-alerts"), "{trouble}");
    }
    let answered = "--by ada --reason watched -o json";
    let only = "task precheck orders --only wal_keep";
    let again: Precheck = shell.json(only).await.unwrap();
    let ran = again.items.iter().filter(|item| item.checked_at.is_none());
    let ran: Vec<&str> = ran.map(|item| item.code.as_str()).collect();
    assert_eq!(ran, ["connectivity", "wal_keep"]);
    let (code, trouble) = shell
        .fails("task precheck orders --only wal_kept")
        .await
        .unwrap();
    assert!(code == 1 && trouble.contains("wal_keep"), "{trouble}");
    let all = format!("task ignore orders --all {answered}");
    let report: Precheck = serde_json::from_str(&shell.prints(&all).await.unwrap()).unwrap();
    assert_eq!((report.success_percent, report.open_alerts.len()), (100, 0));
    let (code, trouble) = shell.fails(&all).await.unwrap();
    assert!(code == 1 && trouble.contains("no open alert"), "{trouble}");
}

/// By tables and by JSON.
async fn is_observed(shell: &Shell) {
    let events: TaskTransitionList = shell.json("task events orders").await.unwrap();
    assert!(
        events
            .events
            .iter()
            .any(|event| event.to == TaskState::Suspended)
    );
    // Billing hears of the task's states a moment later.
    eventually("the hour is metered", PATIENCE, async || {
        let usage: anyhow::Result<UsageList> = shell.json("usage orders").await;
        usage.is_ok_and(|usage| !usage.lines.is_empty())
    })
    .await;
    let incidents: IncidentList = shell.json("incident list --task orders").await.unwrap();
    assert!(incidents.incidents.is_empty(), "{incidents:?}");
    for table in [
        "task list",
        "group list orders",
        "usage",
        "incident list",
        "task show orders",
    ] {
        shell.prints(table).await.unwrap();
    }
}

/// The group, and then the task.
async fn is_destroyed_when_agreed(shell: &Shell) {
    for line in ["task release orders", "group delete orders warehouse"] {
        let (code, trouble) = shell.fails(line).await.unwrap();
        assert!(code == 1 && trouble.contains("--yes"), "{trouble}");
    }
    shell
        .prints("group delete orders warehouse --yes")
        .await
        .unwrap();
    let (code, trouble) = shell.fails("group show orders warehouse").await.unwrap();
    assert_eq!(code, 4, "{trouble}");
    let states = told(shell, "task release orders --yes --wait").await;
    assert_eq!(states.last().map(String::as_str), Some("released"));
}

#[tokio::test]
async fn what_a_source_lacks_is_named_with_its_repair() {
    let Beginning {
        platform, shell, ..
    } = Box::pin(Beginning::with_a_task()).await;
    let (code, trouble) = shell.fails("task start orders --wait").await.unwrap();
    assert!(code == 1 && trouble.contains("precheck"), "{trouble}");
    assert_eq!(trouble.lines().count(), 1, "{trouble}");

    let admin = platform.sql("postgres").await.unwrap();
    admin
        .batch_execute("ALTER ROLE shop_owner NOREPLICATION")
        .await
        .unwrap();
    let output = shell.run("task precheck orders").await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let report = String::from_utf8(output.stdout).unwrap();
    assert!(report.contains("repair: ALTER ROLE"), "{report}");
    let output = shell
        .run("task precheck orders --last -o json")
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let report: Precheck = serde_json::from_slice(&output.stdout).unwrap();
    let failed = |item: &rowcast_proto::rest::CheckItem| item.outcome == CheckOutcome::Fail;
    assert!(!report.passed && report.items.iter().any(failed));

    // A password that the API refuses: from the environment this time.
    let group = "group create orders warehouse --account reader";
    let mut command = shell.command(group).unwrap();
    let output = command.env("ROWCAST_PASSWORD", "short").output().await;
    let trouble = String::from_utf8(output.unwrap().stderr).unwrap();
    assert!(trouble.starts_with("rowcast: password: "), "{trouble}");
    let (code, trouble) = shell.fails(group).await.unwrap();
    assert!(
        code == 2 && trouble.contains("--password-file"),
        "{trouble}"
    );
}
