//! What a change tells of the row before it, by the table's replica identity (PostgreSQL docs, "ALTER
//! TABLE", "REPLICA IDENTITY").

use rowcast_proto::change::{BeforeImage, Change, Operation, Row};
use serde_json::{Value, json};

use crate::told::rows;
use crate::world::World;

/// A table with one identity.
struct Identity {
    name: &'static str,
    /// What makes it, after the columns.
    constraint: &'static str,
    alter: &'static str,
    /// The columns of the key.
    key: &'static [&'static str],
    /// The whole old row is in the WAL.
    full: bool,
}

const IDENTITIES: [Identity; 5] = [
    Identity {
        name: "by_primary_key",
        constraint: ", PRIMARY KEY (id)",
        alter: "DEFAULT",
        key: &["id"],
        full: false,
    },
    Identity {
        name: "by_index",
        constraint: ", PRIMARY KEY (id), CONSTRAINT by_index_k UNIQUE (k)",
        alter: "USING INDEX by_index_k",
        key: &["k"],
        full: false,
    },
    Identity {
        name: "by_index_alone",
        constraint: ", CONSTRAINT by_index_alone_k UNIQUE (k, id)",
        alter: "USING INDEX by_index_alone_k",
        key: &["id", "k"],
        full: false,
    },
    Identity {
        name: "whole",
        constraint: ", PRIMARY KEY (id)",
        alter: "FULL",
        key: &["id"],
        full: true,
    },
    Identity {
        name: "whole_alone",
        constraint: "",
        alter: "FULL",
        key: &[],
        full: true,
    },
];

/// Assignments of updates, one after the other, of one row. `long` and `other` stand for values that
/// are stored outside the row.
const UPDATES: [&[(&str, &str)]; 8] = [
    &[("a", "11")],
    &[("id", "2")],
    &[("k", "two")],
    &[("note", "other")],
    &[("note", "null")],
    &[("a", "12"), ("note", "long")],
    &[("id", "3"), ("k", "three")],
    &[("a", "null")],
];

/// The value as the test expects it, and as SQL.
fn value(column: &str, text: &str) -> (Value, String) {
    match (column, text) {
        (_, "null") => (Value::Null, "NULL".to_owned()),
        ("id" | "a", number) => (json!(number.parse::<i64>().unwrap()), number.to_owned()),
        (_, "long" | "other") => {
            let (letter, count) = (if text == "long" { "l" } else { "o" }, 9000);
            (
                json!(letter.repeat(count)),
                format!("repeat('{letter}', {count})"),
            )
        }
        (_, text) => (json!(text), format!("'{text}'")),
    }
}

/// What must be told of a row's life, computed without PostgreSQL.
struct Expected {
    op: Operation,
    key: Option<Row>,
    before: Option<Row>,
    image: Option<BeforeImage>,
    after: Option<Row>,
    unchanged: Vec<String>,
}

impl Identity {
    fn key_of(&self, row: &Row) -> Option<Row> {
        let key: Row = row
            .clone()
            .into_iter()
            .filter(|(name, _)| self.key.contains(&name.as_str()))
            .collect();
        (!key.is_empty()).then_some(key)
    }

    fn update(&self, old: &Row, new: &Row) -> Expected {
        let (before, image) = if self.full {
            (Some(old.clone()), BeforeImage::Full)
        } else if self.key_of(old) == self.key_of(new) {
            (None, BeforeImage::None)
        } else {
            (self.key_of(old), BeforeImage::Key)
        };
        let is_outside = old["note"].as_str().is_some_and(|note| note.len() > 1000);
        let mut after = new.clone();
        let mut unchanged = Vec::new();
        if !self.full && is_outside && old["note"] == new["note"] {
            after.remove("note");
            unchanged.push("note".to_owned());
        }
        Expected {
            op: Operation::Update,
            key: self.key_of(new),
            before,
            image: Some(image),
            after: Some(after),
            unchanged,
        }
    }

