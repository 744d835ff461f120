//! A database whose changes are tracked, on its way from "create" to "running".

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use async_nats::jetstream;
use async_nats::jetstream::consumer::PullConsumer;
use rowcast_client::{GroupCredentials, GroupDelivery, GroupMode, Subscription};
use rowcast_domain::{Secret, TaskId, TaskState};
use rowcast_proto::rest::{
    self, GroupConnection, Precheck, Source, Task, TaskTransition, TaskTransitionList,
};
use rowcast_testkit::{Platform, PlatformOptions, eventually};
use serde_json::{Value, json};

use crate::PATIENCE;
use crate::api::Api;

/// Tables with the types that most shops have.
const SCHEMA: &str = include_str!("../fixtures/shop.sql");

/// The password of the shop's owner.
pub const PASSWORD: &str = "Shop-demo-1";

/// The password of every group.
const GROUP_PASSWORD: &str = "Blue-horse-7";

/// A database and the task that tracks it.
pub struct Tracked {
    /// The platform's API.
    pub api: Api,
    /// The owner's connection to the database.
    pub sql: tokio_postgres::Client,
    /// The task that tracks it.
    pub task: TaskId,
}

/// A platform, and a shop in its own PostgreSQL. Does what [`Tracked`] does.
pub struct Shop {
    /// The running platform.
    pub platform: Platform,
    /// The shop.
    pub tracked: Tracked,
}

impl std::ops::Deref for Shop {
    type Target = Tracked;

    fn deref(&self) -> &Tracked {
        &self.tracked
    }
}

/// A consumer group and its password.
#[derive(Debug, Clone)]
pub struct Group {
    /// What a client needs to know.
    pub connection: GroupConnection,
    /// Its password.
    pub password: &'static str,
}

impl Group {
    /// What the Rust SDK takes.
    #[must_use]
    pub fn credentials(&self) -> GroupCredentials {
        GroupCredentials::new(self.connection.clone(), Secret::new(self.password))
    }

    /// Writes the two files that programs of the SDK take: the connection's, and the password's.
    ///
    /// # Errors
    /// Where they cannot be written.
    pub fn write_to(&self, folder: &Path) -> anyhow::Result<[PathBuf; 2]> {
        let files = ["connection.json", "password.txt"].map(|name| folder.join(name));
        let [connection, password] = &files;
        std::fs::write(connection, serde_json::to_vec(&self.connection)?)?;
        std::fs::write(password, self.password)?;
        Ok(files)
    }

    /// Joins the group by the Rust SDK.
    ///
    /// # Errors
    /// Where the login is refused.
    pub async fn subscribe(&self) -> Result<Subscription, rowcast_client::Error> {
        Subscription::connect(self.credentials()).await
    }

    /// The group's one consumer, as a client finds it that knows nothing of Rowcast.
    ///
    /// # Errors
    /// Where the login is refused, or the group has one consumer a partition.
    pub async fn stock_consumer(&self) -> anyhow::Result<PullConsumer> {
        let (login, password) = (self.connection.login.clone(), self.password.to_owned());
        let client = async_nats::ConnectOptions::with_user_and_password(login, password)
            .custom_inbox_prefix(&self.connection.inbox_prefix)
            .connect(&self.connection.urls)
            .await?;
        let (consumer, stream) = (&self.connection.consumer, &self.connection.stream);
        let jetstream = jetstream::new(client);
        Ok(jetstream.get_consumer_from_stream(consumer, stream).await?)
    }
}

impl Shop {
    /// Everything up to a created task.
    ///
    /// # Errors
    /// Where a step fails.
    pub async fn open(options: PlatformOptions) -> anyhow::Result<Self> {
        Box::pin(Self::open_with(options, &json!({}))).await
    }

    /// Everything up to a created task, whose definition has these members instead of the usual
    /// ones.
    ///
    /// # Errors
    /// Where a step fails.
    pub async fn open_with(options: PlatformOptions, definition: &Value) -> anyhow::Result<Self> {
        rowcast_testkit::init_tracing();
        let platform = Box::pin(Platform::start(options)).await?;
        let admin = platform.sql("postgres").await?;
        let port = platform.postgres.port();
        let tracked = Tracked::create_with(&platform, &admin, port, SCHEMA, definition).await?;
        Ok(Self { platform, tracked })
    }

