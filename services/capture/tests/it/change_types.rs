//! Other kinds of changes for a running task: at one LSN, nothing lost, nothing too much, and no table broken.

use rowcast_proto::change::{Change, Operation};
use rowcast_proto::message::{ChangeTypes, DesiredState, ObjectSelection, SchemaSelection};
use rowcast_proto::stream::source_object;
use rowcast_testkit::{Postgres, Stored, eventually};

use crate::world::{PATIENCE, World, told};

const SHOP: &str = "CREATE SCHEMA shop;
    CREATE TABLE shop.orders (id int PRIMARY KEY, note text);
    CREATE TABLE shop.log (line text);";

fn kinds(data: &[&str]) -> ChangeTypes {
    ChangeTypes {
        data: data.iter().map(|&name| name.to_owned()).collect(),
        schema: false,
    }
}

/// What is told, and of which table.
fn ops(stored: &[Stored]) -> Vec<(Operation, String)> {
    let changes = told(stored).into_iter();
    let of_table = |change: &Change| (change.op, change.table.clone().unwrap_or_default());
    changes.map(of_table).collect()
}

impl World {
    /// Wants other kinds of changes, and waits until they are in force and the publication has followed.
    async fn tell(&mut self, types: ChangeTypes) {
        let data = types.data.clone();
        self.wish.change_types = Some(types);
        self.desire(DesiredState::Running).await;
        eventually("the kinds are in force", PATIENCE, async || {
            let published = self.published().await;
            self.is_in_force().await
                && data.iter().all(|kind| published.contains(kind))
                && published.len() == data.len()
        })
        .await;
    }

    async fn published(&self) -> Vec<String> {
        let query = format!(
            "SELECT pubinsert, pubupdate, pubdelete, pubtruncate FROM pg_publication WHERE pubname = '{}'",
            source_object(&self.task)
        );
        let row = self.sql.query_one(&query, &[]).await.unwrap();
        let names = ["insert", "update", "delete", "truncate"];
        let published = names
            .into_iter()
            .enumerate()
            .filter(|(number, _)| row.get(*number));
        published.map(|(_, name)| name.to_owned()).collect()
    }

    async fn every_kind(&self, id: i32) {
        self.sql
            .batch_execute(&format!(
                "INSERT INTO shop.orders VALUES ({id}, 'n');
                 UPDATE shop.orders SET note = 'm' WHERE id = {id};
                 DELETE FROM shop.orders WHERE id = {id};
                 TRUNCATE shop.orders;
                 INSERT INTO shop.log VALUES ('{id}')"
            ))
            .await
            .unwrap();
    }
}

async fn kinds_come_and_go(major: u32) {
    let mut world = World::on(Postgres::start_version(major).await.unwrap(), SHOP).await;
    world.wish.change_types = Some(kinds(&["insert"]));
    world.begin().await;
    world.every_kind(1).await;
    let stored = world.stream(4).await;
    let inserts = [
        (Operation::Insert, "orders".to_owned()),
        (Operation::Insert, "log".to_owned()),
    ];
    assert_eq!(ops(&stored), inserts, "{major}");

    // The log has no identity: published for updates, PostgreSQL would refuse them.
    world
        .tell(kinds(&["insert", "update", "delete", "truncate"]))
        .await;
    world.every_kind(2).await;
    world
        .sql
        .batch_execute("UPDATE shop.log SET line = 'x'; DELETE FROM shop.log")
        .await
        .unwrap();
    let told_now = ops(&world.stream(8).await);
    let orders = [
        Operation::Insert,
        Operation::Update,
        Operation::Delete,
        Operation::Truncate,
    ];
    let expected = orders.map(|op| (op, "orders".to_owned()));
    assert_eq!(told_now[2..], expected, "{major}");

    world.tell(kinds(&["delete", "insert"])).await;
    world.every_kind(3).await;
    world.stream(10).await;
    // What is read again is told by the kinds of its time.
    world.kill_capture().await;
    world.start_capture();
    world.every_kind(4).await;
    let told_now = ops(&world.stream(12).await);
    let expected = [
        Operation::Insert,
        Operation::Delete,
        Operation::Insert,
        Operation::Delete,
    ];
    assert_eq!(
        told_now[6..],
        expected.map(|op| (op, "orders".to_owned())),
        "{major}"
    );
}

#[tokio::test]
async fn kinds_come_and_go_between_two_transactions() {
    Box::pin(kinds_come_and_go(18)).await;
}

#[tokio::test]
async fn kinds_come_and_go_on_an_older_server() {
    Box::pin(kinds_come_and_go(12)).await;
}