    fn delete(&self, old: &Row) -> Expected {
        let (before, image) = if self.full {
            (Some(old.clone()), BeforeImage::Full)
        } else {
            (self.key_of(old), BeforeImage::Key)
        };
        Expected {
            op: Operation::Delete,
            key: self.key_of(old),
            before,
            image: Some(image),
            after: None,
            unchanged: Vec::new(),
        }
    }

    fn table(&self) -> String {
        let Self {
            name,
            constraint,
            alter,
            ..
        } = self;
        format!(
            "CREATE TABLE shop.{name} (id int NOT NULL, k text NOT NULL, a int, note text{constraint});
             ALTER TABLE shop.{name} ALTER note SET STORAGE EXTERNAL, REPLICA IDENTITY {alter};"
        )
    }

    /// The statements of the row's life, and what must be told of it.
    fn life(&self) -> (String, Vec<Expected>) {
        let name = self.name;
        let (long, long_sql) = value("note", "long");
        let mut row: Row = serde_json::from_value(json!({"id": 1, "k": "one", "a": 10})).unwrap();
        row.insert("note".to_owned(), long);
        let mut statements = format!("INSERT INTO shop.{name} VALUES (1, 'one', 10, {long_sql});");
        let mut expected = vec![Expected {
            op: Operation::Insert,
            key: self.key_of(&row),
            before: None,
            image: None,
            after: Some(row.clone()),
            unchanged: Vec::new(),
        }];
        for update in UPDATES {
            let mut new = row.clone();
            let mut assignments = Vec::new();
            for (column, text) in update {
                let (value, sql) = value(column, text);
                new.insert((*column).to_owned(), value);
                assignments.push(format!("{column} = {sql}"));
            }
            statements.push_str(&format!(
                "UPDATE shop.{name} SET {};",
                assignments.join(", ")
            ));
            expected.push(self.update(&row, &new));
            row = new;
        }
        statements.push_str(&format!("DELETE FROM shop.{name};"));
        expected.push(self.delete(&row));
        (statements, expected)
    }
}

fn assert_told(told: &Change, expected: &Expected, what: &str) {
    assert_eq!(told.op, expected.op, "{what}");
    assert_eq!(told.key, expected.key, "{what}: key");
    assert_eq!(told.before_image, expected.image, "{what}: image");
    assert_eq!(told.before, expected.before, "{what}: before");
    assert_eq!(told.after, expected.after, "{what}: after");
    assert_eq!(told.unchanged, expected.unchanged, "{what}: unchanged");
}

async fn every_identity_tells_what_it_has(version: u32) {
    let tables: Vec<String> = IDENTITIES.iter().map(Identity::table).collect();
    let world = World::streaming_shop(version, &tables.join("")).await;
    let mut expected = Vec::new();
    for identity in &IDENTITIES {
        let (statements, told) = identity.life();
        world.execute(&statements).await;
        expected.extend(told.into_iter().map(|told| (identity.name, told)));
    }
    let told = world.rows().await;
    assert_eq!(told.len(), expected.len());
    for (number, (told, (name, expected))) in (0..).zip(told.iter().zip(&expected)) {
        let what = format!("change {} of {name}", number % (UPDATES.len() + 2));
        assert_eq!(told.table.as_deref(), Some(*name), "{what}");
        assert_told(told, expected, &what);
    }
}

#[tokio::test]
async fn every_identity_tells_what_it_has_on_10() {
    every_identity_tells_what_it_has(10).await;
}

#[tokio::test]
async fn every_identity_tells_what_it_has_on_15() {
    every_identity_tells_what_it_has(15).await;
}

#[tokio::test]
async fn every_identity_tells_what_it_has_on_18() {
    every_identity_tells_what_it_has(18).await;
}