    /// Everything up to a running task.
    ///
    /// # Errors
    /// Where a step fails.
    pub async fn running(options: PlatformOptions) -> anyhow::Result<Self> {
        let shop = Box::pin(Self::open(options)).await?;
        shop.run().await?;
        Ok(shop)
    }
}

impl Tracked {
    /// Makes a database on the server at `port` and a task for its schema `shop`. `admin` is a
    /// superuser there.
    ///
    /// # Errors
    /// Where a step fails.
    pub async fn create(
        platform: &Platform,
        admin: &tokio_postgres::Client,
        port: u16,
        schema: &str,
    ) -> anyhow::Result<Self> {
        Self::create_with(platform, admin, port, schema, &json!({})).await
    }

    /// As [`Self::create`]; members of `definition` replace those of the task's definition.
    ///
    /// # Errors
    /// Where a step fails.
    pub async fn create_with(
        platform: &Platform,
        admin: &tokio_postgres::Client,
        port: u16,
        schema: &str,
        definition: &Value,
    ) -> anyhow::Result<Self> {
        let api = Api::new(&platform.api_url, platform.admin_token.expose())?;
        let sql = source_database(admin, port, schema).await?;
        let source: Source = api
            .post(
                "/sources",
                &json!({
                    "name": "shop", "host": "127.0.0.1", "port": port,
                    "database": "shop", "account": "shop_owner", "password": PASSWORD,
                    "sslmode": "disable",
                }),
            )
            .await?;
        let mut body = json!({
            "name": "shop", "source_id": source.id, "retry_minutes": 10,
            "objects": {"schemas": [{"name": "shop", "all": true}]},
        });
        for (name, value) in definition.as_object().into_iter().flatten() {
            body[name.as_str()] = value.clone();
        }
        let task: Task = api.post("/tasks", &body).await?;
        let task = task.id;
        Ok(Self { api, sql, task })
    }

    /// Prechecks, buys, starts, and waits until changes flow.
    ///
    /// # Errors
    /// Where a step fails.
    pub async fn run(&self) -> anyhow::Result<()> {
        self.precheck().await?;
        self.purchase().await?;
        let _task: Task = self.command("start").await?;
        self.reaches(TaskState::Running).await;
        Ok(())
    }

    /// Runs the precheck, which must pass, and answers for what it alerts to.
    ///
    /// # Errors
    /// With the checks that failed, or an alert that nobody can answer for.
    pub async fn precheck(&self) -> anyhow::Result<()> {
        let report: Precheck = self.command("precheck").await?;
        anyhow::ensure!(report.passed, "{:#?}", report.items);
        if report.open_alerts.is_empty() {
            return Ok(());
        }
        let body = json!({
            "codes": report.open_alerts, "by": "the test",
            "reason": "The server is the test's own and ends with it.",
        });
        let report: Precheck = self.api.post(&self.path("precheck/ignore"), &body).await?;
        anyhow::ensure!(report.success_percent == 100, "{:#?}", report.items);
        Ok(())
    }

    /// Buys an instance for the task.
    ///
    /// # Errors
    /// Where it is refused.
    pub async fn purchase(&self) -> anyhow::Result<()> {
        let body = json!({"charge_type": "pay_as_you_go"});
        let _bought: serde_json::Value = self.api.post(&self.path("purchase"), &body).await?;
        Ok(())
    }

    /// A command on the task.
    ///
    /// # Errors
    /// Where it is refused.
    pub async fn command<T: serde::de::DeserializeOwned>(&self, name: &str) -> anyhow::Result<T> {
        self.api.command(&self.path(name), &[]).await
    }

    /// Path of what belongs to the task.
    #[must_use]
    pub fn path(&self, of: &str) -> String {
        format!("/tasks/{}/{of}", self.task)
    }

    /// The task as the API shows it.
    ///
    /// # Errors
    /// Where the API does not answer.
    pub async fn task(&self) -> anyhow::Result<Task> {
        self.api.get(&format!("/tasks/{}", self.task)).await
    }

    /// Every step of the task's life, oldest first.
    ///
    /// # Errors
    /// Where the API does not answer.
    pub async fn events(&self) -> anyhow::Result<Vec<TaskTransition>> {
        let list: TaskTransitionList = self.api.get(&self.path("events")).await?;
        Ok(list.events)
    }

