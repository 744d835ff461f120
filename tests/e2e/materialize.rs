//! The example that keeps a copy of a table, killed again and again.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rowcast_e2e::{Copy, PATIENCE, Shop};
use rowcast_testkit::eventually;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_killed_at_any_moment_has_every_change_once() {
    let seed: u64 = rand::random();
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let shop = Box::pin(Shop::open(Default::default())).await.unwrap();
    shop.sql.batch_execute(TABLE).await.unwrap();
    Box::pin(shop.run()).await.unwrap();
    let group = shop.group("copy").await.unwrap();
    let schema = format!("CREATE SCHEMA shop; {TABLE}; {COUNTED}");
    let copy = Box::pin(Copy::of(&shop, &group, &schema)).await.unwrap();

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
