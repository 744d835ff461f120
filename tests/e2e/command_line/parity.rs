//! The command reaches every operation of the REST API.

use std::collections::{BTreeMap, BTreeSet};

use async_nats::ConnectOptions;
use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::{self, AckKind};
use futures::StreamExt as _;
use reqwest::Method;
use rowcast_e2e::{Api, PASSWORD, PATIENCE, Recorder, Shell, untracked_shop};
use rowcast_proto::rest::GroupConnection;
use rowcast_testkit::{Platform, eventually};
use serde_json::Value;
use tokio::net::TcpListener;

/// `operationId` and the command that calls it, in an order in which all of them succeed.
///
/// `SOURCE`, `TASK` and `GROUP` stand for the ids of `shop`, `orders` and `warehouse`, `LETTER` for a new dead letter.
const COMMANDS: &[(&str, &str)] = &[
    (
        "test_new_source",
        "source create shop --host 127.0.0.1 --port PORT --database shop --account shop_owner \
         --password-file source.pw --sslmode disable --test",
    ),
    (
        "create_source",
        "source create shop --host 127.0.0.1 --port PORT --database shop --account shop_owner \
         --password-file source.pw --sslmode disable",
    ),
    ("get_system", "source addresses"),
    ("list_sources", "source list"),
    ("get_source", "source show SOURCE"),
    ("test_source", "source test shop"),
    (
        "list_objects",
        "source objects shop --schema shop --search ord",
    ),
    (
        "patch_source",
        "source update shop --password-file source.pw",
    ),
    (
        "create_task",
        "task create orders --source shop --schema shop",
    ),
    (
        "list_tasks",
        "task list --in not_started --source shop --sort -name",
    ),
    ("clone_task", "task clone orders copy"),
    ("release_task", "task release copy --yes --wait"),
    ("preview_task", "task preview orders"),
    ("get_task", "task show TASK"),
    ("patch_task", "task rename orders orders"),
    (
        "preview_objects",
        "task objects orders --table shop.orders --add --dry-run",
    ),
    ("replace_objects", "task objects orders --table shop.orders"),
    (
        "change_objects",
        "task objects orders --table shop.counter --add",
    ),
    ("run_precheck", "task precheck orders"),
    ("follow_precheck", "task precheck orders --wait"),
    ("get_precheck", "task precheck orders --last"),
    (
        "ignore_checks",
        "task ignore-alerts orders wal_keep --by ada --reason watched",
    ),
    ("get_prices", "prices"),
    (
        "purchase_task",
        "task purchase orders --subscription 1 --auto-renew",
    ),
    ("renew_task", "task renew orders --months 1 --key mine"),
    ("get_instance", "task instance orders"),
    ("patch_instance", "task instance orders --no-auto-renew"),
    ("start_task", "task start orders --wait"),
    ("recheck_task", "task recheck orders"),
    ("get_recheck", "task recheck orders --last"),
    (
        "create_group",
        "group create orders warehouse --account reader --password-file group.pw",
    ),
    ("list_groups", "group list orders"),
    ("get_group", "group show orders GROUP"),
    ("get_connection", "group connection orders warehouse"),
    (
        "patch_group",
        "group update orders warehouse --password-file group.pw",
    ),
    ("move_group", "group seek orders warehouse --earliest"),
    (
        "get_group_history",
        "group history orders warehouse --points 10",
    ),
    (
        "skip_change",
        "group skip orders warehouse NEXT --reason broken --yes",
    ),
    (
        "list_dead_letters",
        "group dead-letter list orders warehouse",
    ),
    (
        "get_dead_letter",
        "group dead-letter show orders warehouse 1",
    ),
    (
        "redrive_dead_letter",
        "group dead-letter redrive orders warehouse LETTER",
    ),
    (
        "redrive_dead_letters",
        "group dead-letter redrive orders warehouse --all",
    ),
    (
        "discard_dead_letter",
        "group dead-letter discard orders warehouse LETTER --yes",
    ),
    (
        "discard_dead_letters",
        "group dead-letter discard orders warehouse --all --yes",
    ),
    ("delete_group", "group delete orders warehouse --yes"),
    ("plan_release", "task release orders --dry-run"),
    ("suspend_task", "task suspend orders"),
    ("resume_task", "task resume orders --wait"),
    ("reset_task", "task reset orders --yes --wait"),
    ("list_events", "task events orders"),
    ("list_log", "task log orders --level info"),
    ("get_usage", "usage orders"),
    ("list_incidents", "incident list"),
    (
        "create_contact",
        "contact create oncall --webhook WEBHOOK --secret-file webhook.secret",
    ),
    ("list_contacts", "contact list"),
    ("get_contact", "contact show oncall"),
    (
        "patch_contact",
        "contact update oncall --resource-group sales",
    ),
    ("test_contact", "contact test oncall"),
    (
        "create_rule",
        "rule create late --metric task_delay_seconds --above 60 --task orders --contact oncall",
    ),
    ("list_rules", "rule list"),
    ("get_rule", "rule show late"),
    ("patch_rule", "rule modify late --above 90 --repeat 60"),
    ("delete_rule", "rule delete late --yes"),
    ("delete_contact", "contact delete oncall --yes"),
    (
        "create_token",
        "token create ci --role operator --resource-group sales --days 30",
    ),
    ("list_tokens", "token list"),
    ("revoke_token", "token revoke ci --yes"),
    ("list_audit", "audit --actor user:admin --limit 5"),
    ("release_task", "task release orders --yes --wait"),
    ("delete_source", "source delete shop --yes"),
];

