//! The example that keeps a copy of a table, killed again and again.

use std::process::Stdio;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rowcast_domain::TaskState;
use rowcast_e2e::{Copy, PATIENCE, Shop};
use rowcast_proto::rest::Task;
use rowcast_proto::stream::source_object;
use rowcast_testkit::eventually;
use serde_json::json;
use tokio::process::Child;
use tokio_postgres::Client;

/// `changes` counts how often a row was changed: one that is applied twice shows.
const TABLE: &str = "CREATE TABLE shop.account (
    id bigint PRIMARY KEY, balance numeric NOT NULL, notes text[], changes int NOT NULL DEFAULT 0)";

/// In the copy each update counts for itself, whatever the row says.
const COUNTED: &str = "CREATE FUNCTION shop.count() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN NEW.changes := OLD.changes + 1; RETURN NEW; END $$;
    CREATE TRIGGER counted BEFORE UPDATE ON shop.account FOR EACH ROW EXECUTE FUNCTION shop.count()";

const CONTENT: &str =
    "SELECT coalesce(string_agg(account::text, ';' ORDER BY id), '') FROM shop.account";

/// A table whose rows PostgreSQL numbers itself, and takes a number from nobody else without being told to.
const NUMBERED: &str = "CREATE TABLE shop.numbered (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text)";

/// Rounds, of which each but the last ends with a kill.
const ROUNDS: u32 = 8;

async fn content(sql: &Client) -> String {
    sql.query_one(CONTENT, &[]).await.unwrap().get(0)
}

/// A transaction of some statements; the trigger's work is done by hand here.
fn transaction(random: &mut StdRng) -> String {
    let statements = (0..random.random_range(1..6)).map(|_| {
        let id = random.random_range(0..20);
        match random.random_range(0..10) {
            0 => format!("DELETE FROM shop.account WHERE id = {id}"),
            1 => format!(
                "UPDATE shop.account SET id = id + 100, changes = changes + 1
                 WHERE id = {id} AND NOT EXISTS (SELECT FROM shop.account WHERE id = {id} + 100)"
            ),
            2..5 => format!(
                "INSERT INTO shop.account VALUES ({id}, {id}.5, ARRAY['a', NULL, '\"b\"'])
                 ON CONFLICT DO NOTHING"
            ),
            _ => format!(
                "UPDATE shop.account SET balance = balance + 0.1, changes = changes + 1 WHERE id = {id}"
            ),
        }
    });
    let statements: Vec<String> = statements.collect();
    format!("BEGIN; {}; COMMIT", statements.join("; "))
}

/// A running task with the table, and an empty copy of it.
async fn begin() -> (Shop, Copy) {
    Box::pin(begin_with(TABLE, &format!("{TABLE}; {COUNTED}"))).await
}

