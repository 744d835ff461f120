//! Sources that are wrong in one way each, as a user sees it by commands and over HTTP: each gives its item and no other, and
//! what the item's repair says word for word makes the next precheck pass. All the other ways are gone through by the tests
//! of the precheck itself.

use std::collections::BTreeMap;
use std::time::Duration;

use rowcast_e2e::{Api, Shell};
use rowcast_proto::rest::{CheckItem, CheckOutcome, Precheck, Task};
use rowcast_testkit::{Blackhole, Platform, Postgres, Repair, eventually};
use serde_json::json;

const PASSWORD: &str = "Grey-goose-19";

/// The server reads its files a moment after it is told to.
const SOON: Duration = Duration::from_secs(30);

/// What is wrong, and how it is repaired.
struct Way {
    wrong: &'static [&'static str],
    restarts: bool,
    code: &'static str,
    /// Which of the repair's choices is taken.
    choice: usize,
}

const WAYS: [Way; 13] = [
    Way {
        wrong: &["ALTER SYSTEM SET wal_level = replica"],
        restarts: true,
        code: "wal_level",
        choice: 0,
    },
    Way {
        wrong: &["ALTER TABLE orders DROP CONSTRAINT orders_pkey"],
        restarts: false,
        code: "keys",
        choice: 0,
    },
    Way {
        wrong: &["ALTER TABLE orders SET UNLOGGED"],
        restarts: false,
        code: "objects",
        choice: 1,
    },
    Way {
        wrong: &["ALTER ROLE tracker PASSWORD 'another'"],
        restarts: false,
        code: "connectivity",
        choice: 1,
    },
    Way {
        wrong: &["ALTER ROLE tracker NOLOGIN"],
        restarts: false,
        code: "connectivity",
        choice: 0,
    },
    Way {
        wrong: &["ALTER ROLE tracker NOREPLICATION"],
        restarts: false,
        code: "privileges",
        choice: 0,
    },
    Way {
        wrong: &["REVOKE CREATE ON DATABASE postgres FROM tracker"],
        restarts: false,
        code: "privileges",
        choice: 0,
    },
    Way {
        wrong: &["ALTER TABLE orders ADD COLUMN twice numeric GENERATED ALWAYS AS (id * 2) STORED"],
        restarts: false,
        code: "generated_columns",
        choice: 1,
    },
    Way {
        wrong: &["BEGIN; SELECT pg_catalog.txid_current(); PREPARE TRANSACTION 'forgotten'"],
        restarts: false,
        code: "prepared_transactions",
        choice: 0,
    },
    Way {
        wrong: &[
            "ALTER SYSTEM SET wal_sender_timeout = 0",
            "SELECT pg_reload_conf()",
        ],
        restarts: false,
        code: "sender_timeout",
        choice: 0,
    },
    Way {
        wrong: &[
            "ALTER SYSTEM SET max_slot_wal_keep_size = -1",
            "SELECT pg_reload_conf()",
        ],
        restarts: false,
        code: "wal_keep",
        choice: 0,
    },
    Way {
        wrong: &["SELECT pg_create_logical_replication_slot('rowcast_t000000000003', 'pgoutput')"],
        restarts: false,
        code: "leftovers",
        choice: 0,
    },
    Way {
        wrong: &[
            "SELECT pg_create_logical_replication_slot('others', 'pgoutput')",
            "ALTER SYSTEM SET max_replication_slots = 1",
        ],
        restarts: true,
        code: "replication_slots",
        choice: 0,
    },
];

struct World {
    postgres: Postgres,
    shell: Shell,
    api: Api,
    task: Task,
    _platform: Platform,
}

impl World {
    async fn start() -> Self {
        // Without it each source is told that its WAL is kept without limit.
        let settings = [
            ("max_slot_wal_keep_size", "2GB"),
            ("max_prepared_transactions", "4"),
        ];
        let settings: BTreeMap<String, String> = settings
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let postgres = Postgres::start_alterable(None, settings).await.unwrap();
        let sql = postgres.client("postgres").await.unwrap();
        sql.batch_execute(&format!(
            "CREATE ROLE tracker LOGIN REPLICATION PASSWORD '{PASSWORD}';
             GRANT CREATE ON DATABASE postgres TO tracker;
             GRANT pg_read_all_stats TO tracker;
             CREATE TABLE orders (id int PRIMARY KEY);
             ALTER TABLE orders OWNER TO tracker"
        ))
        .await
        .unwrap();
        let platform = Box::pin(Platform::start(Default::default())).await.unwrap();
        let shell = Shell::of(&platform).unwrap();
        shell.write("tracker.pw", PASSWORD).unwrap();
        let port = postgres.port();
        let create = format!(
            "source create shop --host 127.0.0.1 --port {port} --database postgres --account tracker \
             --password-file tracker.pw --sslmode disable"
        );
        shell.prints(&create).await.unwrap();
        let task: Task = shell
            .json("task create orders --source shop --table public.orders")
            .await
            .unwrap();
        Self {
            api: Api::new(&platform.api_url, platform.admin_token.expose()).unwrap(),
            postgres,
            shell,
            task,
            _platform: platform,
        }
    }

