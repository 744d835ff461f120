//! Sources that are wrong in one way each. Each gives its item and no other, and what the item's repair says word for word
//! makes the next run as good as the first one was.

use std::collections::BTreeMap;
use std::time::Duration;

use rowcast_proto::message::{
    CheckOutcome, CheckResult, PrecheckReport, PrecheckRequest, SourceConnection,
};
use rowcast_testkit::{Postgres, Repair, eventually};

use crate::service::{Service, named, question};

mod settings;
mod activity;
mod tables;
mod account;
mod login;
mod network;
mod standby;
mod broker;

/// The server reads its files a moment after it is told to.
const SOON: Duration = Duration::from_secs(15);

/// The password of the account that the source is reached with.
const PASSWORD: &str = "right";

/// A source that is right, until a test makes it wrong.
pub(crate) struct World {
    pub(crate) service: Service,
    pub(crate) source: SourceConnection,
    pub(crate) request: PrecheckRequest,
    /// What a right source gives.
    usual: Vec<Item>,
}

/// Code and outcome of a check that did not pass.
type Item = (String, CheckOutcome);

impl World {
    /// A server of this major version, this machine's where none is given, with the table `orders`. Its account is
    /// `tracker`, which owns the table and is no superuser.
    pub(crate) async fn start(major: Option<u32>) -> Self {
        rowcast_testkit::init_tracing();
        // Without it each source is told that its WAL is kept without limit.
        let settings = [
            ("max_slot_wal_keep_size", "2GB"),
            ("max_prepared_transactions", "4"),
        ];
        let settings: BTreeMap<String, String> = settings
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let postgres = Postgres::start_alterable(major, settings).await.unwrap();
        let service = Service::beside(postgres).await;
        service
            .sql(&format!(
                "CREATE ROLE tracker LOGIN REPLICATION PASSWORD '{PASSWORD}';
                 GRANT CREATE ON DATABASE postgres TO tracker;
                 GRANT pg_read_all_stats TO tracker;
                 CREATE TABLE orders (id int PRIMARY KEY);
                 ALTER TABLE orders OWNER TO tracker"
            ))
            .await;
        let source = service.login("tracker", PASSWORD);
        let mut world = Self {
            request: question(source.clone(), named(&["orders"])),
            service,
            source,
            usual: Vec::new(),
        };
        let report = world.report().await;
        assert!(report.passed, "{report:?}");
        world.usual = unpassed(&report);
        world
    }

    pub(crate) async fn sql(&self, statements: &str) {
        self.service.sql(statements).await;
    }

    /// Statements one by one, for those that bear no transaction.
    pub(crate) async fn each(&self, statements: &[&str]) {
        for statement in statements {
            self.sql(statement).await;
        }
    }

    pub(crate) async fn restart(&mut self) {
        self.service.postgres.restart().await.unwrap();
    }

    pub(crate) async fn report(&self) -> PrecheckReport {
        let request = PrecheckRequest {
            source: Some(self.source.clone()),
            ..self.request.clone()
        };
        self.service.ask(request).await.unwrap()
    }

    /// What a run gives beside what a right source gives.
    async fn found(&self) -> (PrecheckReport, Vec<Item>) {
        let report = self.report().await;
        let mut found = unpassed(&report);
        found.retain(|item| !self.usual.contains(item));
        (report, found)
    }

    /// The item that is given beside what a right source gives, with this outcome; all others pass.
    pub(crate) async fn gives(&self, code: &str, outcome: CheckOutcome) -> CheckResult {
        self.gives_with(code, outcome, &[]).await
    }

