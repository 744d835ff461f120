//! Partitioned tables come under one name; inheritance is something else.

use rowcast_proto::change::{Change, Operation};
use rowcast_proto::message::{ObjectSelection, SchemaSelection};
use rowcast_testkit::eventually;
use serde_json::{Value, json};

use crate::told::briefly;
use crate::world::{PATIENCE, World};

/// First version with an index of a whole partitioned table.
const INDEXED_SINCE: u32 = 11;

/// A partitioned table of two levels, with the same key everywhere.
fn log(version: u32) -> String {
    let tables = "CREATE TABLE shop.log (id int NOT NULL, day int NOT NULL, note text) PARTITION BY RANGE (day);
        CREATE TABLE shop.log_1 PARTITION OF shop.log FOR VALUES FROM (0) TO (10);
        CREATE TABLE shop.log_2 PARTITION OF shop.log FOR VALUES FROM (10) TO (20) PARTITION BY LIST (id);
        CREATE TABLE shop.log_2a PARTITION OF shop.log_2 FOR VALUES IN (1, 2, 3);
        CREATE TABLE shop.log_2b PARTITION OF shop.log_2 FOR VALUES IN (4, 5, 6);";
    let keyed: &[&str] = if version < INDEXED_SINCE {
        &["log_1", "log_2a", "log_2b"]
    } else {
        &["log"]
    };
    let keys = keyed
        .iter()
        .map(|table| format!("ALTER TABLE shop.{table} ADD PRIMARY KEY (id, day);"));
    format!("{tables}{}", keys.collect::<String>())
}

/// These tables of `shop`, and the one of the marks.
fn named(tables: &[&str]) -> ObjectSelection {
    let schema = SchemaSelection {
        name: "shop".to_owned(),
        tables: tables
            .iter()
            .chain(&["done"])
            .map(|&table| table.to_owned())
            .collect(),
        ..SchemaSelection::default()
    };
    ObjectSelection {
        schemas: vec![schema],
        ..ObjectSelection::default()
    }
}

/// Whole schemas.
fn whole(schemas: &[&str]) -> ObjectSelection {
    let schemas = schemas.iter().map(|&name| SchemaSelection {
        name: name.to_owned(),
        all: true,
        ..SchemaSelection::default()
    });
    ObjectSelection {
        schemas: schemas.collect(),
        ..ObjectSelection::default()
    }
}

async fn tracking(version: u32, tables: &str, objects: ObjectSelection) -> World {
    let mut world = World::shop(version, tables).await;
    world.wish.objects = Some(objects);
    world.run().await;
    world
}

/// Operation and table of each change.
fn places(changes: &[Change]) -> Vec<(Operation, &str)> {
    changes
        .iter()
        .map(|change| (change.op, change.table.as_deref().unwrap()))
        .collect()
}

const WRITES: &str = "INSERT INTO shop.log VALUES (1, 1), (1, 11), (4, 11);
    INSERT INTO shop.log_1 VALUES (2, 2);
    INSERT INTO shop.log_2b VALUES (5, 12);
    UPDATE shop.log SET note = 'x' WHERE day = 1;
    UPDATE shop.log_2 SET note = 'x' WHERE id = 4;
    DELETE FROM shop.log_2a;
    DELETE FROM shop.log_1 WHERE id = 2;";

fn written(table: &str) -> Value {
    json!([
        ["insert", table, {"id": 1, "day": 1, "note": null}],
        ["insert", table, {"id": 1, "day": 11, "note": null}],
        ["insert", table, {"id": 4, "day": 11, "note": null}],
        ["insert", table, {"id": 2, "day": 2, "note": null}],
        ["insert", table, {"id": 5, "day": 12, "note": null}],
        ["update", table, {"id": 1, "day": 1, "note": "x"}],
        ["update", table, {"id": 4, "day": 11, "note": "x"}],
        ["delete", table, {"id": 1, "day": 11}],
        ["delete", table, {"id": 2, "day": 2}],
    ])
}

