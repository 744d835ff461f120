//! A source, a broker, and one task's wish.

use std::path::PathBuf;
use std::time::Duration;

use async_nats::jetstream::{self, kv};
use rowcast_domain::{Secret, TaskId};
use rowcast_local::{Child, Launch, Signal, port};
use rowcast_proto::change::{Change, Operation};
use rowcast_proto::message::{
    CaptureState, ChangeTypes, DesiredState, ObjectSelection, Retention, SchemaSelection,
    SealedSecret, SourceConnection, TaskSpec, TaskStatus,
};
use rowcast_proto::stream::{TASK_STATUS, TASKS, source_object};
use rowcast_service::keyring::{self, Keyring};
use rowcast_testkit::{
    Nats, NatsCluster, Postgres, Proxy, Stored, eventually, read_stream, stream_length,
};

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// One NATS server, or several.
pub(crate) trait Broker {
    const REPLICAS: usize;
    fn urls(&self) -> String;
    fn monitor_urls(&self) -> String;
    fn login(&self, user: &str) -> String;
    async fn connect(&self, user: &str) -> async_nats::Client;
}

impl Broker for Nats {
    const REPLICAS: usize = 1;

    fn urls(&self) -> String {
        self.url().to_owned()
    }

    fn monitor_urls(&self) -> String {
        self.monitor_url().to_owned()
    }

    fn login(&self, user: &str) -> String {
        self.password(user).to_owned()
    }

    async fn connect(&self, user: &str) -> async_nats::Client {
        self.client(user).await.unwrap()
    }
}

impl Broker for NatsCluster {
    const REPLICAS: usize = 3;

    fn urls(&self) -> String {
        self.urls()
    }

    fn monitor_urls(&self) -> String {
        self.monitor_urls()
    }

    fn login(&self, user: &str) -> String {
        self.password(user).to_owned()
    }

    async fn connect(&self, user: &str) -> async_nats::Client {
        self.client(user).await.unwrap()
    }
}

pub(crate) struct World<B = Nats> {
    pub(crate) postgres: Postgres,
    pub(crate) nats: B,
    /// Where capture is told that NATS is.
    pub(crate) nats_url: String,
    pub(crate) task: TaskId,
    pub(crate) sql: tokio_postgres::Client,
    pub(crate) data: async_nats::Client,
    wishes: kv::Store,
    statuses: kv::Store,
    pub(crate) wish: TaskSpec,
    capture: Option<Child>,
    /// Number of captures started; each has a log of its own.
    started: usize,
    folder: tempfile::TempDir,
}

impl World {
    /// Everything but capture itself. `schema` runs on the source first.
    pub(crate) async fn new(schema: &str) -> Self {
        let postgres = Box::pin(Postgres::start()).await.unwrap();
        Box::pin(Self::on(postgres, schema)).await
    }

    /// As [`World::new`], on this source.
    pub(crate) async fn on(postgres: Postgres, schema: &str) -> Self {
        let nats = Box::pin(Nats::start()).await.unwrap();
        Box::pin(Self::between(postgres, nats, schema)).await
    }

    /// As [`World::new`], with a broker that syncs no sooner than so long after it has acknowledged.
    pub(crate) async fn lazy(schema: &str, syncs_every: Duration) -> Self {
        let mut nats = Box::pin(Nats::start()).await.unwrap();
        let seconds = syncs_every.as_secs();
        let jetstream =
            format!("jetstream {{ store_dir: $ROWCAST_NATS_STORE, sync_interval: {seconds}s }}");
        nats.restart_with(&jetstream).await.unwrap();
        let postgres = Box::pin(Postgres::start()).await.unwrap();
        Box::pin(Self::between(postgres, nats, schema)).await
    }

    /// With capture running and the task streaming.
    pub(crate) async fn streaming(schema: &str) -> Self {
        let mut world = Box::pin(Self::new(schema)).await;
        world.begin().await;
        world
    }
}

