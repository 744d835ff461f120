//! A platform as a file says.

use rowcast_domain::TaskState;
use rowcast_e2e::{PASSWORD, Shell, untracked_shop};
use rowcast_proto::rest::{GroupList, Instance, Source, SourceList, Task, TaskList};
use rowcast_testkit::Platform;
use serde_json::Value;

fn file(port: u16) -> String {
    format!(
        "sources:
  - name: shop
    kind: patroni
    region: here
    host: 127.0.0.1
    port: {port}
    database: shop
    account: shop_owner
    password: {{file: source.pw}}
    sslmode: disable
contacts:
  - name: oncall
    webhook: https://hooks.example/rowcast
    secret: {{env: ONCALL}}
  - name: office
    webhook: https://office.example/rowcast
    secret: {{env: ONCALL}}
tasks:
  - name: orders
    source: shop
    objects:
      schemas:
        - name: shop
          tables: [orders]
    ignored_checks:
      - {{code: wal_keep, by: ada, reason: The disk is watched.}}
      - {{code: provider, by: ada, reason: It is no real one.}}
    state: running
    purchase: {{charge_type: subscription, months: 3}}
    alerting: {{delay_seconds: 60, contacts: [oncall]}}
    groups:
      - name: warehouse
        account: reader
        password: {{env: WAREHOUSE}}
"
    )
}

const SIGNED_WITH: &str = "a-secret-of-sixteen-and-more";

async fn plan(shell: &Shell) -> Vec<Value> {
    shell
        .json("apply -f deploy/shop.yaml --plan")
        .await
        .unwrap()
}

#[tokio::test]
async fn a_file_is_made_true_once_and_written_again_by_export() {
    let platform = Box::pin(Platform::start(Default::default())).await.unwrap();
    let _sql = untracked_shop(&platform).await.unwrap();
    let mut shell = Shell::of(&platform).unwrap();
    std::fs::create_dir(shell.folder().join("deploy")).unwrap();
    shell.write("deploy/source.pw", PASSWORD).unwrap();
    let text = file(platform.postgres.port());
    shell.write("deploy/shop.yaml", &text).unwrap();

    let steps = plan(&shell).await;
    let kinds: Vec<&str> = steps
        .iter()
        .map(|step| step["kind"].as_str().unwrap())
        .collect();
    let expected = ["source", "contact", "contact", "task", "group", "task"];
    assert_eq!(kinds, expected);
    // Without a password of all that needs one nothing is begun.
    let (code, trouble) = shell.fails("apply -f deploy/shop.yaml").await.unwrap();
    let told = "it holds the secret of the contact oncall";
    assert!(code == 1 && trouble.contains(told), "{trouble}");
    shell.set("ONCALL", SIGNED_WITH);
    let (code, trouble) = shell.fails("apply -f deploy/shop.yaml").await.unwrap();
    assert!(code == 1 && trouble.contains("WAREHOUSE"), "{trouble}");
    let sources: SourceList = shell.json("source list").await.unwrap();
    assert!(sources.sources.is_empty(), "something was done");

    shell.set("WAREHOUSE", "Blue-horse-7");
    shell.prints("apply -f deploy/shop.yaml").await.unwrap();
    let task: Task = shell.json("task show orders").await.unwrap();
    assert_eq!(task.state, TaskState::Running);
    let again = shell.prints("apply -f deploy/shop.yaml").await.unwrap();
    assert_eq!(again, "nothing to change\n");

    let bought: Instance = shell.json("task instance orders").await.unwrap();
    assert_eq!(bought.subscription.unwrap().months, 3);

    // What was exported says the same, and no secret.
    let exported = shell.prints("export").await.unwrap();
    for said in [
        "months: 3",
        "code: wal_keep",
        "ONCALL_SECRET",
        "OFFICE_SECRET",
    ] {
        assert!(exported.contains(said), "{exported}");
    }
    let alerting = task.alerting.as_ref().unwrap();
    assert_eq!(
        (alerting.delay_seconds, alerting.contacts.len()),
        (Some(60), 1)
    );
    for secret in [PASSWORD, SIGNED_WITH, "Blue-horse-7"] {
        assert!(!exported.contains(secret), "{exported}");
    }
    shell.write("exported.yaml", &exported).unwrap();
    let same = shell.prints("apply -f exported.yaml").await.unwrap();
    assert_eq!(same, "nothing to change\n", "{exported}");

    is_changed_as_far_as_possible(&shell, &text).await;
    let tasks: TaskList = shell.json("task list").await.unwrap();
    let groups: GroupList = shell.json("group list orders").await.unwrap();
    assert_eq!((tasks.tasks.len(), groups.groups.len()), (1, 1));
}