async fn changes_of_leaves_come_under_the_root(
    version: u32,
    objects: ObjectSelection,
    superuser: bool,
) {
    let mut world = World::shop(version, &log(version)).await;
    world.wish.objects = Some(objects);
    if !superuser {
        world.without_superuser().await;
    }
    world.run().await;
    world.execute(WRITES).await;
    let told = world.rows().await;
    assert_eq!(briefly(&told), written("log"));
    assert!(told.iter().all(|change| change.key.is_some()));
}

#[tokio::test]
async fn changes_of_leaves_come_under_the_root_on_10() {
    changes_of_leaves_come_under_the_root(10, whole(&["shop"]), true).await;
}

#[tokio::test]
async fn changes_of_leaves_come_under_the_root_on_12_without_superuser() {
    changes_of_leaves_come_under_the_root(12, whole(&["shop"]), false).await;
}

#[tokio::test]
async fn changes_of_leaves_come_under_the_root_on_12_where_it_is_named() {
    changes_of_leaves_come_under_the_root(12, named(&["log"]), true).await;
}

#[tokio::test]
async fn changes_of_leaves_come_under_the_root_on_15() {
    changes_of_leaves_come_under_the_root(15, whole(&["shop"]), true).await;
}

#[tokio::test]
async fn changes_of_leaves_come_under_the_root_on_15_where_it_and_a_leaf_are_named() {
    changes_of_leaves_come_under_the_root(15, named(&["log", "log_1"]), false).await;
}

#[tokio::test]
async fn changes_of_leaves_come_under_the_root_on_18_without_superuser() {
    changes_of_leaves_come_under_the_root(18, whole(&["shop"]), false).await;
}

#[tokio::test]
async fn changes_of_leaves_come_under_the_root_on_18_where_it_is_named() {
    changes_of_leaves_come_under_the_root(18, named(&["log"]), true).await;
}

async fn a_leaf_alone_keeps_its_name(version: u32) {
    let world = tracking(version, &log(version), named(&["log_1"])).await;
    world.execute(WRITES).await;
    assert_eq!(
        briefly(&world.rows().await),
        json!([
            ["insert", "log_1", {"id": 1, "day": 1, "note": null}],
            ["insert", "log_1", {"id": 2, "day": 2, "note": null}],
            ["update", "log_1", {"id": 1, "day": 1, "note": "x"}],
            ["delete", "log_1", {"id": 2, "day": 2}],
        ])
    );
}

#[tokio::test]
async fn a_leaf_alone_keeps_its_name_on_10() {
    a_leaf_alone_keeps_its_name(10).await;
}

#[tokio::test]
async fn a_leaf_alone_keeps_its_name_on_12() {
    a_leaf_alone_keeps_its_name(12).await;
}

#[tokio::test]
async fn a_leaf_alone_keeps_its_name_on_15() {
    a_leaf_alone_keeps_its_name(15).await;
}

#[tokio::test]
async fn a_leaf_alone_keeps_its_name_on_18() {
    a_leaf_alone_keeps_its_name(18).await;
}

impl World {
    /// Attaches or detaches, and waits until the decoder knows: on 13 and 14 it asks again only once the
    /// publication is altered.
    async fn changes_roots(&self, version: u32, change: &str) {
        let publication = "SELECT string_agg(xmin::text, ',') FROM pg_publication";
        let before = self.one(publication).await;
        self.execute(change).await;
        if version == 13 || version == 14 {
            eventually("the publication is altered", PATIENCE, async || {
                self.one(publication).await != before
            })
            .await;
        }
    }
}