async fn rows_without_identity_are_told_where_only_inserts_are_tracked(version: u32) {
    let mut world = World::shop(
        version,
        "CREATE TABLE shop.nothing (id int PRIMARY KEY, a int);
         ALTER TABLE shop.nothing REPLICA IDENTITY NOTHING;
         CREATE TABLE shop.keyless (id int, a int);",
    )
    .await;
    world.wish.change_types.as_mut().unwrap().data = vec!["insert".to_owned()];
    world.run().await;
    world
        .execute(
            "INSERT INTO shop.nothing VALUES (1, 1);
             UPDATE shop.nothing SET a = 2, id = 3; DELETE FROM shop.nothing;
             INSERT INTO shop.keyless VALUES (1, 1);
             UPDATE shop.keyless SET a = 2; DELETE FROM shop.keyless; TRUNCATE shop.keyless;",
        )
        .await;
    let told = world.told().await;
    let inserts = rows(&told);
    assert_eq!(inserts.len(), 2);
    for (insert, table) in inserts.iter().zip(["nothing", "keyless"]) {
        assert_eq!(insert.table.as_deref(), Some(table));
        let expected = Expected {
            op: Operation::Insert,
            key: None,
            before: None,
            image: None,
            after: serde_json::from_value(json!({"id": 1, "a": 1})).unwrap(),
            unchanged: Vec::new(),
        };
        assert_told(insert, &expected, table);
    }
    let identities: Vec<&str> = told
        .iter()
        .filter_map(|message| message.change.definition.as_ref())
        .map(|definition| definition.replica_identity.as_str())
        .collect();
    assert_eq!(identities, ["nothing", "default"]);
}

#[tokio::test]
async fn rows_without_identity_are_told_where_only_inserts_are_tracked_on_10() {
    rows_without_identity_are_told_where_only_inserts_are_tracked(10).await;
}

#[tokio::test]
async fn rows_without_identity_are_told_where_only_inserts_are_tracked_on_18() {
    rows_without_identity_are_told_where_only_inserts_are_tracked(18).await;
}

/// Identities that one table has, one after the other, with what an update tells of the old row.
const CHANGES: [(&str, BeforeImage, &[&str]); 6] = [
    ("DEFAULT", BeforeImage::None, &["id"]),
    ("FULL", BeforeImage::Full, &["id"]),
    ("USING INDEX t_k", BeforeImage::None, &["k"]),
    ("FULL", BeforeImage::Full, &["id"]),
    ("DEFAULT", BeforeImage::None, &["id"]),
    ("USING INDEX t_k", BeforeImage::None, &["k"]),
];

async fn an_identity_changes(version: u32, is_down: bool) {
    let mut world = World::streaming_shop(
        version,
        "CREATE TABLE shop.t (id int PRIMARY KEY, k int NOT NULL CONSTRAINT t_k UNIQUE, a int);",
    )
    .await;
    world.execute("INSERT INTO shop.t VALUES (1, 2, 0)").await;
    world.told().await;
    if is_down {
        world.kill_capture().await;
    }
    for (identity, _, _) in CHANGES {
        world
            .execute(&format!("ALTER TABLE shop.t REPLICA IDENTITY {identity}"))
            .await;
        world.execute("UPDATE shop.t SET a = a + 1").await;
    }
    if is_down {
        world.start_capture();
    }
    let told = world.rows().await;
    assert_eq!(told.len(), CHANGES.len() + 1);
    let ids = |n: usize| told[n].schema_id.as_ref().unwrap();
    for (n, (identity, image, key)) in (1_usize..).zip(CHANGES) {
        let change = &told[n];
        let names: Vec<&String> = change.key.as_ref().unwrap().keys().collect();
        assert_eq!(names, key, "{identity}");
        assert_eq!(change.before_image, Some(image), "{identity}");
        let before = (image == BeforeImage::Full)
            .then(|| serde_json::from_value(json!({"id": 1, "k": 2, "a": n - 1})).unwrap());
        assert_eq!(change.before, before, "{identity}");
        let after: Row = serde_json::from_value(json!({"id": 1, "k": 2, "a": n})).unwrap();
        assert_eq!(change.after.as_ref(), Some(&after));
    }
    // A shape that comes back has its id again.
    assert_eq!(
        (ids(0), ids(0), ids(2), ids(3)),
        (ids(1), ids(5), ids(4), ids(6))
    );
    assert!(ids(1) != ids(2) && ids(2) != ids(3) && ids(1) != ids(3));
}

