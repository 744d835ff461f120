//! A source and a task are looked at and changed by commands.

use rowcast_e2e::{PASSWORD, Shell, untracked_shop};
use rowcast_proto::rest::{
    DataChange, Precheck, Source, SourceObjects, SourceTest, Task, TaskList,
};
use rowcast_testkit::Platform;

const CREATE: &str = "source create shop --host 127.0.0.1 --database shop --account shop_owner \
                      --password-file source.pw --sslmode disable";

#[tokio::test]
async fn a_source_is_tested_browsed_changed_and_deleted() {
    let platform = Box::pin(Platform::start(Default::default())).await.unwrap();
    let sql = untracked_shop(&platform).await.unwrap();
    let many = "DO $$ BEGIN FOR i IN 1..210 LOOP
                    EXECUTE format('CREATE TABLE many_%s (id int PRIMARY KEY)', i);
                END LOOP; END $$";
    sql.batch_execute(many).await.unwrap();
    let shell = Shell::of(&platform).unwrap();
    shell.write("source.pw", PASSWORD).unwrap();
    shell.write("wrong.pw", "Wrong-horse-1").unwrap();
    let port = platform.postgres.port();

    // Not registered where it is only tested.
    let wrong = format!("{CREATE} --port 1 --test");
    let output = shell.run(&wrong).await.unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    let trouble = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{trouble}");
    assert!(shown.contains("repair: "), "{shown}");
    assert!(
        trouble.starts_with("rowcast: shop failed at tcp: "),
        "{trouble}"
    );
    let (code, trouble) = shell.fails("source test shop").await.unwrap();
    assert_eq!(code, 4, "{trouble}");
    shell
        .prints(&format!("{CREATE} --port {port}"))
        .await
        .unwrap();
    let test: SourceTest = shell.json("source test shop").await.unwrap();
    assert!(test.passed && test.server_version.is_some(), "{test:?}");
    // The server has no TLS, and this asks for it only where the login without is refused.
    shell
        .prints("source update shop --sslmode allow")
        .await
        .unwrap();
    let test: SourceTest = shell.json("source test shop").await.unwrap();
    assert!(test.passed, "{test:?}");

    // More tables than a page has.
    let objects: SourceObjects = shell
        .json("source objects shop --schema public")
        .await
        .unwrap();
    assert_eq!((objects.tables.len(), objects.next_cursor), (210, None));
    let table = shell
        .prints("source objects shop --search shop.ord")
        .await
        .unwrap();
    let orders = table.lines().nth(1).unwrap();
    assert!(orders.starts_with("shop.orders "), "{table}");
    for (level, name) in [("schemas", "shop"), ("databases", "shop")] {
        let line = format!("source objects shop --level {level}");
        let list = shell.prints(&line).await.unwrap();
        let found = list
            .lines()
            .any(|line| line.split_whitespace().next() == Some(name));
        assert!(found, "{list}");
    }

    is_changed(&shell).await;
    shell
        .prints("task create orders --source store --schema shop")
        .await
        .unwrap();
    let (code, trouble) = shell.fails("source delete store --yes").await.unwrap();
    assert!(code == 1 && trouble.contains("orders"), "{trouble}");
    a_task_is_changed(&shell).await;
    is_deleted(&shell).await;
}

/// And no task for nothing: what was refused is told with what was not.
#[tokio::test]
async fn several_databases_are_several_tasks() {
    let platform = Box::pin(Platform::start(Default::default())).await.unwrap();
    let _sql = untracked_shop(&platform).await.unwrap();
    let shell = Shell::of(&platform).unwrap();
    shell.write("source.pw", PASSWORD).unwrap();
    let create = format!("{CREATE} --port {}", platform.postgres.port());
    shell.prints(&create).await.unwrap();
    let line = "task create both --source shop --all --database shop --database postgres";
    let made: TaskList = shell.json(line).await.unwrap();
    let named = made
        .tasks
        .iter()
        .map(|task| (task.name.as_str(), task.database.as_str()));
    let named: Vec<_> = named.collect();
    assert_eq!(
        named,
        [("both-shop", "shop"), ("both-postgres", "postgres")]
    );
    let long = "d".repeat(64);
    let line = format!("task create more --source shop --all --database shop --database {long}");
    let (code, trouble) = shell.fails(&line).await.unwrap();
    assert!(code == 1 && trouble.contains("more-shop"), "{trouble}");
    let listed: TaskList = shell.json("task list").await.unwrap();
    assert_eq!(listed.tasks.len(), 3);
}

