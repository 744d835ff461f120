//! Statements that change many rows or other tables: the order inside the transaction.

use rowcast_proto::change::Operation;
use serde_json::json;

use crate::told::{DEBIAN, briefly};
use crate::world::World;

#[tokio::test]
async fn an_upsert_tells_what_it_did_to_each_row() {
    let world = World::streaming_shop(
        DEBIAN,
        "CREATE TABLE shop.stock (id int PRIMARY KEY, pieces int);
         INSERT INTO shop.stock VALUES (1, 10), (2, 20);",
    )
    .await;
    world
        .execute(
            "INSERT INTO shop.stock VALUES (3, 1), (1, 1), (2, 1)
                 ON CONFLICT (id) DO UPDATE SET pieces = stock.pieces + excluded.pieces
                 WHERE stock.id <> 2;
             INSERT INTO shop.stock VALUES (1, 99), (4, 4) ON CONFLICT DO NOTHING",
        )
        .await;
    assert_eq!(
        briefly(&world.rows().await),
        json!([
            ["insert", "stock", {"id": 3, "pieces": 1}],
            ["update", "stock", {"id": 1, "pieces": 11}],
            ["insert", "stock", {"id": 4, "pieces": 4}],
        ])
    );
}

#[tokio::test]
async fn a_merge_tells_each_of_its_actions() {
    let world = World::streaming_shop(
        DEBIAN,
        "CREATE TABLE shop.stock (id int PRIMARY KEY, pieces int);
         INSERT INTO shop.stock VALUES (1, 10), (2, 20), (3, 30);",
    )
    .await;
    world
        .execute(
            "MERGE INTO shop.stock AS s
             USING (VALUES (1, 1), (2, 0), (3, -1), (4, 4)) AS d (id, pieces) ON s.id = d.id
             WHEN MATCHED AND d.pieces = 0 THEN DELETE
             WHEN MATCHED AND d.pieces < 0 THEN DO NOTHING
             WHEN MATCHED THEN UPDATE SET pieces = s.pieces + d.pieces
             WHEN NOT MATCHED THEN INSERT VALUES (d.id, d.pieces)",
        )
        .await;
    let mut told = world.rows().await;
    assert!(told.iter().all(|change| change.lsn == told[0].lsn));
    // The plan decides about the order of the actions.
    told.sort_by_key(|change| change.key.as_ref().unwrap()["id"].as_i64());
    assert_eq!(
        briefly(&told),
        json!([
            ["update", "stock", {"id": 1, "pieces": 11}],
            ["delete", "stock", {"id": 2}],
            ["insert", "stock", {"id": 4, "pieces": 4}],
        ])
    );
}

#[tokio::test]
async fn an_update_from_another_table_tells_each_row_once() {
    let world = World::streaming_shop(
        DEBIAN,
        "CREATE TABLE shop.stock (id int PRIMARY KEY, pieces int);
         CREATE TABLE shop.sold (stock int, pieces int);
         ALTER TABLE shop.sold REPLICA IDENTITY FULL;
         INSERT INTO shop.stock SELECT n, 100 FROM generate_series(1, 3) n;",
    )
    .await;
    world
        .execute(
            "INSERT INTO shop.sold VALUES (1, 5), (1, 5), (3, 7);
             UPDATE shop.stock AS s SET pieces = s.pieces - d.pieces FROM shop.sold AS d WHERE d.stock = s.id;
             WITH gone AS (DELETE FROM shop.stock WHERE pieces = 100 RETURNING id)
                 INSERT INTO shop.stock SELECT id + 10, 0 FROM gone",
        )
        .await;
    let mut told = world.rows().await;
    assert!(told.iter().all(|change| change.lsn == told[0].lsn));
    // The plan decides which row is first.
    told[3..5].sort_by_key(|change| change.key.as_ref().unwrap()["id"].as_i64());
    assert_eq!(
        briefly(&told[3..]),
        json!([
            ["update", "stock", {"id": 1, "pieces": 95}],
            ["update", "stock", {"id": 3, "pieces": 93}],
            ["delete", "stock", {"id": 2}],
            ["insert", "stock", {"id": 12, "pieces": 0}],
        ])
    );
}

