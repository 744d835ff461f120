//! A running API and those who talk to it.

use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, StatusCode};
use rowcast_bus::async_nats::jetstream::kv;
use rowcast_bus::{Bus, BusConfig, Replicas, provision};
use rowcast_domain::{Secret, TaskId};
use rowcast_proto::message::{CaptureState, TaskSpec, TaskStateChanged, TaskStatus};
use rowcast_proto::stream::{EVENTS, TASK_STATUS, TASKS};
use rowcast_testkit::{Nats, Postgres, eventually};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::process::{Child, Command};

pub(crate) const LIMIT: Duration = Duration::from_secs(30);

pub(crate) const TOKEN: &str = "token-of-the-test";

pub(crate) struct Api {
    client: reqwest::Client,
    url: String,
    database_url: String,
    settings: &'static [(&'static str, &'static str)],
    pub(crate) nats: Nats,
    /// The service's own tables.
    pub(crate) pool: PgPool,
    /// A connection as capture.
    pub(crate) bus: Bus,
    process: Child,
    // Last, so that the server outlives what is connected to it.
    _postgres: Postgres,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) content_type: String,
    pub(crate) replayed: bool,
    pub(crate) etag: String,
    pub(crate) text: String,
    pub(crate) body: Value,
}

impl Api {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With these settings too.
    pub(crate) async fn start_with(settings: &'static [(&'static str, &'static str)]) -> Self {
        if let Err(_installed) = rustls::crypto::ring::default_provider().install_default() {
            // By another test of the same process.
        }
        let postgres = Postgres::start().await.unwrap();
        let nats = Nats::start().await.unwrap();
        let database_url = postgres.service_database("task_api").await.unwrap();
        let pool = PgPool::connect(&database_url).await.unwrap();
        let bus = Bus::connect(&BusConfig {
            url: nats.url().to_owned(),
            user: "capture".to_owned(),
            password: Secret::new(nats.password("capture")),
            name: "test".to_owned(),
            replicas: Replicas::One,
        })
        .await
        .unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let api = Self {
            client: reqwest::Client::new(),
            url: format!("http://127.0.0.1:{port}"),
            process: spawn(&nats, &database_url, port, settings),
            settings,
            database_url,
            nats,
            pool,
            bus,
            _postgres: postgres,
        };
        api.answers().await;
        api
    }

    async fn answers(&self) {
        let document = format!("{}/api/v1/openapi.json", self.url);
        eventually("the API answers", LIMIT, async || {
            self.client.get(&document).send().await.is_ok()
        })
        .await;
    }

