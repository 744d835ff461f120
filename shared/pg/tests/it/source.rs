//! A source of a certain version.

use rowcast_domain::Secret;
use rowcast_pg::{Client, ConnectOptions, Session, connect, settings};
use rowcast_testkit::Postgres;
use serde_json::Value;

use crate::server::options;

/// Versions that differ in what the tests look at: 14 sends logical messages, 17 has failover slots.
pub(crate) const MAJORS: [u32; 4] = [10, 14, 17, 18];

/// The superuser of a server.
pub(crate) fn superuser(postgres: &Postgres) -> ConnectOptions {
    ConnectOptions {
        password: Secret::new(postgres.password()),
        ..options(postgres.port())
    }
}

/// A server, and a superuser's session in its database `postgres`.
pub(crate) struct Source {
    pub(crate) postgres: Postgres,
    pub(crate) client: Session,
    pub(crate) version: u32,
}

impl Source {
    pub(crate) async fn start(major: u32) -> Self {
        let postgres = Postgres::start_version(major).await.unwrap();
        let client = connect(&superuser(&postgres)).await.unwrap();
        let version = settings::read(&client).await.unwrap().server_version;
        assert_eq!(version / 10_000, major);
        Self {
            postgres,
            client,
            version,
        }
    }

    /// A session of another role, which is made where it is missing.
    pub(crate) async fn client_of(&self, role: &str, options: &str) -> Client {
        let make = format!("CREATE ROLE {role} LOGIN PASSWORD 'pass-1' {options}");
        self.run(&make).await;
        let url = format!(
            "postgres://{role}:pass-1@127.0.0.1:{}/postgres",
            self.postgres.port()
        );
        rowcast_testkit::connect(&url).await.unwrap()
    }

    pub(crate) async fn run(&self, statements: &str) {
        self.client.batch_execute(statements).await.unwrap();
    }

    /// What the WAL says since the last call, as `test_decoding` prints it. The first makes the slot.
    pub(crate) async fn decoded(&self) -> Vec<String> {
        let query = "SELECT data
                     FROM pg_logical_slot_get_changes('reader', NULL, NULL,
                                                      'include-xids', '0')";
        let made = "SELECT pg_create_logical_replication_slot('reader', 'test_decoding')
                    WHERE NOT EXISTS (SELECT 1 FROM pg_replication_slots
                                      WHERE slot_name = 'reader')";
        self.client.query(made, &[]).await.unwrap();
        let rows = self.client.query(query, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// The events that the triggers wrote since the last call of this or of [`Source::decoded`].
    pub(crate) async fn events(&self) -> Vec<Value> {
        let lines = self.decoded().await;
        lines.iter().filter_map(|line| event(line)).collect()
    }

    /// The events in short: command, type and object, schema and table, flags.
    pub(crate) async fn told(&self) -> Vec<String> {
        self.events().await.iter().map(short).collect()
    }
}

/// The event in a line of [`Source::decoded`], if it is one.
pub(crate) fn event(line: &str) -> Option<Value> {
    let json = if let Some((_, content)) = line.split_once("prefix: rowcast.ddl, sz: ") {
        content.split_once("content:").unwrap().1.to_owned()
    } else {
        let row = line.strip_prefix("table rowcast.ddl_log: INSERT: ")?;
        let quoted = row.split_once("payload[text]:'").unwrap().1;
        quoted.strip_suffix('\'').unwrap().replace("''", "'")
    };
    Some(serde_json::from_str(&json).unwrap())
}

fn short(event: &Value) -> String {
    let text = |member: &str| event[member].as_str().unwrap_or("-").to_owned();
    let mut short = format!(
        "{}: {} {} ({} {})",
        text("command"),
        text("object_type"),
        text("object"),
        text("schema"),
        text("table")
    );
    for flag in ["dropped", "rewritten"] {
        if event[flag].as_bool().unwrap() {
            short.push(' ');
            short.push_str(flag);
        }
    }
    short
}
