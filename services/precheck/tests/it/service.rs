//! The running service, and a source to ask it about.

use std::process::Stdio;
use std::time::Duration;

use futures::StreamExt as _;
use rowcast_bus::request::{self, AskError};
use rowcast_bus::{Bus, BusConfig, Replicas, provision};
use rowcast_domain::Secret;
use rowcast_proto::message::{
    BrowseRequest, ChangeTypes, CheckOutcome, CheckResult, ObjectPage, ObjectSelection,
    PrecheckProgress, PrecheckReport, PrecheckRequest, SchemaSelection, SealedSecret,
    SourceConnection, SourceTest, TestSourceRequest,
};
use rowcast_proto::rpc::{BrowseSource, RunPrecheck, TestSource};
use rowcast_proto::stream::PRECHECKS;
use rowcast_service::keyring::Keyring;
use rowcast_testkit::{Nats, NatsCluster, Postgres, eventually};
use tokio::process::{Child, Command};

pub(crate) const TASK: &str = "t000000000000";
const SOURCE: &str = "s000000000000";
const TIMEOUT: Duration = Duration::from_secs(20);

pub(crate) struct Service {
    pub(crate) postgres: Postgres,
    bus: Bus,
    keyring: Keyring,
    _process: Child,
    /// The broker, where it is the service's own.
    nats: Option<Nats>,
}

/// How a broker is reached.
struct Broker {
    urls: String,
    monitors: String,
    password: String,
    password_of_asker: String,
    replicas: Replicas,
}

impl Service {
    pub(crate) async fn start() -> Self {
        Self::beside(Postgres::start().await.unwrap()).await
    }

    /// With a source of this major version.
    pub(crate) async fn start_version(major: u32) -> Self {
        Self::beside(Postgres::start_version(major).await.unwrap()).await
    }

    pub(crate) async fn beside(postgres: Postgres) -> Self {
        let nats = Nats::start().await.unwrap();
        let broker = Broker {
            urls: nats.url().to_owned(),
            monitors: nats.monitor_url().to_owned(),
            password: nats.password("precheck").to_owned(),
            password_of_asker: nats.password("task-api").to_owned(),
            replicas: Replicas::One,
        };
        let mut service = Self::reached_by(&broker, postgres).await;
        service.nats = Some(nats);
        service
    }

    /// With a broker of several servers, which the test keeps.
    pub(crate) async fn on_cluster(
        postgres: Postgres,
        cluster: &NatsCluster,
        replicas: Replicas,
    ) -> Self {
        let broker = Broker {
            urls: cluster.urls(),
            monitors: cluster.monitor_urls(),
            password: cluster.password("precheck").to_owned(),
            password_of_asker: cluster.password("task-api").to_owned(),
            replicas,
        };
        Self::reached_by(&broker, postgres).await
    }