const AUDITED: &str = "CREATE TABLE shop.orders (id int PRIMARY KEY, status text);
    CREATE TABLE shop.audit (n int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what text);
    CREATE TABLE shop.totals (id int PRIMARY KEY, orders int);
    INSERT INTO shop.totals VALUES (1, 0);
    CREATE FUNCTION shop.before() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO shop.audit (what) VALUES ('before ' || NEW.id);
        NEW.status := upper(NEW.status);
        RETURN CASE WHEN NEW.id < 0 THEN NULL ELSE NEW END;
    END $$;
    CREATE FUNCTION shop.after() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO shop.audit (what) VALUES ('after ' || NEW.id);
        UPDATE shop.totals SET orders = orders + 1;
        RETURN NULL;
    END $$;
    CREATE FUNCTION shop.late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO shop.audit (what) VALUES ('late ' || NEW.id);
        RETURN NULL;
    END $$;
    CREATE TRIGGER one BEFORE INSERT ON shop.orders FOR EACH ROW EXECUTE PROCEDURE shop.before();
    CREATE TRIGGER two AFTER INSERT ON shop.orders FOR EACH ROW EXECUTE PROCEDURE shop.after();
    CREATE CONSTRAINT TRIGGER three AFTER INSERT ON shop.orders DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE PROCEDURE shop.late();";

#[tokio::test]
async fn what_triggers_write_stands_where_they_ran() {
    let world = World::streaming_shop(DEBIAN, AUDITED).await;
    world
        .execute("INSERT INTO shop.orders VALUES (7, 'new'), (-1, 'dropped by the trigger'); DELETE FROM shop.orders")
        .await;
    let told = world.rows().await;
    assert_eq!(
        briefly(&told),
        json!([
            ["insert", "audit", {"n": 1, "what": "before 7"}],
            ["insert", "orders", {"id": 7, "status": "NEW"}],
            ["insert", "audit", {"n": 2, "what": "before -1"}],
            ["insert", "audit", {"n": 3, "what": "after 7"}],
            ["update", "totals", {"id": 1, "orders": 1}],
            ["delete", "orders", {"id": 7}],
            ["insert", "audit", {"n": 4, "what": "late 7"}],
        ])
    );
    let ordinals: Vec<u64> = told.iter().map(|change| change.ordinal).collect();
    assert_eq!(ordinals, [1, 2, 3, 4, 5, 6, 7]);
}

#[tokio::test]
async fn what_a_foreign_key_does_follows_the_row_that_caused_it() {
    let world = World::streaming_shop(
        DEBIAN,
        "CREATE TABLE shop.customers (id int PRIMARY KEY);
         CREATE TABLE shop.orders (id int PRIMARY KEY,
             customer int REFERENCES shop.customers ON DELETE CASCADE ON UPDATE CASCADE);
         CREATE TABLE shop.lines (id int PRIMARY KEY, \"order\" int REFERENCES shop.orders ON DELETE CASCADE);
         CREATE TABLE shop.notes (id int PRIMARY KEY, customer int REFERENCES shop.customers ON DELETE SET NULL);
         INSERT INTO shop.customers VALUES (1), (2);
         INSERT INTO shop.orders VALUES (10, 1), (11, 1), (20, 2);
         INSERT INTO shop.lines VALUES (100, 10), (101, 10), (110, 11);
         INSERT INTO shop.notes VALUES (1000, 1);",
    )
    .await;
    world
        .execute("UPDATE shop.customers SET id = 3 WHERE id = 2; DELETE FROM shop.customers WHERE id = 1")
        .await;
    let told = world.rows().await;
    let place = |op: Operation, table: &str, id: i64| {
        let found = told.iter().position(|change| {
            change.op == op
                && change.table.as_deref() == Some(table)
                && change.key.as_ref().unwrap()["id"].as_i64() == Some(id)
        });
        found.unwrap_or_else(|| panic!("{op:?} {table} {id} in {:#}", briefly(&told)))
    };
    use Operation::{Delete, Update};
    assert_eq!(
        briefly(&told[..2]),
        json!([
            ["update", "customers", {"id": 3}],
            ["update", "orders", {"id": 20, "customer": 3}],
        ])
    );
    let customer = place(Delete, "customers", 1);
    assert_eq!(customer, 2);
    for (order, lines) in [(10, [100, 101].as_slice()), (11, &[110])] {
        let parent = place(Delete, "orders", order);
        assert!(customer < parent);
        for line in lines {
            assert!(parent < place(Delete, "lines", *line));
        }
    }
    let note = &told[place(Update, "notes", 1000)];
    assert_eq!(
        serde_json::to_value(&note.after).unwrap(),
        json!({"id": 1000, "customer": null})
    );
    assert_eq!(told.len(), 9);
}
