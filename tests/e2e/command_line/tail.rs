//! Changes on the terminal.

use std::process::ExitStatus;

use rowcast_e2e::{PATIENCE, Shell, Shop};
use rowcast_local::{Signal, orphan};
use rowcast_proto::rest::{Group, GroupList};
use rowcast_testkit::eventually;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout};
use tokio::time::timeout;

/// A `tail` in another terminal.
struct Terminal {
    child: Child,
    printed: Lines<BufReader<ChildStdout>>,
    _told: Lines<BufReader<ChildStderr>>,
}

impl Terminal {
    /// Started, and reading from here on.
    async fn open(shell: &Shell, line: &str) -> Self {
        let mut child = shell.command(line).unwrap().spawn().unwrap();
        let printed = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
        let first = timeout(PATIENCE, told.next_line()).await.unwrap().unwrap();
        let first = first.unwrap();
        assert!(first.ends_with("Ctrl-C ends"), "{first}");
        Self {
            child,
            printed,
            _told: told,
        }
    }

    async fn next(&mut self) -> String {
        let line = timeout(PATIENCE, self.printed.next_line()).await;
        line.unwrap().unwrap().unwrap()
    }

    /// `n` of the next row of `shop.counter`.
    async fn next_count(&mut self) -> i64 {
        loop {
            let change: Value = serde_json::from_str(&self.next().await).unwrap();
            if change["op"] == "insert" {
                return change["after"]["n"].as_i64().unwrap();
            }
        }
    }

    /// Ends it as a user does.
    async fn interrupt(mut self) -> ExitStatus {
        orphan::signal(self.child.id().unwrap(), Signal::Interrupt).unwrap();
        timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap()
    }
}

async fn count(shop: &Shop, numbers: std::ops::RangeInclusive<i32>) {
    let sql = "INSERT INTO shop.counter SELECT generate_series($1::int, $2::int)";
    let (first, last) = numbers.into_inner();
    shop.sql.execute(sql, &[&first, &last]).await.unwrap();
}

#[tokio::test]
async fn a_group_for_once_tells_what_comes_and_is_deleted_at_the_end() {
    let shop = Box::pin(Shop::running(Default::default())).await.unwrap();
    let shell = Shell::of(&shop.platform).unwrap();
    count(&shop, 1..=3).await;
    // They are in the stream before anybody tails.
    let everything: Vec<Value> = shell
        .prints("task tail shop --from-start --count 4 -o json")
        .await
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let ops: Vec<&str> = everything
        .iter()
        .map(|change| change["op"].as_str().unwrap())
        .collect();
    assert_eq!(ops, ["schema", "insert", "insert", "insert"]);

    let mut json = Terminal::open(&shell, "task tail shop -o json").await;
    let mut text = Terminal::open(&shell, "task tail shop").await;
    let groups: GroupList = shell.json("group list shop").await.unwrap();
    assert_eq!(groups.groups.len(), 2, "{groups:?}");
    count(&shop, 4..=5).await;
    assert_eq!((json.next_count().await, json.next_count().await), (4, 5));
    let line = text.next().await;
    assert!(
        line.contains("INSERT") && line.contains("shop.counter") && line.contains("n=4"),
        "{line}"
    );
    assert_eq!(json.interrupt().await.code(), Some(0));
    assert_eq!(text.interrupt().await.code(), Some(0));
    // As `head` does: it has seen enough.
    let mut closed = Terminal::open(&shell, "task tail shop").await;
    drop(closed.printed);
    count(&shop, 6..=6).await;
    let ended = timeout(PATIENCE, closed.child.wait()).await;
    assert_eq!(ended.unwrap().unwrap().code(), Some(0));
    let groups: GroupList = shell.json("group list shop").await.unwrap();
    assert!(groups.groups.is_empty(), "{groups:?}");
}

#[tokio::test]
async fn what_is_written_as_protobuf_is_shown_alike() {
    let shop = Box::pin(Shop::running(Default::default())).await.unwrap();
    let shell = Shell::of(&shop.platform).unwrap();
    for step in [
        "task create binary --source shop --schema shop --format protobuf --pack",
        "task precheck binary --wait",
        "task ignore-alerts binary --all --by ada --reason watched",
        "task purchase binary",
        "task start binary --wait",
    ] {
        shell.prints(step).await.unwrap();
    }
    let shown = shell.prints("task show binary").await.unwrap();
    assert!(shown.contains("protobuf"), "{shown}");
    count(&shop, 1..=200).await;
    let rows = async |task: &str| {
        let tail = format!("task tail {task} --from-start --count 201 -o json");
        let printed = shell.prints(&tail).await.unwrap();
        let changes = printed
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        changes.collect::<Vec<Value>>()
    };
    assert_eq!(rows("binary").await, rows("shop").await);
}

#[tokio::test]
async fn a_named_group_goes_on_where_it_stopped() {
    let shop = Box::pin(Shop::running(Default::default())).await.unwrap();
    let shell = Shell::of(&shop.platform).unwrap();
    shell.write("group.pw", "Blue-horse-7\n").unwrap();
    shell.write("wrong.pw", "Red-horse-77\n").unwrap();
    let group: Group = shell
        .json("group create shop desk --account reader --password-file group.pw")
        .await
        .unwrap();
    let tail = "task tail shop --group desk --password-file group.pw -o json";

    // More than are acknowledged at once.
    count(&shop, 1..=1000).await;
    let mut terminal = Terminal::open(&shell, tail).await;
    for number in 1..=1000 {
        assert_eq!(terminal.next_count().await, number);
    }
    assert_eq!(terminal.interrupt().await.code(), Some(0));
    let show = format!("group show shop {}", group.id);
    eventually("all is acknowledged", PATIENCE, async || {
        let group: Group = shell.json(&show).await.unwrap();
        group.in_flight == 0 && group.acknowledged_sequence >= 1001
    })
    .await;
    count(&shop, 1001..=1001).await;
    let mut terminal = Terminal::open(&shell, tail).await;
    assert_eq!(terminal.next_count().await, 1001);
    assert_eq!(terminal.interrupt().await.code(), Some(0));

    let wrong = "task tail shop --group desk --password-file wrong.pw";
    let (code, trouble) = shell.fails(wrong).await.unwrap();
    assert_eq!(code, 5, "{trouble}");
    let (code, trouble) = shell.fails("task tail shop --group nobody").await.unwrap();
    assert_eq!(code, 4, "{trouble}");
}