#[tokio::test]
async fn a_transaction_that_was_open_is_told_by_the_kinds_before() {
    let mut world = World::new(SHOP).await;
    world.wish.change_types = Some(kinds(&["insert"]));
    world.begin().await;
    let mut other = world.postgres.client("postgres").await.unwrap();
    other
        .batch_execute("INSERT INTO shop.orders SELECT n, 'n' FROM generate_series(1, 9) n")
        .await
        .unwrap();
    let open = other.transaction().await.unwrap();
    open.batch_execute("UPDATE shop.orders SET note = 'early' WHERE id < 4")
        .await
        .unwrap();
    world.wish.change_types = Some(kinds(&["insert", "update"]));
    world.desire(DesiredState::Running).await;
    eventually("updates are published", PATIENCE, async || {
        world.published().await.len() == 2
    })
    .await;
    open.batch_execute("UPDATE shop.orders SET note = 'late' WHERE id > 6")
        .await
        .unwrap();
    open.commit().await.unwrap();
    eventually("the kinds are in force", PATIENCE, || world.is_in_force()).await;
    world
        .sql
        .batch_execute("UPDATE shop.orders SET note = 'now' WHERE id = 5")
        .await
        .unwrap();
    let stored = world.stream(11).await;
    let updates: Vec<_> = ops(&stored).into_iter().skip(9).collect();
    assert_eq!(updates, [(Operation::Update, "orders".to_owned())]);
    let last = stored.last().unwrap().change.after.clone().unwrap();
    assert_eq!(last["note"], "now");
}

#[tokio::test]
async fn schema_changes_can_be_asked_for_later() {
    let mut world = World::new(SHOP).await;
    world.wish.change_types = Some(kinds(&["insert"]));
    world.begin().await;
    world
        .sql
        .batch_execute("ALTER TABLE shop.orders ADD COLUMN early int")
        .await
        .unwrap();
    world.wish.change_types = Some(ChangeTypes {
        schema: true,
        ..kinds(&["insert"])
    });
    world.desire(DesiredState::Running).await;
    eventually("schema changes are told", PATIENCE, || world.is_in_force()).await;
    world
        .sql
        .batch_execute("ALTER TABLE shop.orders ADD COLUMN late int")
        .await
        .unwrap();
    world.stream(1).await;
    let told = ops(&world.stream(1).await);
    assert_eq!(told, [(Operation::Ddl, "orders".to_owned())]);
}

#[tokio::test]
async fn a_server_without_publications_tells_the_kinds_that_are_asked_for() {
    let mut world = World::new(SHOP).await;
    world
        .sql
        .batch_execute(&format!(
            "SELECT pg_create_logical_replication_slot('{}', 'test_decoding')",
            source_object(&world.task)
        ))
        .await
        .unwrap();
    world.wish.change_types = Some(kinds(&["insert", "truncate"]));
    world.begin().await;
    world.every_kind(1).await;
    let told = ops(&world.stream(5).await);
    let ops: Vec<Operation> = told.into_iter().map(|(op, _)| op).collect();
    assert_eq!(
        ops,
        [Operation::Insert, Operation::Truncate, Operation::Insert]
    );
}

#[tokio::test]
async fn renamed_tables_stay_and_break_nobody_when_updates_are_asked_for() {
    let mut world = World::new(SHOP).await;
    let tables = ["orders", "log", "lines"].map(str::to_owned).to_vec();
    let schema = SchemaSelection {
        name: "shop".to_owned(),
        tables,
        ..SchemaSelection::default()
    };
    world.wish.objects = Some(ObjectSelection {
        schemas: vec![schema],
        ..ObjectSelection::default()
    });
    world.wish.change_types = Some(kinds(&["insert"]));
    world
        .sql
        .batch_execute("CREATE TABLE shop.lines (line text)")
        .await
        .unwrap();
    world.begin().await;
    world
        .sql
        .batch_execute(
            "ALTER TABLE shop.orders RENAME TO purchases;
             ALTER TABLE shop.log RENAME TO journal;
             INSERT INTO shop.purchases VALUES (1, 'n');
             INSERT INTO shop.journal VALUES ('n')",
        )
        .await
        .unwrap();
    world.stream(4).await;
    world.tell(kinds(&["insert", "update"])).await;
    world
        .sql
        .batch_execute(
            "UPDATE shop.journal SET line = 'm'; UPDATE shop.lines SET line = 'm';
             UPDATE shop.purchases SET note = 'm'; INSERT INTO shop.purchases VALUES (2, 'n')",
        )
        .await
        .unwrap();
    let told = ops(&world.stream(6).await);
    let expected = [Operation::Update, Operation::Insert].map(|op| (op, "purchases".to_owned()));
    assert_eq!(told[2..], expected);
}