    async fn sql(&self, statement: &str) {
        let sql = self.postgres.client("postgres").await.unwrap();
        sql.batch_execute(statement).await.unwrap();
    }

    /// What the command tells, which is what HTTP tells; with the codes of what has not passed, leaving out what could not
    /// be looked at.
    async fn prechecked(&self) -> (Precheck, Vec<String>) {
        let output = self
            .shell
            .run("task precheck orders -o json")
            .await
            .unwrap();
        let report: Precheck = serde_json::from_slice(&output.stdout).unwrap();
        let path = format!("/tasks/{}/precheck", self.task.id);
        let told: Precheck = self.api.get(&path).await.unwrap();
        assert_eq!(told.items, report.items);
        assert_eq!(output.status.success(), report.passed, "{output:?}");
        let wrong = report
            .items
            .iter()
            .filter(|item| matches!(item.outcome, CheckOutcome::Fail | CheckOutcome::Alert));
        let codes = wrong.map(|item| item.code.clone()).collect();
        (report, codes)
    }

    /// The only item that the precheck gives.
    async fn gives(&self, code: &str) -> CheckItem {
        eventually(&format!("{code} is told alone"), SOON, async || {
            self.prechecked().await.1 == [code]
        })
        .await;
        let (report, _codes) = self.prechecked().await;
        let found = report.items.into_iter().find(|item| item.code == code);
        found.unwrap()
    }

    /// Does what the repair says, and what it says of the source by a command.
    async fn repair(&mut self, item: &CheckItem, choice: usize) {
        let repair = Repair::choices(&item.repair, PASSWORD).swap_remove(choice);
        assert!(repair.says_something(), "{item:?}");
        repair.apply(&mut self.postgres).await.unwrap();
        for (field, value) in &repair.fields {
            let line = format!("source update shop --{field} {value}");
            self.shell.prints(&line).await.unwrap();
        }
    }

    /// What is asked for over HTTP finds nothing any more.
    async fn is_right(&self) {
        let path = format!("/tasks/{}/precheck", self.task.id);
        eventually("the source is right", SOON, async || {
            let report: Precheck = self.api.post(&path, &json!({})).await.unwrap();
            report.passed && report.success_percent == 100
        })
        .await;
    }
}

#[tokio::test]
async fn each_wrong_source_gives_its_item_and_a_repair_that_holds() {
    let mut world = Box::pin(World::start()).await;
    world.is_right().await;
    for way in WAYS {
        for statement in way.wrong {
            world.sql(statement).await;
        }
        if way.restarts {
            world.postgres.restart().await.unwrap();
        }
        let item = world.gives(way.code).await;
        world.repair(&item, way.choice).await;
        world.is_right().await;
    }
}

#[tokio::test]
async fn a_source_behind_tls_or_a_firewall_says_so() {
    let mut world = Box::pin(World::start()).await;
    world.postgres.switch_tls_on().await.unwrap();
    let only_tls = "hostssl all tracker 127.0.0.1/32 scram-sha-256";
    world.postgres.admit_only(only_tls).await.unwrap();
    let item = world.gives("connectivity").await;
    assert!(item.saw.starts_with("tls_required: "), "{item:?}");
    world.repair(&item, 1).await;
    world.is_right().await;

    let firewall = Blackhole::dig().await.unwrap();
    let behind = format!(
        "source update shop --port {} --password-file tracker.pw",
        firewall.port()
    );
    world.shell.prints(&behind).await.unwrap();
    let (report, codes) = world.prechecked().await;
    assert_eq!(codes, ["connectivity"], "{report:?}");
    let item = &report.items[0];
    assert!(item.saw.starts_with("timeout: "), "{item:?}");
    assert!(
        item.repair.contains(&firewall.port().to_string()),
        "{item:?}"
    );
    let _through = firewall.open(world.postgres.port()).unwrap();
    world.is_right().await;
}
