//! Shapes that change under way: every row has the columns and values of its moment.

use rowcast_proto::change::{Change, Operation};
use rowcast_proto::message::ObjectSelection;
use rowcast_testkit::Stored;
use serde_json::Value;

use crate::told::rows;
use crate::world::World;

/// A change of the schema, and a row that is written after it.
struct Step {
    change: &'static str,
    write: &'static str,
    /// Schema and table that the row is told of.
    table: &'static str,
    /// The row, as it was then.
    row: &'static str,
    /// The columns of its key.
    key: &'static [&'static str],
    /// The shape is not that of the step before.
    new: bool,
}

/// A step that makes a new shape, with the key `id`.
const fn new(
    change: &'static str,
    write: &'static str,
    table: &'static str,
    row: &'static str,
) -> Step {
    Step {
        change,
        write,
        table,
        row,
        key: &["id"],
        new: true,
    }
}

/// A step that makes none.
const fn same(
    change: &'static str,
    write: &'static str,
    table: &'static str,
    row: &'static str,
) -> Step {
    Step {
        new: false,
        ..new(change, write, table, row)
    }
}

const TABLES: &str = "CREATE SCHEMA other;
    CREATE SEQUENCE shop.numbers;
    CREATE TABLE shop.t (id int PRIMARY KEY, a text);";

/// Columns: added, with a constant default and with a volatile one, dropped, added anew, retyped,
/// renamed.
const COLUMNS: &[Step] = &[
    new(
        "",
        "INSERT INTO shop.t VALUES (1, 'x')",
        "shop.t",
        r#"{"id": 1, "a": "x"}"#,
    ),
    same(
        "CREATE INDEX ON shop.t (a); ANALYZE shop.t; ALTER TABLE shop.t SET (fillfactor = 50)",
        "INSERT INTO shop.t VALUES (2, 'x')",
        "shop.t",
        r#"{"id": 2, "a": "x"}"#,
    ),
    new(
        "ALTER TABLE shop.t ADD COLUMN b int",
        "INSERT INTO shop.t VALUES (3, 'x')",
        "shop.t",
        r#"{"id": 3, "a": "x", "b": null}"#,
    ),
    new(
        "ALTER TABLE shop.t ADD COLUMN c int DEFAULT 7",
        "INSERT INTO shop.t VALUES (4, 'x', 1)",
        "shop.t",
        r#"{"id": 4, "a": "x", "b": 1, "c": 7}"#,
    ),
    same(
        "",
        "UPDATE shop.t SET a = 'y' WHERE id = 1",
        "shop.t",
        r#"{"id": 1, "a": "y", "b": null, "c": 7}"#,
    ),
    same(
        "BEGIN; ALTER TABLE shop.t DROP COLUMN c; INSERT INTO shop.t VALUES (99, 'gone'); ROLLBACK",
        "INSERT INTO shop.t VALUES (5, 'x', 1)",
        "shop.t",
        r#"{"id": 5, "a": "x", "b": 1, "c": 7}"#,
    ),
    new(
        "ALTER TABLE shop.t ADD COLUMN d bigint DEFAULT nextval('shop.numbers')",
        "INSERT INTO shop.t VALUES (6, 'x', 1)",
        "shop.t",
        r#"{"id": 6, "a": "x", "b": 1, "c": 7, "d": 6}"#,
    ),
    new(
        "ALTER TABLE shop.t DROP COLUMN b",
        "UPDATE shop.t SET a = 'z' WHERE id = 6",
        "shop.t",
        r#"{"id": 6, "a": "z", "c": 7, "d": 6}"#,
    ),
    new(
        "ALTER TABLE shop.t ADD COLUMN b text",
        "INSERT INTO shop.t VALUES (7, 'x', 7, 7, 'b')",
        "shop.t",
        r#"{"id": 7, "a": "x", "c": 7, "d": 7, "b": "b"}"#,
    ),
    new(
        "ALTER TABLE shop.t ALTER COLUMN c TYPE text USING 'n' || c",
        "UPDATE shop.t SET a = 'w' WHERE id = 7",
        "shop.t",
        r#"{"id": 7, "a": "w", "c": "n7", "d": 7, "b": "b"}"#,
    ),
    new(
        "ALTER TABLE shop.t ALTER COLUMN c TYPE varchar(20)",
        "INSERT INTO shop.t VALUES (8, 'x', 'c', 8)",
        "shop.t",
        r#"{"id": 8, "a": "x", "c": "c", "d": 8, "b": null}"#,
    ),
    new(
        "ALTER TABLE shop.t RENAME COLUMN a TO aa",
        "INSERT INTO shop.t VALUES (9, 'x', 'c', 9)",
        "shop.t",
        r#"{"id": 9, "aa": "x", "c": "c", "d": 9, "b": null}"#,
    ),
    new(
        "BEGIN; ALTER TABLE shop.t DROP COLUMN b, ADD COLUMN b text; ALTER TABLE shop.t DROP COLUMN d; COMMIT",
        "INSERT INTO shop.t VALUES (10, 'x', 'c', 'b')",
        "shop.t",
        r#"{"id": 10, "aa": "x", "c": "c", "b": "b"}"#,
    ),
    Step {
        key: &["c", "id"],
        ..new(
            "ALTER TABLE shop.t ALTER COLUMN c SET NOT NULL, DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (id, c)",
            "INSERT INTO shop.t VALUES (11, 'x', 'c', 'b')",
            "shop.t",
            r#"{"id": 11, "aa": "x", "c": "c", "b": "b"}"#,
        )
    },
];

