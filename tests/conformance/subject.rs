//! A source of one version, and a database beside it to replay into.

use rowcast_domain::TaskState;
use rowcast_e2e::{PATIENCE, Tracked};
use rowcast_proto::rest::{CheckOutcome, Precheck, Task};
use rowcast_proto::stream::source_object;
use rowcast_testkit::{Platform, Postgres, eventually};
use serde_json::Value;
use tokio_postgres::Client;

use crate::compare::assert_same_rows;

/// Servers: a fetched major version, or that of this machine, which has 15 on Debian 12.
pub(crate) const FETCHED: [Option<u32>; 7] = [
    None,
    Some(10),
    Some(12),
    Some(14),
    Some(16),
    Some(17),
    Some(18),
];

/// The output plugin by which capture reads: that of the slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plugin {
    PgOutput,
    TestDecoding,
}

/// A server of the version asked for, before anything is tracked.
pub(crate) struct Server {
    pub(crate) postgres: Postgres,
    pub(crate) version: u32,
}

impl Server {
    /// Starts it, with these settings besides the usual ones, and makes the database to replay into.
    pub(crate) async fn start(fetched: Option<u32>, settings: &[&str]) -> Self {
        let mut postgres = match fetched {
            Some(major) => Box::pin(Postgres::start_version(major)).await.unwrap(),
            None => Box::pin(Postgres::start()).await.unwrap(),
        };
        let admin = postgres.client("postgres").await.unwrap();
        admin.batch_execute("CREATE DATABASE mirror").await.unwrap();
        for setting in settings {
            let set = format!("ALTER SYSTEM SET {setting}");
            admin.batch_execute(&set).await.unwrap();
        }
        let version: i32 = admin
            .query_one("SELECT current_setting('server_version_num')::int", &[])
            .await
            .unwrap()
            .get(0);
        let version = u32::try_from(version).unwrap() / 10_000;
        if !settings.is_empty() {
            postgres.restart().await.unwrap();
        }
        Self { postgres, version }
    }
}

/// A source of one version, and a database beside it to replay into.
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) version: u32,
    pub(crate) plugin: Plugin,
    pub(crate) server: Postgres,
    pub(crate) shop: Tracked,
}

impl Subject {
    /// Makes the database `shop` with these tables, and its task; members of `definition` replace the
    /// task's.
    pub(crate) async fn create(
        server: Server,
        plugin: Plugin,
        platform: &Platform,
        schema: &str,
        definition: &Value,
    ) -> Self {
        let Server { postgres, version } = server;
        let admin = postgres.client("postgres").await.unwrap();
        let shop = Tracked::create_with(platform, &admin, postgres.port(), schema, definition)
            .await
            .unwrap();
        Self {
            name: format!("PostgreSQL {version} by {plugin:?}"),
            version,
            plugin,
            server: postgres,
            shop,
        }
    }

    /// Has a superuser do what the precheck asks for, so that schema changes are told.
    pub(crate) async fn tells_schema_changes(&self) {
        let report: Precheck = self.shop.command("precheck").await.unwrap();
        let mut items = report.items.into_iter();
        let item = items.find(|item| item.code == "schema_changes").unwrap();
        if item.outcome == CheckOutcome::Pass {
            return;
        }
        let (_advice, sql) = item.repair.split_once('\n').unwrap();
        let admin = self.server.client("shop").await.unwrap();
        admin.batch_execute(sql).await.unwrap();
    }

    /// Lets changes flow.
    pub(crate) async fn start(&self) {
        let Self { shop, plugin, .. } = self;
        shop.precheck().await.unwrap();
        shop.purchase().await.unwrap();
        if *plugin == Plugin::TestDecoding {
            // The precheck refuses such a slot on a server with pgoutput; the start takes it.
            let slot = source_object(&shop.task);
            let create =
                format!("SELECT pg_create_logical_replication_slot('{slot}', 'test_decoding')");
            shop.sql.query(&create, &[]).await.unwrap();
        }
        let _task: Task = shop.command("start").await.unwrap();
        shop.reaches(TaskState::Running).await;
        self.is_read_by_its_plugin().await;
    }

    async fn is_read_by_its_plugin(&self) {
        let plugin = match self.plugin {
            Plugin::PgOutput => "pgoutput",
            Plugin::TestDecoding => "test_decoding",
        };
        let read_by = self
            .one(
                "SELECT string_agg(plugin, ', ') FROM pg_replication_slots WHERE database = 'shop'",
            )
            .await;
        assert_eq!(read_by, plugin, "{}", self.name);
    }

    /// Waits until everything that was written is safe in the stream.
    pub(crate) async fn is_confirmed(&self) {
        let end = self.one("SELECT pg_current_wal_lsn()::text").await;
        let query = format!(
            "SELECT bool_and(confirmed_flush_lsn >= '{end}')::text FROM pg_replication_slots"
        );
        let what = format!("{} is told that everything is safe", self.name);
        eventually(&what, PATIENCE, async || self.one(&query).await == "true").await;
    }

    pub(crate) async fn one(&self, query: &str) -> String {
        self.shop.sql.query_one(query, &[]).await.unwrap().get(0)
    }

    /// That a query of one text column gives the same rows there and here. `run` says how to repeat it.
    pub(crate) async fn is_mirrored(&self, mirror: &Client, table: &str, query: &str, run: &str) {
        let source = texts(&self.shop.sql, query).await;
        let replayed = texts(mirror, query).await;
        assert_same_rows(
            &format!("{}, {run}, {table}", self.name),
            &source,
            &replayed,
        );
    }
}

/// The rows of a query of one text column.
pub(crate) async fn texts(client: &Client, query: &str) -> Vec<String> {
    let rows = client.query(query, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}