#[tokio::test]
async fn an_identity_changes_mid_stream_on_10() {
    an_identity_changes(10, false).await;
}

#[tokio::test]
async fn an_identity_changes_mid_stream_on_18() {
    an_identity_changes(18, false).await;
}

#[tokio::test]
async fn an_identity_changes_while_capture_is_down() {
    an_identity_changes(15, true).await;
}

#[tokio::test]
async fn the_key_of_a_whole_row_is_the_primary_key_without_what_its_index_carries() {
    let world = World::streaming_shop(
        15,
        "CREATE TABLE shop.t (a int, id int, region text, PRIMARY KEY (id, region) INCLUDE (a));
         ALTER TABLE shop.t REPLICA IDENTITY FULL;",
    )
    .await;
    world
        .execute("INSERT INTO shop.t VALUES (5, 1, 'eu'); DELETE FROM shop.t")
        .await;
    for change in world.rows().await {
        assert_eq!(
            serde_json::to_value(&change.key).unwrap(),
            json!({"id": 1, "region": "eu"})
        );
    }
}

async fn a_key_that_is_stored_outside_the_row_is_told_with_every_change(version: u32) {
    let world = World::streaming_shop(
        version,
        "CREATE TABLE shop.t (id text PRIMARY KEY, a int);
         ALTER TABLE shop.t ALTER id SET STORAGE EXTERNAL;",
    )
    .await;
    world
        .execute(
            "INSERT INTO shop.t VALUES (repeat('k', 2500), 1);
             UPDATE shop.t SET a = 2;
             DELETE FROM shop.t;",
        )
        .await;
    let told = world.told().await;
    let partition = |n: usize| told[n].subject.split('.').nth(3).unwrap().to_owned();
    let changes = rows(&told);
    let key = json!({"id": "k".repeat(2500)});
    for change in &changes {
        assert_eq!(serde_json::to_value(&change.key).unwrap(), key);
    }
    // The shape is the first message.
    assert_eq!((partition(1), partition(1)), (partition(2), partition(3)));
    let update = &changes[1];
    assert_eq!(update.before_image, Some(BeforeImage::Key));
    assert_eq!(serde_json::to_value(&update.before).unwrap(), key);
    assert_eq!(update.unchanged, ["id"]);
    assert_eq!(
        serde_json::to_value(&update.after).unwrap(),
        json!({"a": 2})
    );
}

#[tokio::test]
async fn a_key_that_is_stored_outside_the_row_is_told_with_every_change_on_10() {
    a_key_that_is_stored_outside_the_row_is_told_with_every_change(10).await;
}

#[tokio::test]
async fn a_key_that_is_stored_outside_the_row_is_told_with_every_change_on_18() {
    a_key_that_is_stored_outside_the_row_is_told_with_every_change(18).await;
}

#[tokio::test]
async fn postgresql_refuses_updates_once_the_index_of_an_identity_is_dropped_and_inserts_go_on() {
    let world = World::streaming_shop(
        15,
        "CREATE TABLE shop.t (id int NOT NULL, a int);
         CREATE UNIQUE INDEX t_id ON shop.t (id);
         ALTER TABLE shop.t REPLICA IDENTITY USING INDEX t_id;",
    )
    .await;
    world.execute("INSERT INTO shop.t VALUES (1, 1)").await;
    world.execute("DROP INDEX shop.t_id").await;
    let refused = world.sql.batch_execute("UPDATE shop.t SET a = 2").await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "55000", "{refused}");
    world.execute("INSERT INTO shop.t VALUES (2, 2)").await;
    let told = world.rows().await;
    assert_eq!(told.len(), 2);
    assert_eq!(told[0].key.as_ref().unwrap()["id"], 1);
    assert_eq!(told[1].key, None);
    assert_eq!(told[1].after.as_ref().unwrap()["id"], 2);
}