/// Objects, state and retry window, and how the source is reached, but no account of a group.
async fn is_changed_as_far_as_possible(shell: &Shell, text: &str) {
    let wider = text
        .replace("[orders]", "[orders, customers]")
        .replace("running", "suspended\n    retry_minutes: 30")
        .replace("host: 127.0.0.1", "host: localhost")
        .replace("[oncall]", "[office, oncall]")
        .replace("office.example", "home.example");
    shell.write("deploy/shop.yaml", &wider).unwrap();
    let steps = plan(shell).await;
    let details: Vec<&Value> = steps.iter().map(|step| &step["detail"]).collect();
    let alerting =
        "alerting delay of 60 s, contact oncall → delay of 60 s, contact office, contact oncall";
    let expected = [
        "host 127.0.0.1 → localhost",
        "webhook https://office.example/rowcast → https://home.example/rowcast",
        &format!("{alerting}, retry_minutes 120 → 30"),
        "shop.orders → shop.orders, shop.customers",
        "suspend",
    ];
    assert_eq!(details, expected);
    // Another host needs the password, which is looked for before anything is done.
    std::fs::rename(
        shell.folder().join("deploy/source.pw"),
        shell.folder().join("deploy/away.pw"),
    )
    .unwrap();
    let (code, trouble) = shell.fails("apply -f deploy/shop.yaml").await.unwrap();
    assert!(code == 1 && trouble.contains("source.pw"), "{trouble}");
    assert_eq!(plan(shell).await, steps);
    shell.write("deploy/source.pw", PASSWORD).unwrap();
    shell.prints("apply -f deploy/shop.yaml").await.unwrap();
    let task: Task = shell.json("task show orders").await.unwrap();
    assert_eq!(task.state, TaskState::Suspended);
    assert_eq!(task.retry_minutes, 30);
    assert_eq!(task.alerting.unwrap().contacts.len(), 2);
    assert_eq!(task.objects.schemas[0].tables, ["orders", "customers"]);
    let source: Source = shell.json("source show shop").await.unwrap();
    assert_eq!(source.host, "localhost");
    assert_eq!(plan(shell).await, [] as [Value; 0]);

    let other = wider.replace("account: reader", "account: writer");
    shell.write("deploy/shop.yaml", &other).unwrap();
    let (code, trouble) = shell.fails("apply -f deploy/shop.yaml").await.unwrap();
    assert!(
        code == 1 && trouble.contains("orders/warehouse: account"),
        "{trouble}"
    );
    assert!(trouble.contains("nothing was done"), "{trouble}");
}

#[tokio::test]
async fn what_the_file_names_no_longer_is_released_only_when_asked() {
    let platform = Box::pin(Platform::start(Default::default())).await.unwrap();
    let _sql = untracked_shop(&platform).await.unwrap();
    let mut shell = Shell::of(&platform).unwrap();
    shell.write("source.pw", PASSWORD).unwrap();
    shell.set("WAREHOUSE", "Blue-horse-7");
    shell.set("ONCALL", SIGNED_WITH);
    let text = file(platform.postgres.port()).replace("state: running", "tags: {env: prod}");
    let second = "  - {name: items, source: shop, objects: {all: true}}\n";
    let both = format!("set: shop\n{text}{second}");
    shell.write("shop.yaml", &both).unwrap();
    shell.prints("apply -f shop.yaml").await.unwrap();
    shell
        .prints("task create by_hand --source shop --all --tag env=prod")
        .await
        .unwrap();
    let marked: TaskList = shell
        .json("task list --tag rowcast/set=shop")
        .await
        .unwrap();
    assert_eq!(marked.tasks.len(), 2);

    // Without a set nobody knows what the file once named.
    shell.write("shop.yaml", &text).unwrap();
    let (code, trouble) = shell
        .fails("apply -f shop.yaml --prune --yes")
        .await
        .unwrap();
    assert!(code == 2 && trouble.contains("set: NAME"), "{trouble}");
    let fewer = format!("set: shop\n{text}");
    shell.write("shop.yaml", &fewer).unwrap();
    let nothing = shell.prints("apply -f shop.yaml").await.unwrap();
    assert_eq!(nothing, "nothing to change\n");
    let planned = shell
        .prints("apply -f shop.yaml --prune --plan")
        .await
        .unwrap();
    assert!(
        planned.starts_with("- task items (") && planned.lines().count() == 1,
        "{planned}"
    );
    let (code, trouble) = shell.fails("apply -f shop.yaml --prune").await.unwrap();
    let is_shown = trouble.contains("- task items (") && trouble.contains("--yes");
    assert!(code == 1 && is_shown, "{trouble}");
    assert_eq!(names(&shell).await, ["by_hand", "items", "orders"]);
    shell
        .prints("apply -f shop.yaml --prune --yes")
        .await
        .unwrap();
    assert_eq!(names(&shell).await, ["by_hand", "orders"]);

    // Another file does not take the task away, and the export says nothing of sets.
    shell
        .write("other.yaml", &fewer.replace("set: shop", "set: crm"))
        .unwrap();
    let (code, trouble) = shell.fails("apply -f other.yaml").await.unwrap();
    assert!(code == 1 && trouble.contains("set is shop"), "{trouble}");
    let exported = shell.prints("export orders").await.unwrap();
    assert!(
        exported.contains("env: prod") && !exported.contains("rowcast/"),
        "{exported}"
    );
    sources_go_with_their_tasks(&shell).await;
}

/// But not while a task needs them that somebody has made by hand.
async fn sources_go_with_their_tasks(shell: &Shell) {
    shell.write("empty.yaml", "set: shop\n").unwrap();
    let prune = "apply -f empty.yaml --prune --yes";
    let (code, trouble) = shell.fails(prune).await.unwrap();
    assert!(
        code == 1 && trouble.contains("need it: by_hand"),
        "{trouble}"
    );
    assert_eq!(names(shell).await, ["by_hand", "orders"]);
    shell
        .prints("task release by_hand --yes --wait")
        .await
        .unwrap();
    let done = shell.prints(prune).await.unwrap();
    let marks: Vec<&str> = done.lines().filter_map(|line| line.get(..8)).collect();
    assert_eq!(marks, ["- task o", "- source"], "{done}");
    let sources: SourceList = shell.json("source list").await.unwrap();
    assert!(sources.sources.is_empty(), "{sources:?}");
}

/// Of tasks that are not released.
async fn names(shell: &Shell) -> Vec<String> {
    let list: TaskList = shell.json("task list --live --sort name").await.unwrap();
    list.tasks.into_iter().map(|task| task.name).collect()
}
