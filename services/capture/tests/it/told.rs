//! What a task was told, up to a mark that the test sets.

use async_nats::jetstream;
use rowcast_proto::change::{Change, Operation};
use rowcast_proto::message::{CaptureState, DesiredState};
use rowcast_proto::stream::task_stream;
use rowcast_testkit::{Postgres, Stored, eventually, read_stream, rows_in_order};
use serde_json::{Value, json};

use crate::world::{PATIENCE, World};

/// The schema `shop` with the table that marks are written to.
const MARKS: &str = "CREATE SCHEMA shop; CREATE TABLE shop.done (id int PRIMARY KEY);";

/// The major version that Debian has; the others were fetched.
pub(crate) const DEBIAN: u32 = 15;

/// A server of this major version.
pub(crate) async fn server(version: u32) -> Postgres {
    if version == DEBIAN {
        Box::pin(Postgres::start()).await.unwrap()
    } else {
        Box::pin(Postgres::start_version(version)).await.unwrap()
    }
}

impl World {
    /// A source of this version with the schema `shop`, which `tables` are made in; capture is not
    /// started.
    pub(crate) async fn shop(version: u32, tables: &str) -> Self {
        let postgres = server(version).await;
        Box::pin(Self::on(postgres, &format!("{MARKS}{tables}"))).await
    }

    /// As [`World::shop`], streaming.
    pub(crate) async fn streaming_shop(version: u32, tables: &str) -> Self {
        let mut world = Box::pin(Self::shop(version, tables)).await;
        world.run().await;
        world
    }

    /// Starts capture and waits until it streams.
    pub(crate) async fn run(&mut self) {
        self.start_capture();
        self.desire(DesiredState::Running).await;
        self.reaches(CaptureState::Running).await;
    }

    /// Runs statements on the source. As with psql, several are one transaction unless they say
    /// otherwise.
    pub(crate) async fn execute(&self, statements: &str) {
        if let Err(error) = self.sql.batch_execute(statements).await {
            panic!("{error:?}\n{statements}");
        }
    }

    /// Puts server settings in force.
    pub(crate) async fn set(&mut self, settings: &[&str]) {
        for setting in settings {
            self.execute(&format!("ALTER SYSTEM SET {setting}")).await;
        }
        self.postgres.restart().await.unwrap();
        self.sql = self.postgres.client("postgres").await.unwrap();
    }

    /// Everything that was told so far, in order, but for heartbeats and marks. Waits until a mark
    /// that is set now has arrived, so that what is missing is missing for good.
    pub(crate) async fn told(&self) -> Vec<Stored> {
        let mark = self
            .one("INSERT INTO shop.done SELECT COALESCE(max(id), 0) + 1 FROM shop.done RETURNING id::text")
            .await
            .parse::<i64>()
            .unwrap();
        let subject = format!("rowcast.change.{}.*.shop.done.insert", self.task);
        let context = jetstream::new(self.data.clone());
        let arrived = async || {
            let Ok(stream) = context.get_stream(task_stream(&self.task)).await else {
                return false;
            };
            let Ok(last) = stream.get_last_raw_message_by_subject(&subject).await else {
                return false;
            };
            let last: Change = serde_json::from_slice(&last.payload).unwrap();
            last.key.unwrap()["id"].as_i64() == Some(mark)
        };
        let limit = tokio::time::timeout(PATIENCE, async {
            while !arrived().await {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        });
        if limit.await.is_err() {
            panic!("mark {mark}: {:?}\n{}", self.status().await, self.log());
        }
        let mut stored = read_stream(&self.data, &self.task).await.unwrap();
        // It checks the order of all positions.
        let _rows = rows_in_order(&stored);
        stored.retain(|message| {
            message.change.op != Operation::Heartbeat
                && message.change.table.as_deref() != Some("done")
        });
        stored
    }

    /// The changes of rows that were told so far, in order.
    pub(crate) async fn rows(&self) -> Vec<Change> {
        rows(&self.told().await)
    }

    /// Everything of the schema belongs to a role that may replicate and nothing more, and capture
    /// logs in as that role.
    pub(crate) async fn without_superuser(&mut self) {
        let password = self.postgres.password().to_owned();
        self.execute(&format!(
            "CREATE ROLE tracker LOGIN REPLICATION PASSWORD '{password}';
             GRANT CREATE ON DATABASE postgres TO tracker;
             ALTER SCHEMA shop OWNER TO tracker;
             DO $$ DECLARE t regclass; BEGIN
                 FOR t IN SELECT oid FROM pg_class
                          WHERE relnamespace = 'shop'::regnamespace AND relkind IN ('r', 'p') LOOP
                     EXECUTE 'ALTER TABLE ' || t || ' OWNER TO tracker';
                 END LOOP;
             END $$"
        ))
        .await;
        self.wish.source.as_mut().unwrap().account = "tracker".to_owned();
    }

    /// Waits until the publication lists the table, or a table above it.
    pub(crate) async fn joins(&self, table: &str) {
        let (schema, name) = table.split_once('.').unwrap();
        let query = format!(
            "SELECT (count(*) > 0)::text FROM pg_publication_tables WHERE schemaname = '{schema}' AND tablename = '{name}'"
        );
        eventually("the table joins", PATIENCE, async || {
            self.one(&query).await == "true"
        })
        .await;
    }
}

/// The changes of rows.
pub(crate) fn rows(told: &[Stored]) -> Vec<Change> {
    rows_in_order(told).into_iter().cloned().collect()
}

/// A change in short: operation, table, and the row after it, or before it where there is none after.
pub(crate) fn brief(change: &Change) -> Value {
    let row = change.after.as_ref().or(change.before.as_ref());
    json!([change.op, change.table, row])
}

/// Changes in short.
pub(crate) fn briefly(changes: &[Change]) -> Value {
    changes.iter().map(brief).collect()
}

/// The numbers in this column, of inserts.
pub(crate) fn numbers(changes: &[Change], column: &str) -> Vec<i64> {
    changes
        .iter()
        .map(|change| {
            assert_eq!(change.op, Operation::Insert, "{change:?}");
            change.after.as_ref().unwrap()[column].as_i64().unwrap()
        })
        .collect()
}