/// A partition is created, one is attached with rows in it, one is detached. Only the root is tracked.
async fn partitions_come_and_go(version: u32) {
    let world = tracking(version, &log(version), named(&["log"])).await;
    let key = |table: &str| {
        if version < INDEXED_SINCE {
            format!("ALTER TABLE shop.{table} ADD PRIMARY KEY (id, day);")
        } else {
            String::new()
        }
    };
    world
        .execute(&format!(
            "CREATE TABLE shop.log_3 PARTITION OF shop.log FOR VALUES FROM (20) TO (30); {}
             CREATE TABLE shop.log_4 (id int NOT NULL, day int NOT NULL, note text, PRIMARY KEY (id, day));
             INSERT INTO shop.log_4 VALUES (1, 30, 'before it was attached');",
            key("log_3")
        ))
        .await;
    // What a partition was is known to the decoder once it has read rows of it.
    world.told().await;
    world
        .changes_roots(
            version,
            "ALTER TABLE shop.log ATTACH PARTITION shop.log_4 FOR VALUES FROM (30) TO (40)",
        )
        .await;
    if version < 13 {
        world.joins("shop.log_3").await;
        world.joins("shop.log_4").await;
    }
    world
        .execute("INSERT INTO shop.log VALUES (1, 20), (2, 31), (3, 3)")
        .await;
    world
        .execute("UPDATE shop.log SET note = 'attached' WHERE day = 30")
        .await;
    // Before 13 a row has the name that is right when it is read: capture looks for the root itself.
    world.told().await;
    world
        .changes_roots(version, "ALTER TABLE shop.log DETACH PARTITION shop.log_1")
        .await;
    world
        .execute("INSERT INTO shop.log_1 VALUES (4, 4); INSERT INTO shop.log VALUES (5, 21)")
        .await;
    let told = world.rows().await;
    let row = |id: i32, day: i32| json!(["insert", "log", {"id": id, "day": day, "note": null}]);
    let mut expected = vec![
        row(1, 20),
        row(2, 31),
        row(3, 3),
        json!(["update", "log", {"id": 1, "day": 30, "note": "attached"}]),
        row(5, 21),
    ];
    if version < 13 {
        // It is listed itself, for there its root cannot be, and was taken as part of the root.
        expected.insert(
            4,
            json!(["insert", "log_1", {"id": 4, "day": 4, "note": null}]),
        );
    }
    assert_eq!(briefly(&told), json!(expected));
}

#[tokio::test]
async fn partitions_come_and_go_on_10() {
    partitions_come_and_go(10).await;
}

#[tokio::test]
async fn partitions_come_and_go_on_12() {
    partitions_come_and_go(12).await;
}

#[tokio::test]
async fn partitions_come_and_go_on_14() {
    partitions_come_and_go(14).await;
}

#[tokio::test]
async fn partitions_come_and_go_on_15() {
    partitions_come_and_go(15).await;
}

#[tokio::test]
async fn partitions_come_and_go_on_18() {
    partitions_come_and_go(18).await;
}

/// As above where the whole schema is tracked: what is detached, or not attached yet, has a name.
async fn a_detached_partition_goes_on_under_its_own_name(version: u32, superuser: bool) {
    let mut world = World::shop(version, &log(version)).await;
    if !superuser {
        world.without_superuser().await;
    }
    world.run().await;
    world.execute("INSERT INTO shop.log VALUES (1, 1)").await;
    // Before 13 a row has the name that is right when it is read: capture looks for the root itself.
    world.told().await;
    world
        .execute("ALTER TABLE shop.log DETACH PARTITION shop.log_1")
        .await;
    world.joins("shop.log_1").await;
    world.execute("INSERT INTO shop.log_1 VALUES (2, 2)").await;
    world.told().await;
    world
        .changes_roots(
            version,
            "ALTER TABLE shop.log ATTACH PARTITION shop.log_1 FOR VALUES FROM (0) TO (10)",
        )
        .await;
    world.execute("INSERT INTO shop.log_1 VALUES (3, 3)").await;
    let told = world.rows().await;
    use Operation::Insert;
    assert_eq!(
        places(&told),
        [(Insert, "log"), (Insert, "log_1"), (Insert, "log")]
    );
}

#[tokio::test]
async fn a_detached_partition_goes_on_under_its_own_name_on_12() {
    a_detached_partition_goes_on_under_its_own_name(12, true).await;
}

#[tokio::test]
async fn a_detached_partition_goes_on_under_its_own_name_on_14() {
    a_detached_partition_goes_on_under_its_own_name(14, true).await;
}

#[tokio::test]
async fn a_detached_partition_goes_on_under_its_own_name_on_14_without_superuser() {
    a_detached_partition_goes_on_under_its_own_name(14, false).await;
}

#[tokio::test]
async fn a_detached_partition_goes_on_under_its_own_name_on_15() {
    a_detached_partition_goes_on_under_its_own_name(15, true).await;
}