impl<B: Broker> World<B> {
    /// Everything but capture itself, between this source and this broker.
    pub(crate) async fn between(postgres: Postgres, nats: B, schema: &str) -> Self {
        rowcast_testkit::init_tracing();
        let sql = postgres.client("postgres").await.unwrap();
        sql.batch_execute(schema).await.unwrap();
        let task: TaskId = "t00000000001a".parse().unwrap();
        let control = jetstream::new(nats.connect("task-api").await);
        let bucket = async |name: &str, storage| {
            let config = kv::Config {
                bucket: name.to_owned(),
                history: 1,
                storage,
                num_replicas: B::REPLICAS,
                ..Default::default()
            };
            control.create_key_value(config).await.unwrap()
        };
        let wishes = bucket(TASKS.name, jetstream::stream::StorageType::File).await;
        let statuses = bucket(TASK_STATUS.name, jetstream::stream::StorageType::File).await;
        let wish = TaskSpec {
            task_id: task.to_string(),
            generation: 0,
            source: Some(source(&postgres)),
            objects: Some(ObjectSelection {
                all: false,
                schemas: vec![SchemaSelection {
                    name: "shop".to_owned(),
                    all: true,
                    ..SchemaSelection::default()
                }],
                ..ObjectSelection::default()
            }),
            change_types: Some(ChangeTypes {
                data: ["insert", "update", "delete", "truncate"]
                    .map(str::to_owned)
                    .to_vec(),
                schema: false,
            }),
            retry_minutes: 10,
            retention: Some(Retention {
                age_seconds: 86_400,
                bytes: 0,
            }),
            partitions: 16,
            name: "shop".to_owned(),
            ..TaskSpec::default()
        };
        let data = nats.connect("capture-data").await;
        let folder = tempfile::tempdir().unwrap();
        Self {
            postgres,
            nats_url: nats.urls(),
            nats,
            task,
            sql,
            data,
            wishes,
            statuses,
            wish,
            capture: None,
            started: 0,
            folder,
        }
    }

    /// Starts capture and the task, and waits until it streams.
    pub(crate) async fn begin(&mut self) {
        self.start_capture();
        self.desire(DesiredState::Running).await;
        self.reaches(CaptureState::Running).await;
    }

    pub(crate) fn start_capture(&mut self) {
        let secret = |name: &str, text: &str| {
            let path = self.folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.into_os_string()
        };
        let admin = port::free().unwrap();
        let environment = vec![
            (
                "ROWCAST_ADMIN_LISTEN".to_owned(),
                format!("127.0.0.1:{admin}").into(),
            ),
            ("ROWCAST_LOG_FORMAT".to_owned(), "text".into()),
            ("ROWCAST_NATS_URL".to_owned(), self.nats_url.clone().into()),
            (
                "ROWCAST_NATS_REPLICAS".to_owned(),
                B::REPLICAS.to_string().into(),
            ),
            (
                "ROWCAST_NATS_MONITOR_URL".to_owned(),
                self.nats.monitor_urls().into(),
            ),
            (
                "ROWCAST_NATS_PASSWORD_FILE".to_owned(),
                secret("control", &self.nats.login("capture")),
            ),
            (
                "ROWCAST_DATA_NATS_PASSWORD_FILE".to_owned(),
                secret("data", &self.nats.login("capture-data")),
            ),
            ("ROWCAST_SECRET_KEY_FILE".to_owned(), secret("key", KEY)),
        ];
        self.started += 1;
        let launch = Launch {
            name: "capture".to_owned(),
            program: PathBuf::from(env!("CARGO_BIN_EXE_capture")),
            arguments: Vec::new(),
            environment,
            log: self.log_path(self.started),
            echo: false,
            stop: Signal::Terminate,
            abort: Signal::Kill,
        };
        self.capture = Some(Child::spawn(launch).unwrap());
    }

    pub(crate) async fn kill_capture(&mut self) {
        self.capture.take().unwrap().kill().await.unwrap();
    }

    /// Stops capture, and waits until its slots are free: a walsender ends a little later.
    pub(crate) async fn stop_capture(&mut self) {
        self.capture
            .take()
            .unwrap()
            .stop(Duration::from_secs(20))
            .await
            .unwrap();
        eventually("the slot is given back", PATIENCE, async || {
            let query = "SELECT count(*)::text FROM pg_replication_slots WHERE active";
            self.one(query).await == "0"
        })
        .await;
    }

    pub(crate) fn take_capture(&mut self) -> Child {
        self.capture.take().unwrap()
    }

    /// Sends capture a signal, as `STOP`.
    pub(crate) fn signal_capture(&self, signal: &str) {
        let id = self.capture.as_ref().and_then(Child::id).unwrap();
        let kill = std::process::Command::new("kill")
            .args(["-s", signal, &id.to_string()])
            .status();
        assert!(kill.unwrap().success());
    }

    /// Most memory that capture has had, in MB (`proc(5)`, `VmHWM`).
    pub(crate) fn peak_memory(&self) -> u64 {
        let id = self.capture.as_ref().and_then(Child::id).unwrap();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        let kilobytes = line.unwrap().split_whitespace().nth(1).unwrap();
        kilobytes.parse::<u64>().unwrap() / 1024
    }

    /// What all captures have written.
    pub(crate) fn log(&self) -> String {
        (1..=self.started).map(|nth| self.log_of(nth)).collect()
    }

    /// What the capture has written that was started as the `nth`.
    pub(crate) fn log_of(&self, nth: usize) -> String {
        std::fs::read_to_string(self.log_path(nth)).unwrap_or_default()
    }

    fn log_path(&self, nth: usize) -> PathBuf {
        self.folder.path().join(format!("capture-{nth}.log"))
    }

    /// Lets capture reach its source through this link. Before the first wish.
    pub(crate) fn reach_source_through(&mut self, link: &Proxy) {
        self.wish.source.as_mut().unwrap().port = u32::from(link.port());
    }