/// Tables: renamed, moved, dropped and made again under the same name.
const RENAMED: &[Step] = &[
    new(
        "",
        "INSERT INTO shop.t VALUES (1, 'x')",
        "shop.t",
        r#"{"id": 1, "a": "x"}"#,
    ),
    new(
        "ALTER TABLE shop.t RENAME TO u",
        "INSERT INTO shop.u VALUES (2, 'x')",
        "shop.u",
        r#"{"id": 2, "a": "x"}"#,
    ),
    new(
        "ALTER TABLE shop.u SET SCHEMA other",
        "INSERT INTO other.u VALUES (3, 'x')",
        "other.u",
        r#"{"id": 3, "a": "x"}"#,
    ),
    new(
        "BEGIN; DROP TABLE other.u; CREATE TABLE other.u (id int PRIMARY KEY, a text); COMMIT",
        "INSERT INTO other.u VALUES (4, 'x')",
        "other.u",
        r#"{"id": 4, "a": "x"}"#,
    ),
    new(
        "BEGIN; DROP TABLE other.u; COMMIT; BEGIN; CREATE TABLE other.u (a text, id int PRIMARY KEY); COMMIT",
        "INSERT INTO other.u VALUES ('x', 5)",
        "other.u",
        r#"{"id": 5, "a": "x"}"#,
    ),
    new(
        "ALTER TABLE other.u REPLICA IDENTITY FULL",
        "INSERT INTO other.u VALUES ('x', 7)",
        "other.u",
        r#"{"id": 7, "a": "x"}"#,
    ),
    new(
        "ALTER TABLE other.u RENAME TO v",
        "INSERT INTO other.v VALUES ('x', 8)",
        "other.v",
        r#"{"id": 8, "a": "x"}"#,
    ),
    new(
        "ALTER TABLE other.v SET SCHEMA shop",
        "INSERT INTO shop.v VALUES ('x', 9)",
        "shop.v",
        r#"{"id": 9, "a": "x"}"#,
    ),
];

/// That each row is told in the shape of its moment, and each shape before its first row.
fn fits(told: &[Stored], steps: &[Step]) {
    let told_rows = rows(told);
    assert_eq!(told_rows.len(), steps.len(), "{told_rows:#?}");
    let mut last: Option<&Change> = None;
    for (row, step) in told_rows.iter().zip(steps) {
        let expected: Value = serde_json::from_str(step.row).unwrap();
        let after = serde_json::to_value(&row.after).unwrap();
        assert_eq!(after, expected, "{}", step.change);
        let name = format!(
            "{}.{}",
            row.schema.as_ref().unwrap(),
            row.table.as_ref().unwrap()
        );
        assert_eq!(name, step.table, "{}", step.change);
        let key: Vec<&String> = row.key.as_ref().map(|key| key.keys().collect()).unwrap();
        assert_eq!(key, step.key, "{}", step.change);
        let is_new = last.is_none_or(|last| last.schema_id != row.schema_id);
        assert_eq!(is_new, step.new, "{}: {row:?}", step.change);
        last = Some(row);
    }
    each_shape_is_told_before_its_rows(told);
}

/// The last shape that was told of a row's table is the row's, and has its columns.
fn each_shape_is_told_before_its_rows(told: &[Stored]) {
    let mut definition = None;
    for message in told {
        let change = &message.change;
        if change.op == Operation::Schema {
            definition = change.definition.clone();
            continue;
        }
        let definition = definition.as_ref().unwrap();
        assert_eq!(change.schema_id.as_ref(), Some(&definition.id));
        assert_eq!(change.table.as_ref(), Some(&definition.table));
        let mut columns: Vec<&String> = definition.columns.iter().map(|c| &c.name).collect();
        columns.sort();
        let told: Vec<&String> = change.after.as_ref().unwrap().keys().collect();
        assert_eq!(told, columns);
    }
}

async fn of_everything(version: u32, tables: &str) -> World {
    let mut world = World::shop(version, tables).await;
    world.wish.objects = Some(ObjectSelection {
        all: true,
        ..ObjectSelection::default()
    });
    world.run().await;
    world
}

impl World {
    async fn take(&self, step: &Step) {
        if !step.change.is_empty() {
            for statement in step.change.split("; ") {
                self.execute(statement).await;
            }
        }
        self.execute(step.write).await;
    }
}