#[tokio::test]
async fn a_detached_partition_goes_on_under_its_own_name_on_18_without_superuser() {
    a_detached_partition_goes_on_under_its_own_name(18, false).await;
}

async fn a_row_that_moves_is_deleted_and_inserted(version: u32) {
    let world = tracking(version, &log(version), whole(&["shop"])).await;
    world
        .execute(
            "INSERT INTO shop.log VALUES (1, 1, 'x'); UPDATE shop.log SET day = 11; UPDATE shop.log SET id = 4",
        )
        .await;
    assert_eq!(
        briefly(&world.rows().await),
        json!([
            ["insert", "log", {"id": 1, "day": 1, "note": "x"}],
            ["delete", "log", {"id": 1, "day": 1}],
            ["insert", "log", {"id": 1, "day": 11, "note": "x"}],
            ["delete", "log", {"id": 1, "day": 11}],
            ["insert", "log", {"id": 4, "day": 11, "note": "x"}],
        ])
    );
}

#[tokio::test]
async fn a_row_that_moves_to_another_partition_is_deleted_and_inserted_on_12() {
    a_row_that_moves_is_deleted_and_inserted(12).await;
}

#[tokio::test]
async fn a_row_that_moves_to_another_partition_is_deleted_and_inserted_on_15() {
    a_row_that_moves_is_deleted_and_inserted(15).await;
}

#[tokio::test]
async fn a_row_that_moves_to_another_partition_is_deleted_and_inserted_on_18() {
    a_row_that_moves_is_deleted_and_inserted(18).await;
}

const ELSEWHERE: &str = "CREATE SCHEMA parts;
    CREATE TABLE shop.log (id int, day int, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
    CREATE TABLE parts.log_1 PARTITION OF shop.log FOR VALUES FROM (0) TO (10);";

async fn names_where_partitions_are_elsewhere(
    version: u32,
    objects: ObjectSelection,
) -> Vec<String> {
    let world = tracking(version, ELSEWHERE, objects).await;
    world
        .execute("INSERT INTO shop.log VALUES (1, 1); INSERT INTO parts.log_1 VALUES (2, 2)")
        .await;
    let told = world.rows().await;
    let name = |change: &Change| {
        let (schema, table) = (change.schema.as_ref(), change.table.as_ref());
        format!("{}.{}", schema.unwrap(), table.unwrap())
    };
    told.iter().map(name).collect()
}

#[tokio::test]
async fn partitions_in_another_schema_come_under_a_tracked_root() {
    for version in [12, 15, 18] {
        let names = names_where_partitions_are_elsewhere(version, whole(&["shop"])).await;
        assert_eq!(names, ["shop.log", "shop.log"], "on {version}");
    }
}

#[tokio::test]
async fn partitions_in_a_tracked_schema_keep_their_names_where_the_root_is_not_tracked() {
    let mut objects = whole(&["parts"]);
    objects.schemas.extend(named(&[]).schemas);
    for version in [12, 15, 18] {
        let names = names_where_partitions_are_elsewhere(version, objects.clone()).await;
        assert_eq!(names, ["parts.log_1", "parts.log_1"], "on {version}");
    }
}

async fn children_by_inheritance_keep_their_names(version: u32) {
    let world = tracking(
        version,
        "CREATE TABLE shop.parent (id int PRIMARY KEY);
         CREATE TABLE shop.child (note text, PRIMARY KEY (id)) INHERITS (shop.parent);",
        whole(&["shop"]),
    )
    .await;
    world
        .execute("INSERT INTO shop.parent VALUES (1); INSERT INTO shop.child VALUES (2, 'x'); UPDATE shop.parent SET id = id + 10")
        .await;
    assert_eq!(
        briefly(&world.rows().await),
        json!([
            ["insert", "parent", {"id": 1}],
            ["insert", "child", {"id": 2, "note": "x"}],
            ["update", "parent", {"id": 11}],
            ["update", "child", {"id": 12, "note": "x"}],
        ])
    );
}

#[tokio::test]
async fn children_by_inheritance_keep_their_names_on_10() {
    children_by_inheritance_keep_their_names(10).await;
}

#[tokio::test]
async fn children_by_inheritance_keep_their_names_on_18() {
    children_by_inheritance_keep_their_names(18).await;
}