/// Aliases for scripts of another product: what they do has commands of its own above.
const WITHOUT_COMMAND: &str = "dts";

/// An operation as the API describes it.
struct Operation {
    method: Method,
    path: String,
}

impl Operation {
    /// Whether this request calls it.
    fn is(&self, method: &Method, path: &str) -> bool {
        let (mine, theirs) = (self.path.split('/'), path.split('/'));
        *method == self.method
            && mine.clone().count() == theirs.clone().count()
            && mine
                .zip(theirs)
                .all(|(mine, theirs)| mine == theirs || mine.starts_with('{'))
    }
}

/// By `operationId`.
async fn operations(api: &Api) -> BTreeMap<String, Operation> {
    let document: Value = api.get("/openapi.json").await.unwrap();
    let mut operations = BTreeMap::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let operation_id = operation["operationId"].as_str().unwrap().to_owned();
            let operation = Operation {
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
            };
            operations.insert(operation_id, operation);
        }
    }
    operations
}

/// Puts a change away, as a member does that gives it up. The number of its dead letter.
async fn dead_letter(shell: &Shell) -> String {
    let listed = async || {
        let line = "group dead-letter list orders warehouse";
        let list: Value = shell.json(line).await.unwrap();
        let letter = list["letters"].as_array().unwrap().last().cloned();
        letter.map_or(0, |letter| letter["id"].as_u64().unwrap())
    };
    let before = listed().await;
    let connection = shell.json("group connection orders warehouse");
    let connection: GroupConnection = connection.await.unwrap();
    let login = (connection.login, "Blue-horse-7".to_owned());
    let client = ConnectOptions::with_user_and_password(login.0, login.1)
        .custom_inbox_prefix(connection.inbox_prefix)
        .connect(&connection.urls)
        .await
        .unwrap();
    let consumer: PullConsumer = jetstream::new(client)
        .get_consumer_from_stream(connection.consumer, connection.stream)
        .await
        .unwrap();
    // The begin of the stream, or a heartbeat: there is always something.
    let message = consumer.messages().await.unwrap().next().await;
    let message = message.unwrap().unwrap();
    message.double_ack_with(AckKind::Term).await.unwrap();
    eventually("the dead letter is there", PATIENCE, async || {
        listed().await > before
    })
    .await;
    listed().await.to_string()
}

/// The ids that a line names, as far as the things are there.
async fn with_ids(shell: &Shell, line: &str, port: u16) -> String {
    let mut line = line.replace("PORT", &port.to_string());
    if line.contains("NEXT") {
        let group = async || -> Value { shell.json("group show orders warehouse").await.unwrap() };
        // A heartbeat at the latest.
        eventually("something is to be read", PATIENCE, async || {
            group().await["pending"].as_u64().unwrap() > 0
        })
        .await;
        let group = group().await;
        let acknowledged = group["acknowledged_sequence"].as_u64().unwrap();
        line = line.replace("NEXT", &(acknowledged + 1).to_string());
    }
    if line.contains("LETTER") {
        line = line.replace("LETTER", &dead_letter(shell).await);
    }
    for (word, show) in [
        ("SOURCE", "source show shop"),
        ("TASK", "task show orders"),
        ("GROUP", "group show orders warehouse"),
    ] {
        if line.contains(word) {
            let thing: Value = shell.json(show).await.unwrap();
            line = line.replace(word, thing["id"].as_str().unwrap());
        }
    }
    line
}

/// The URL of a server that takes whatever it is told.
#[expect(
    clippy::disallowed_methods,
    reason = "the test's runtime ends it with the test"
)]
async fn webhook() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let takes_all = axum::Router::new().fallback(async || ());
    tokio::spawn(async move { axum::serve(listener, takes_all).await });
    url
}

#[tokio::test]
async fn every_operation_of_the_api_has_a_command() {
    let platform = Box::pin(Platform::start(Default::default())).await.unwrap();
    let _sql = untracked_shop(&platform).await.unwrap();
    let api = Api::new(&platform.api_url, platform.admin_token.expose()).unwrap();
    let operations = operations(&api).await;
    let described = operations.keys().map(String::as_str);
    let described: BTreeSet<&str> = described
        .filter(|operation| *operation != WITHOUT_COMMAND)
        .collect();
    let commanded: BTreeSet<&str> = COMMANDS.iter().map(|(operation, _)| *operation).collect();
    assert_eq!(described, commanded, "give each operation a command");

    let recorder = Recorder::start(&platform.api_url).await.unwrap();
    let mut shell = Shell::of(&platform).unwrap();
    shell.set("ROWCAST_API_URL", &recorder.url);
    shell.write("source.pw", PASSWORD).unwrap();
    shell.write("group.pw", "Blue-horse-7").unwrap();
    shell
        .write("webhook.secret", "correct-horse-battery")
        .unwrap();
    let webhook = webhook().await;
    for (operation, line) in COMMANDS {
        let line = &line.replace("WEBHOOK", &webhook);
        let line = with_ids(&shell, line, platform.postgres.port()).await;
        recorder.take();
        shell.prints(&line).await.unwrap();
        let calls = recorder.take();
        let called = |(method, path): &(Method, String)| operations[*operation].is(method, path);
        assert!(calls.iter().any(called), "{line}: {calls:?}");
    }
}