async fn shapes_change_mid_stream(version: u32, steps: &[Step]) {
    let world = of_everything(version, TABLES).await;
    for (step, count) in steps.iter().zip(1_usize..) {
        world.take(step).await;
        // Every second change of a shape meets a capture that has not read the row before it.
        if count.is_multiple_of(2) {
            world.told().await;
        }
    }
    let told = world.told().await;
    fits(&told, steps);
    let shapes = told
        .iter()
        .filter(|message| message.change.op == Operation::Schema);
    let expected = steps.iter().filter(|step| step.new).count();
    assert_eq!(shapes.count(), expected, "a shape was told twice");
}

async fn shapes_change_while_capture_is_down(version: u32, steps: &[Step]) {
    let mut world = of_everything(version, TABLES).await;
    world.take(&steps[0]).await;
    world.told().await;
    world.kill_capture().await;
    for step in &steps[1..] {
        world.take(step).await;
    }
    world.start_capture();
    fits(&world.told().await, steps);
}

#[tokio::test]
async fn columns_change_mid_stream_on_10() {
    shapes_change_mid_stream(10, COLUMNS).await;
}

#[tokio::test]
async fn columns_change_mid_stream_on_15() {
    shapes_change_mid_stream(15, COLUMNS).await;
}

#[tokio::test]
async fn columns_change_mid_stream_on_18() {
    shapes_change_mid_stream(18, COLUMNS).await;
}

#[tokio::test]
async fn columns_change_while_capture_is_down_on_10() {
    shapes_change_while_capture_is_down(10, COLUMNS).await;
}

#[tokio::test]
async fn columns_change_while_capture_is_down_on_15() {
    shapes_change_while_capture_is_down(15, COLUMNS).await;
}

#[tokio::test]
async fn columns_change_while_capture_is_down_on_18() {
    shapes_change_while_capture_is_down(18, COLUMNS).await;
}

#[tokio::test]
async fn tables_change_their_names_mid_stream_on_10() {
    shapes_change_mid_stream(10, RENAMED).await;
}

#[tokio::test]
async fn tables_change_their_names_mid_stream_on_15() {
    shapes_change_mid_stream(15, RENAMED).await;
}

#[tokio::test]
async fn tables_change_their_names_mid_stream_on_18() {
    shapes_change_mid_stream(18, RENAMED).await;
}

#[tokio::test]
async fn tables_change_their_names_while_capture_is_down_on_10() {
    shapes_change_while_capture_is_down(10, RENAMED).await;
}

#[tokio::test]
async fn tables_change_their_names_while_capture_is_down_on_15() {
    shapes_change_while_capture_is_down(15, RENAMED).await;
}

#[tokio::test]
async fn tables_change_their_names_while_capture_is_down_on_18() {
    shapes_change_while_capture_is_down(18, RENAMED).await;
}

/// Writes a row before and after a schema gets another name, and after the table gets another shape.
async fn names_of_a_renamed_schema(version: u32) -> Vec<Option<String>> {
    let world = of_everything(version, TABLES).await;
    for statement in [
        "CREATE TABLE other.u (id int PRIMARY KEY)",
        "INSERT INTO other.u VALUES (1)",
        "ALTER SCHEMA other RENAME TO elsewhere",
        "INSERT INTO elsewhere.u VALUES (2)",
        "ALTER TABLE elsewhere.u ADD COLUMN a text",
        "INSERT INTO elsewhere.u VALUES (3)",
    ] {
        world.execute(statement).await;
    }
    let rows = world.rows().await;
    rows.into_iter().map(|row| row.schema).collect()
}

#[tokio::test]
async fn a_renamed_schema_is_told_at_once_on_18() {
    let names = names_of_a_renamed_schema(18).await;
    assert_eq!(
        names,
        ["other", "elsewhere", "elsewhere"].map(|name| Some(name.to_owned()))
    );
}

#[tokio::test]
async fn postgresql_15_may_tell_a_renamed_schema_as_late_as_the_next_shape_of_a_table() {
    let names = names_of_a_renamed_schema(15).await;
    let name = |name: &str| Some(name.to_owned());
    assert_eq!(names.len(), 3);
    assert_eq!(names[0], name("other"));
    assert!([name("other"), name("elsewhere")].contains(&names[1]));
    assert_eq!(names[2], name("elsewhere"));
}

#[tokio::test]
async fn shapes_change_within_one_transaction() {
    let world = of_everything(15, TABLES).await;
    let mut transaction = "BEGIN;".to_owned();
    for step in COLUMNS {
        // No rollback of its own within, and nothing that must be outside.
        if !step.change.contains("BEGIN") {
            transaction.push_str(step.change);
            transaction.push(';');
        }
        if step.row.contains("\"id\": 9") {
            break;
        }
        transaction.push_str(step.write);
        transaction.push(';');
    }
    transaction.push_str("COMMIT;");
    world.execute(&transaction).await;
    let steps = &COLUMNS[..11];
    fits(&world.told().await, steps);
}