    /// Sets a setting of the source that a reload takes over.
    pub(crate) async fn set_on_source(&self, setting: &str, value: &str) {
        let set = format!("ALTER SYSTEM SET {setting} = '{value}'");
        self.sql.batch_execute(&set).await.unwrap();
        self.one("SELECT pg_reload_conf()::text").await;
    }

    /// Waits until the stream has so many messages more.
    pub(crate) async fn grows_by(&self, more: u64) {
        let length = stream_length(&self.data, &self.task).await.unwrap();
        self.grows_to(length + more).await;
    }

    /// Waits until the stream has so many messages.
    pub(crate) async fn grows_to(&self, length: u64) {
        let long_enough =
            async || stream_length(&self.data, &self.task).await.unwrap_or(0) >= length;
        let limit = tokio::time::timeout(PATIENCE, async {
            while !long_enough().await {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        if limit.await.is_err() {
            let length = stream_length(&self.data, &self.task).await;
            panic!(
                "{length:?} messages; {:?}\n{}",
                self.status().await,
                self.log()
            );
        }
    }

    /// Writes the next version of the wish.
    pub(crate) async fn desire(&mut self, state: DesiredState) {
        self.wish.generation += 1;
        self.wish.set_desired(state);
        let value = serde_json::to_vec(&self.wish).unwrap();
        self.wishes
            .put(self.task.as_str(), value.into())
            .await
            .unwrap();
    }

    pub(crate) async fn status(&self) -> Option<TaskStatus> {
        let value = self.statuses.get(self.task.as_str()).await.ok()??;
        serde_json::from_slice(&value).ok()
    }

    /// Whether objects, kinds of changes and policy of the present wish are those by which rows are told.
    pub(crate) async fn is_in_force(&self) -> bool {
        let status = self.status().await;
        status.is_some_and(|status| {
            status.generation == self.wish.generation && !status.objects_since.is_empty()
        })
    }

    /// Waits until the present version of the wish is in this state.
    pub(crate) async fn reaches(&self, state: CaptureState) -> TaskStatus {
        let reached = async || {
            self.status().await.is_some_and(|status| {
                status.generation == self.wish.generation && status.state() == state
            })
        };
        let limit = tokio::time::timeout(PATIENCE, async {
            while !reached().await {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        if limit.await.is_err() {
            panic!(
                "not {state:?} but {:?}\n{}",
                self.status().await,
                self.log()
            );
        }
        self.status().await.unwrap()
    }

    /// The stream without its heartbeats, which come in between where a test takes long; once it holds
    /// `length` other messages.
    pub(crate) async fn stream(&self, length: u64) -> Vec<Stored> {
        let mut heartbeats = 0;
        loop {
            self.grows_to(length + heartbeats).await;
            let mut stored = read_stream(&self.data, &self.task).await.unwrap();
            let all = stored.len();
            stored.retain(|message| message.change.op != Operation::Heartbeat);
            if stored.len() as u64 >= length {
                return stored;
            }
            heartbeats = (all - stored.len()) as u64;
        }
    }

    /// Waits until PostgreSQL was told that everything up to now is safe.
    pub(crate) async fn everything_is_confirmed(&self) {
        let target: String = self.one("SELECT pg_current_wal_lsn()::text").await;
        eventually("the slot moves on", PATIENCE, async || {
            let query = format!(
                "SELECT (confirmed_flush_lsn >= '{target}')::text FROM pg_replication_slots WHERE slot_name = '{}'",
                source_object(&self.task)
            );
            self.one(&query).await == "true"
        })
        .await;
    }

    pub(crate) async fn one(&self, query: &str) -> String {
        self.sql.query_one(query, &[]).await.unwrap().get(0)
    }
}

fn source(postgres: &Postgres) -> SourceConnection {
    let source_id = "s00000000001a".to_owned();
    let keyring = Keyring::from_secret(&Secret::new(KEY)).unwrap();
    let sealed = keyring
        .seal(
            &Secret::new(postgres.password()),
            &keyring::source_password(&source_id),
        )
        .unwrap();
    SourceConnection {
        source_id,
        host: "127.0.0.1".to_owned(),
        port: u32::from(postgres.port()),
        database: "postgres".to_owned(),
        account: "postgres".to_owned(),
        password: Some(SealedSecret {
            key_id: sealed.key_id,
            nonce: sealed.nonce,
            ciphertext: sealed.ciphertext,
        }),
        sslmode: "disable".to_owned(),
        ..SourceConnection::default()
    }
}

/// Everything but shapes and heartbeats, in the stream's order.
pub(crate) fn told(stored: &[Stored]) -> Vec<&Change> {
    let changes = stored.iter().map(|message| &message.change);
    changes
        .filter(|change| !matches!(change.op, Operation::Schema | Operation::Heartbeat))
        .collect()
}