    /// What of Rowcast is on the source: slots, publications, event triggers and schema `rowcast`.
    ///
    /// # Errors
    /// Where the source does not answer.
    pub async fn left_on_source(&self) -> anyhow::Result<Vec<String>> {
        let rows = self
            .sql
            .query(
                "SELECT slot_name::text FROM pg_replication_slots
                 UNION ALL SELECT pubname::text FROM pg_publication
                 UNION ALL SELECT evtname::text FROM pg_event_trigger
                 UNION ALL SELECT nspname::text FROM pg_namespace WHERE nspname = 'rowcast'
                 UNION ALL SELECT proname::text FROM pg_proc WHERE proname = 'tell_ddl'
                 ORDER BY 1",
                &[],
            )
            .await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Waits until the task is in a state.
    ///
    /// # Panics
    /// Where it does not get there.
    pub async fn reaches(&self, state: TaskState) {
        eventually(&format!("the task is {state:?}"), PATIENCE, async || {
            self.task().await.is_ok_and(|task| task.state == state)
        })
        .await;
    }

    /// Deletes every consumer group.
    ///
    /// # Errors
    /// Where one is refused.
    pub async fn remove_groups(&self) -> anyhow::Result<()> {
        let list: rest::GroupList = self.api.get(&self.path("groups")).await?;
        for group in list.groups {
            self.api
                .delete(&self.path(&format!("groups/{}", group.id)))
                .await?;
        }
        Ok(())
    }

    /// Creates a consumer group.
    ///
    /// # Errors
    /// Where it is refused.
    pub async fn group(&self, name: &str) -> anyhow::Result<Group> {
        self.group_of(name, GroupMode::Ordered).await
    }

    /// As [`Self::group`], of this mode.
    ///
    /// # Errors
    /// Where it is refused.
    pub async fn group_of(&self, name: &str, mode: GroupMode) -> anyhow::Result<Group> {
        self.group_with(name, mode, GroupDelivery::Pull).await
    }

    /// As [`Self::group_of`], delivered like this.
    ///
    /// # Errors
    /// Where it is refused.
    pub async fn group_with(
        &self,
        name: &str,
        mode: GroupMode,
        delivery: GroupDelivery,
    ) -> anyhow::Result<Group> {
        let more = json!({ "mode": mode, "delivery": delivery });
        self.group_as(name, &more).await
    }

    /// As [`Self::group`], with these members of the request beside name and login.
    ///
    /// # Errors
    /// Where it is refused.
    pub async fn group_as(&self, name: &str, more: &Value) -> anyhow::Result<Group> {
        let mut body = json!({ "name": name, "account": "reader", "password": GROUP_PASSWORD });
        if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
            body.extend(more.clone());
        }
        let group: rest::Group = self.api.post(&self.path("groups"), &body).await?;
        let path = self.path(&format!("groups/{}/connection", group.id));
        Ok(Group {
            connection: self.api.get(&path).await?,
            password: GROUP_PASSWORD,
        })
    }
}

/// A user of account DATA, past all groups.
///
/// # Errors
/// Where NATS does not let us in.
pub async fn data(platform: &Platform) -> anyhow::Result<async_nats::Client> {
    let password = platform.nats_password("capture-data")?;
    async_nats::ConnectOptions::with_user_and_password("capture-data".to_owned(), password)
        .connect(&platform.nats_url)
        .await
        .context("cannot connect to NATS as capture-data")
}

/// The shop's database on the platform's own PostgreSQL, known to nobody yet, by its owner's connection.
///
/// The owner is `shop_owner`.
///
/// # Errors
/// Where it cannot be made.
pub async fn untracked_shop(platform: &Platform) -> anyhow::Result<tokio_postgres::Client> {
    let admin = platform.sql("postgres").await?;
    source_database(&admin, platform.postgres.port(), SCHEMA).await
}

/// A database of a role that may do no more than it must.
async fn source_database(
    admin: &tokio_postgres::Client,
    port: u16,
    schema: &str,
) -> anyhow::Result<tokio_postgres::Client> {
    let role = format!("CREATE ROLE shop_owner LOGIN REPLICATION PASSWORD '{PASSWORD}'");
    admin.batch_execute(&role).await?;
    admin
        .batch_execute("CREATE DATABASE shop OWNER shop_owner")
        .await?;
    let url = format!("postgres://shop_owner:{PASSWORD}@127.0.0.1:{port}/shop");
    let sql = rowcast_testkit::connect(&url).await?;
    sql.batch_execute(schema).await?;
    Ok(sql)
}