/// A running task with what `table` makes, and a copy with what `copied` makes.
async fn begin_with(table: &str, copied: &str) -> (Shop, Copy) {
    let shop = Box::pin(Shop::open(Default::default())).await.unwrap();
    shop.sql.batch_execute(table).await.unwrap();
    Box::pin(shop.run()).await.unwrap();
    let group = shop.group("copy").await.unwrap();
    let schema = format!("CREATE SCHEMA shop; {copied}");
    let copy = Box::pin(Copy::of(&shop, &group, &schema)).await.unwrap();
    (shop, copy)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_killed_at_any_moment_has_every_change_once() {
    let seed: u64 = rand::random();
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let (shop, copy) = Box::pin(begin()).await;

    for round in 1..=ROUNDS {
        let mut child = copy.start("shop.account").unwrap();
        for _transaction in 0..40 {
            let statements = transaction(&mut random);
            shop.sql.batch_execute(&statements).await.unwrap();
        }
        if round < ROUNDS {
            // Long enough now and then to be in the middle of applying, and of acknowledging.
            tokio::time::sleep(Duration::from_millis(random.random_range(0..3000))).await;
            child.kill().await.unwrap();
            continue;
        }
        let wanted = content(&shop.sql).await;
        assert!(wanted.len() > 100, "{wanted}");
        eventually("the copy is the same", PATIENCE, async || {
            content(&copy.sql).await == wanted
        })
        .await;
    }
}

/// A row that is added, and its copy.
async fn one_row(shop: &Shop, copy: &Copy, id: i64) {
    let insert = format!("INSERT INTO shop.account VALUES ({id}, {id})");
    shop.sql.batch_execute(&insert).await.unwrap();
    let wanted = content(&shop.sql).await;
    eventually("the row is copied", PATIENCE, async || {
        content(&copy.sql).await == wanted
    })
    .await;
}

fn start(copy: &Copy) -> Child {
    copy.start_saying("shop.account", Stdio::piped()).unwrap()
}

/// What a process says that ends with an error.
async fn ends(process: Child) -> String {
    let ended = tokio::time::timeout(PATIENCE, process.wait_with_output()).await;
    let ended = ended.unwrap().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    said
}

/// As [`ends`], and the next process ends alike: the position is not behind what ends them.
async fn stays_ended(process: Child, copy: &Copy) -> String {
    let said = ends(process).await;
    assert_eq!(ends(start(copy)).await, said);
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_a_row_that_the_copy_has_not_ends_it() {
    let (shop, copy) = Box::pin(begin()).await;
    let process = start(&copy);
    one_row(&shop, &copy, 1).await;
    one_row(&shop, &copy, 2).await;
    let lose = "DELETE FROM shop.account WHERE id = 1";
    copy.sql.batch_execute(lose).await.unwrap();
    let update = "UPDATE shop.account SET balance = 7 WHERE id = 1";
    shop.sql.batch_execute(update).await.unwrap();
    let said = stays_ended(process, &copy).await;
    assert!(said.contains("found 0 with the key {\"id\":1}"), "{said}");

    // Once it is there again, all goes on.
    let put_back = "INSERT INTO shop.account VALUES (1, 1)";
    copy.sql.batch_execute(put_back).await.unwrap();
    let process = start(&copy);
    eventually("the row is changed", PATIENCE, async || {
        let query = "SELECT count(*) FROM shop.account WHERE id = 1 AND balance = 7";
        let row = copy.sql.query_one(query, &[]).await.unwrap();
        row.get::<_, i64>(0) == 1
    })
    .await;
    copy.sql.batch_execute(lose).await.unwrap();
    let delete = "DELETE FROM shop.account WHERE id = 1";
    shop.sql.batch_execute(delete).await.unwrap();
    let said = stays_ended(process, &copy).await;
    assert!(said.contains("Delete"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_ends_where_changes_are_missing() {
    let (shop, copy) = Box::pin(begin()).await;
    let process = start(&copy);
    one_row(&shop, &copy, 1).await;
    let _task: Task = shop.command("suspend").await.unwrap();
    shop.reaches(TaskState::Suspended).await;
    let slot = source_object(&shop.task);
    eventually("the slot can be dropped", PATIENCE, async || {
        let drop = "SELECT pg_drop_replication_slot($1)";
        shop.sql.execute(drop, &[&slot]).await.is_ok()
    })
    .await;
    let missed = "INSERT INTO shop.account VALUES (2, 2)";
    shop.sql.batch_execute(missed).await.unwrap();
    let _task: Task = shop.command("resume").await.unwrap();
    shop.reaches(TaskState::Abnormal).await;
    let accepted = json!({"accept_stop": "Gap"});
    let _task: Task = shop.api.post(&shop.path("start"), &accepted).await.unwrap();
    let said = stays_ended(process, &copy).await;
    for part in ["changes between", "are missing: ", "copy shop.account anew"] {
        assert!(said.contains(part), "{said}");
    }
}

/// As [`content`], of the other table.
async fn numbered(sql: &Client) -> String {
    let query =
        "SELECT coalesce(string_agg(numbered::text, ';' ORDER BY id), '') FROM shop.numbered";
    sql.query_one(query, &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_postgresql_numbers_itself_are_copied_with_their_numbers() {
    let (shop, copy) = Box::pin(begin_with(NUMBERED, NUMBERED)).await;
    let _process = copy.start("shop.numbered").unwrap();
    for statement in [
        // The first number is of no row, so that the copy would count otherwise.
        "BEGIN; INSERT INTO shop.numbered (note) VALUES ('none'); ROLLBACK",
        "INSERT INTO shop.numbered (note) VALUES ('a'), ('b'), ('c')",
        "UPDATE shop.numbered SET note = 'd' WHERE id = 2",
        "DELETE FROM shop.numbered WHERE id = 3",
    ] {
        shop.sql.batch_execute(statement).await.unwrap();
        let wanted = numbered(&shop.sql).await;
        eventually("the copy is the same", PATIENCE, async || {
            numbered(&copy.sql).await == wanted
        })
        .await;
    }
    assert_eq!(numbered(&copy.sql).await, "(2,d);(4,c)");
}