    async fn reached_by(broker: &Broker, postgres: Postgres) -> Self {
        let key = "ab".repeat(32);
        let process = Command::new(env!("CARGO_BIN_EXE_precheck"))
            .env("ROWCAST_ADMIN_LISTEN", "127.0.0.1:0")
            .env("ROWCAST_NATS_URL", &broker.urls)
            .env("ROWCAST_NATS_PASSWORD", &broker.password)
            .env("ROWCAST_NATS_MONITOR_URL", &broker.monitors)
            .env("ROWCAST_NATS_REPLICAS", broker.replicas.count().to_string())
            .env("ROWCAST_SECRET_KEY", &key)
            .stdout(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let config = BusConfig {
            url: broker.urls.clone(),
            user: "task-api".to_owned(),
            password: Secret::new(broker.password_of_asker.clone()),
            name: "test".to_owned(),
            replicas: broker.replicas,
        };
        let service = Self {
            postgres,
            bus: Bus::connect(&config).await.unwrap(),
            keyring: Keyring::from_secret(&Secret::new(key)).unwrap(),
            _process: process,
            nats: None,
        };
        service.answers().await;
        service
    }

    /// Ends the process; its source goes on.
    pub(crate) fn end(self) -> Postgres {
        let Self { postgres, .. } = self;
        postgres
    }

    async fn answers(&self) {
        eventually("precheck answers", TIMEOUT, async || {
            !matches!(
                self.ask(PrecheckRequest::default()).await,
                Err(AskError::Unavailable(_))
            )
        })
        .await;
    }

    /// Starts the broker anew, with configuration that takes the place of what `nats.conf` says.
    pub(crate) async fn restart_nats(&mut self, overrides: &str) {
        let nats = self.nats.as_mut().unwrap();
        nats.restart_with(overrides).await.unwrap();
        self.answers().await;
    }

    /// Runs statements as superuser.
    pub(crate) async fn sql(&self, statements: &str) {
        let client = self.postgres.client("postgres").await.unwrap();
        client.batch_execute(statements).await.unwrap();
    }

    /// The source, as superuser.
    pub(crate) fn superuser(&self) -> SourceConnection {
        self.login("postgres", self.postgres.password())
    }

    /// The source, as another role.
    pub(crate) fn login(&self, account: &str, password: &str) -> SourceConnection {
        let aad = format!("source-password/{SOURCE}");
        let sealed = self.keyring.seal(&Secret::new(password), &aad).unwrap();
        SourceConnection {
            source_id: SOURCE.to_owned(),
            host: "127.0.0.1".to_owned(),
            port: self.postgres.port().into(),
            database: "postgres".to_owned(),
            account: account.to_owned(),
            password: Some(SealedSecret {
                key_id: sealed.key_id,
                nonce: sealed.nonce,
                ciphertext: sealed.ciphertext,
            }),
            sslmode: "disable".to_owned(),
            ..SourceConnection::default()
        }
    }

    pub(crate) async fn ask(&self, request: PrecheckRequest) -> Result<PrecheckReport, AskError> {
        request::ask::<RunPrecheck>(&self.bus, &request, TIMEOUT).await
    }

    /// The report, and what was told on the way.
    pub(crate) async fn watched(
        &self,
        request: PrecheckRequest,
    ) -> (PrecheckReport, Vec<PrecheckProgress>) {
        let store = provision::bucket(&self.bus, &PRECHECKS).await.unwrap();
        let mut watch = store.watch(TASK).await.unwrap();
        let told = async {
            let mut told: Vec<PrecheckProgress> = Vec::new();
            while told.last().is_none_or(|last| last.finished_at.is_none()) {
                let entry = watch.next().await.unwrap().unwrap();
                told.push(serde_json::from_slice(&entry.value).unwrap());
            }
            told
        };
        let (report, told) = tokio::join!(self.ask(request), told);
        (report.unwrap(), told)
    }

    /// How far the way to a source leads.
    pub(crate) async fn test(&self, source: SourceConnection) -> SourceTest {
        let request = TestSourceRequest {
            source: Some(source),
            ..TestSourceRequest::default()
        };
        request::ask::<TestSource>(&self.bus, &request, TIMEOUT)
            .await
            .unwrap()
    }

    /// A page of what a source has.
    pub(crate) async fn browse(&self, request: BrowseRequest) -> Result<ObjectPage, AskError> {
        request::ask::<BrowseSource>(&self.bus, &request, TIMEOUT).await
    }

    /// The report on tables of the schema `public`.
    pub(crate) async fn report(&self, source: SourceConnection, tables: &[&str]) -> PrecheckReport {
        self.ask(question(source, named(tables))).await.unwrap()
    }
}

/// All data changes of these objects.
pub(crate) fn question(source: SourceConnection, objects: ObjectSelection) -> PrecheckRequest {
    let data = ["insert", "update", "delete", "truncate"];
    PrecheckRequest {
        task_id: TASK.to_owned(),
        source: Some(source),
        objects: Some(objects),
        change_types: Some(ChangeTypes {
            data: data.map(str::to_owned).to_vec(),
            schema: false,
        }),
        ..PrecheckRequest::default()
    }
}

/// These tables of the schema `public`.
pub(crate) fn named(tables: &[&str]) -> ObjectSelection {
    ObjectSelection {
        all: false,
        schemas: vec![SchemaSelection {
            name: "public".to_owned(),
            all: false,
            tables: tables.iter().map(|&table| table.to_owned()).collect(),
            ..SchemaSelection::default()
        }],
        ..ObjectSelection::default()
    }
}

/// Tables of the schema `public` by patterns.
pub(crate) fn by_pattern(patterns: &[&str]) -> ObjectSelection {
    let mut objects = named(&[]);
    objects.schemas[0].patterns = patterns.iter().map(|&text| text.to_owned()).collect();
    objects
}

/// The result of one check.
#[track_caller]
pub(crate) fn item<'a>(report: &'a PrecheckReport, code: &str) -> &'a CheckResult {
    report.items.iter().find(|item| item.code == code).unwrap()
}

/// The checks that ended so.
pub(crate) fn codes(report: &PrecheckReport, outcome: CheckOutcome) -> Vec<&str> {
    let items = report.items.iter().filter(|item| item.outcome() == outcome);
    items.map(|item| item.code.as_str()).collect()
}