/// `shop`, once it is called `store`, with a wrong password and the right one.
async fn is_changed(shell: &Shell) {
    let (code, trouble) = shell.fails("source update shop").await.unwrap();
    assert!(code == 2 && trouble.contains("--help"), "{trouble}");
    let (code, trouble) = shell.fails("source update shop --port 5433").await.unwrap();
    assert!(
        code == 2 && trouble.contains("--password-file"),
        "{trouble}"
    );
    let changed: Source = shell.json("source update shop --name store").await.unwrap();
    assert_eq!(changed.name, "store");
    shell
        .prints("source update store --password-file wrong.pw")
        .await
        .unwrap();
    let (code, trouble) = shell.fails("source test store").await.unwrap();
    assert!(code == 1 && trouble.contains("login"), "{trouble}");
    shell
        .prints("source update store --password-file source.pw")
        .await
        .unwrap();
}

/// Once its task is released.
async fn is_deleted(shell: &Shell) {
    shell
        .prints("task release sales --yes --wait")
        .await
        .unwrap();
    shell.prints("source delete store --yes").await.unwrap();
    let (code, _trouble) = shell.fails("source show store").await.unwrap();
    assert_eq!(code, 4);
}

/// Its name, its windows, and who answers for what its precheck found.
async fn a_task_is_changed(shell: &Shell) {
    let renamed: Task = shell.json("task rename orders sales").await.unwrap();
    assert_eq!(renamed.name, "sales");
    let update = "task update sales --retry-minutes 30 --retention-bytes 1000000000";
    let updated: Task = shell.json(update).await.unwrap();
    assert_eq!(updated.retry_minutes, 30);
    assert_eq!(updated.retention.hours, renamed.retention.hours);
    assert_eq!(updated.retention.max_bytes, Some(1_000_000_000));
    let update = "task update sales --retention-bytes none --retention-hours 48";
    let updated: Task = shell.json(update).await.unwrap();
    assert_eq!(
        (updated.retention.hours, updated.retention.max_bytes),
        (48, None)
    );
    let (code, trouble) = shell
        .fails("task update sales --retry-minutes 1")
        .await
        .unwrap();
    assert!(code == 1 && trouble.contains("retry_minutes"), "{trouble}");

    let update = "task update sales --changes insert,delete --schema-changes false \
                  --tag env=prod --tag team=crm --resource-group sales";
    let updated: Task = shell.json(update).await.unwrap();
    assert_eq!(
        updated.change_types.data,
        [DataChange::Insert, DataChange::Delete]
    );
    let updated: Task = shell
        .json("task update sales --tag env=test --untag team")
        .await
        .unwrap();
    assert_eq!(
        updated.tags.into_iter().collect::<Vec<_>>(),
        [("env".into(), "test".into())]
    );
    assert_eq!(updated.resource_group.as_deref(), Some("sales"));
    let table = shell.prints("task list").await.unwrap();
    assert!(
        table.lines().nth(1).unwrap().ends_with("sales  env=test"),
        "{table}"
    );

    let report = shell.prints("task precheck sales").await.unwrap();
    assert!(report.contains("(wal_keep): "), "{report}");
    let ignore = "task ignore-alerts sales wal_keep --by ada --reason watched";
    let report = shell.prints(ignore).await.unwrap();
    assert!(report.contains("ignored by ada since "), "{report}");
    let report: Precheck = shell
        .json("task precheck sales --only-failed")
        .await
        .unwrap();
    assert!(
        report.items.iter().any(|item| item.ignored.is_some()),
        "{report:?}"
    );
    let (code, trouble) = shell
        .fails("task ignore-alerts sales nothing --by ada --reason watched")
        .await
        .unwrap();
    assert!(code == 1 && trouble.contains("wal_keep"), "{trouble}");
    is_listed(shell).await;
}

/// By what it is and what was said of it.
async fn is_listed(shell: &Shell) {
    for (filter, count) in [
        ("--in running,retrying", 0),
        ("--in precheck_passed --source store", 1),
        ("--search ALE --sort -name --limit 1", 1),
        ("--live --tag env --resource-group sales", 1),
        ("--tag env=prod", 0),
    ] {
        let list: TaskList = shell.json(&format!("task list {filter}")).await.unwrap();
        assert_eq!(list.tasks.len(), count, "{filter}");
    }
}