    /// Ends the process without a warning, and starts it again.
    pub(crate) async fn crash_and_restart(&mut self) {
        self.process.kill().await.unwrap();
        let port = self.url.rsplit(':').next().unwrap().parse().unwrap();
        self.process = spawn(&self.nats, &self.database_url, port, self.settings);
        self.answers().await;
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}/api/v1{path}", self.url)
    }

    /// What stands at this path of the server, read without a token.
    pub(crate) async fn page(&self, path: &str) -> reqwest::Response {
        let request = self.client.get(format!("{}{path}", self.url));
        request.send().await.unwrap()
    }

    /// A request without a token.
    pub(crate) fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path))
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.anonymous(method, path).bearer_auth(TOKEN)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    /// A POST without a body.
    pub(crate) async fn command(&self, path: &str) -> Answer {
        send(self.request(Method::POST, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::POST, path).json(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::PATCH, path).json(body)).await
    }

    pub(crate) async fn created_source(&self) -> String {
        let answer = self.post("/sources", &source()).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        answer.body["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn created_task(&self) -> TaskId {
        let source = self.created_source().await;
        let answer = self.post("/tasks", &task(&source)).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        answer.body["id"].as_str().unwrap().parse().unwrap()
    }

    /// A task that was asked to run, with its wish on the bus.
    pub(crate) async fn starting_task(&self) -> TaskId {
        let task = self.created_task().await;
        sqlx::query(
            "UPDATE task_api.tasks SET state = 'starting', desired = 'running', generation = 1
             WHERE id = $1",
        )
        .bind(task.as_str())
        .execute(&self.pool)
        .await
        .unwrap();
        self.wish(&task, 1).await;
        task
    }

    pub(crate) async fn state(&self, task: &TaskId) -> String {
        let answer = self.get(&format!("/tasks/{task}")).await;
        answer.body["state"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn reaches(&self, task: &TaskId, state: &str) {
        let what = format!("the task is {state}");
        eventually(&what, LIMIT, async || self.state(task).await == state).await;
    }

    /// The wish, once it is of this version.
    pub(crate) async fn wish(&self, task: &TaskId, generation: u64) -> TaskSpec {
        let store = provision::bucket(&self.bus, &TASKS).await.unwrap();
        eventually("the wish is written", LIMIT, async || {
            read_wish(&store, task)
                .await
                .is_some_and(|wish| wish.generation == generation)
        })
        .await;
        read_wish(&store, task).await.unwrap()
    }

    /// Reports as capture does.
    pub(crate) async fn report(&self, status: TaskStatus) {
        let store = provision::bucket(&self.bus, &TASK_STATUS).await.unwrap();
        let value = serde_json::to_vec(&status).unwrap();
        store.put(status.task_id, value.into()).await.unwrap();
    }

    /// Everything the others were told, once nothing is left to tell.
    pub(crate) async fn told(&self) -> Vec<TaskStateChanged> {
        eventually("the outbox is empty", LIMIT, async || {
            let left = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM task_api.outbox")
                .fetch_one(&self.pool)
                .await;
            matches!(left, Ok(0))
        })
        .await;
        let stream = self.bus.jetstream().get_stream(EVENTS.name).await.unwrap();
        let mut told = Vec::new();
        for sequence in 1..=stream.cached_info().state.last_sequence {
            let message = stream.get_raw_message(sequence).await.unwrap();
            told.push(serde_json::from_slice(&message.payload).unwrap());
        }
        told
    }
}

fn spawn(nats: &Nats, database_url: &str, port: u16, settings: &[(&str, &str)]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_task-api"))
        .env("ROWCAST_ADMIN_LISTEN", "127.0.0.1:0")
        .env("ROWCAST_HTTP_LISTEN", format!("127.0.0.1:{port}"))
        .env("ROWCAST_LOG_FORMAT", "text")
        .env("ROWCAST_ADMIN_TOKEN", TOKEN)
        .env("ROWCAST_SECRET_KEY", "ab".repeat(32))
        .env("ROWCAST_NATS_URL", nats.url())
        .env("ROWCAST_NATS_PASSWORD", nats.password("task-api"))
        .env("ROWCAST_DATABASE_URL", database_url)
        .envs(settings.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

async fn read_wish(store: &kv::Store, task: &TaskId) -> Option<TaskSpec> {
    let value = store.get(task.as_str()).await.unwrap()?;
    Some(serde_json::from_slice(&value).unwrap())
}

pub(crate) async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let header = |name: &str| {
        let value = response.headers().get(name);
        value
            .map(|value| value.to_str().unwrap().to_owned())
            .unwrap_or_default()
    };
    let (content_type, replayed, etag) = (
        header("content-type"),
        !header("idempotency-replayed").is_empty(),
        header("etag"),
    );
    let status = response.status();
    let text = response.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or_default();
    Answer {
        status,
        content_type,
        replayed,
        etag,
        text,
        body,
    }
}

impl Answer {
    /// Asserts that this is a problem of this kind.
    #[track_caller]
    pub(crate) fn is_problem(&self, status: StatusCode, code: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.content_type, "application/problem+json", "{self:?}");
        assert_eq!(self.body["status"], status.as_u16(), "{self:?}");
        assert_eq!(self.body["code"], code, "{self:?}");
        assert_eq!(
            self.body["type"],
            format!("urn:rowcast:problem:{code}"),
            "{self:?}"
        );
        for member in ["title", "detail", "repair"] {
            assert!(self.body[member].is_string(), "{member}: {self:?}");
        }
    }
}

/// A good source.
pub(crate) fn source() -> Value {
    json!({
        "name": "shop", "host": "db.example.com", "database": "shop",
        "account": "rowcast", "password": "correct horse", "sslmode": "require"
    })
}

/// A good task.
pub(crate) fn task(source: &str) -> Value {
    json!({"name": "orders", "source_id": source, "objects": {"all": true}})
}

/// What capture says of a version of a task's wish.
pub(crate) fn status(task: &TaskId, generation: u64, state: CaptureState) -> TaskStatus {
    TaskStatus {
        task_id: task.to_string(),
        generation,
        state: state.into(),
        updated_at: Some(chrono::Utc::now().into()),
        ..TaskStatus::default()
    }
}