    /// As [`World::gives`]; these follow from it.
    pub(crate) async fn gives_with(
        &self,
        code: &str,
        outcome: CheckOutcome,
        following: &[(&str, CheckOutcome)],
    ) -> CheckResult {
        let mut wanted: Vec<Item> = following
            .iter()
            .map(|(code, outcome)| ((*code).to_owned(), *outcome))
            .collect();
        wanted.push((code.to_owned(), outcome));
        let sorted = |mut items: Vec<Item>| {
            items.sort_by(|a, b| a.0.cmp(&b.0));
            items
        };
        let wanted = sorted(wanted);
        // A server reads its files a moment after it is told to.
        eventually(&format!("{code} is told alone"), SOON, async || {
            let (report, found) = self.found().await;
            let found = sorted(found);
            if found != wanted {
                tracing::debug!(?found, ?report, "not yet");
            }
            found == wanted
        })
        .await;
        let (report, _) = self.found().await;
        assert_eq!(report.passed, outcome != CheckOutcome::Fail, "{report:?}");
        let item = report.items.into_iter().find(|item| item.code == code);
        let item = item.unwrap();
        assert!(!item.cause.is_empty(), "{item:?}");
        item
    }

    /// The source cannot be reached, so that nothing else can be looked at; the step of its test that fails says the
    /// same.
    pub(crate) async fn is_not_reached(&self, name: &str, step: &str) -> CheckResult {
        let begin = format!("{name}: ");
        eventually(&format!("{name} is told"), SOON, async || {
            let report = self.report().await;
            report.items[0].saw.starts_with(&begin)
        })
        .await;
        let report = self.report().await;
        let (reached, others) = report.items.split_first().unwrap();
        assert_eq!(reached.code, "connectivity");
        assert_eq!(reached.outcome(), CheckOutcome::Fail, "{reached:?}");
        assert!(reached.saw.starts_with(&begin), "{reached:?}");
        for item in others {
            let expected = if item.code.starts_with("jetstream_") {
                CheckOutcome::Pass
            } else {
                CheckOutcome::Skipped
            };
            assert_eq!(item.outcome(), expected, "{item:?}");
        }
        let walk = self.service.test(self.source.clone()).await;
        let failed: Vec<_> = walk
            .steps
            .iter()
            .filter(|step| step.outcome() == CheckOutcome::Fail)
            .collect();
        assert_eq!(failed.len(), 1, "{walk:?}");
        assert_eq!(failed[0].code, step, "{walk:?}");
        assert!(failed[0].saw.starts_with(&begin), "{walk:?}");
        assert!(failed[0].repair.ends_with(&reached.repair), "{walk:?}");
        reached.clone()
    }

    /// Does what the first of the repair's choices says, word for word.
    pub(crate) async fn repair(&mut self, item: &CheckResult) {
        self.repair_by(item, 0).await;
    }

    /// Does what this one of the repair's choices says, word for word.
    pub(crate) async fn repair_by(&mut self, item: &CheckResult, choice: usize) {
        let repair = Repair::choices(&item.repair, PASSWORD).swap_remove(choice);
        assert!(repair.says_something(), "{item:?}");
        repair.apply(&mut self.service.postgres).await.unwrap();
        for (field, value) in &repair.fields {
            match field.as_str() {
                "sslmode" => self.source.sslmode.clone_from(value),
                "host" => self.source.host.clone_from(value),
                "port" => self.source.port = value.parse().unwrap(),
                other => panic!("{other} is no field of a source"),
            }
        }
    }

    /// A run is as good as the first one was.
    pub(crate) async fn is_right(&self) {
        eventually("the source is right again", SOON, async || {
            let (report, found) = self.found().await;
            if !found.is_empty() {
                tracing::debug!(?found, ?report, "not yet");
            }
            report.passed && found.is_empty()
        })
        .await;
    }

    /// Leaves these lines alone in `pg_hba.conf`, and one for the superuser.
    pub(crate) async fn admit_only(&self, lines: &str) {
        self.service.postgres.admit_only(lines).await.unwrap();
    }
}

fn unpassed(report: &PrecheckReport) -> Vec<Item> {
    report
        .items
        .iter()
        .filter(|item| item.outcome() != CheckOutcome::Pass)
        .map(|item| (item.code.clone(), item.outcome()))
        .collect()
}
