//! The REST API, as the demo uses it.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use reqwest::{Method, RequestBuilder};
use rowcast_domain::{GroupId, Secret, TaskId};
use rowcast_proto::rest::{
    ChargeType, CreateGroup, CreateSource, CreateTask, Group, GroupConnection, GroupList, Instance,
    Precheck, Problem, PurchaseTask, Source, SourceList, Task, TaskList,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A precheck may take a minute.
const REQUEST_LIMIT: Duration = Duration::from_secs(80);

/// An HTTP client for addresses of this machine.
pub(crate) fn http_client(limit: Duration) -> anyhow::Result<reqwest::Client> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Fails only where another thread was faster, and then there is one.
        drop(rustls::crypto::ring::default_provider().install_default());
    }
    reqwest::Client::builder()
        .no_proxy()
        .timeout(limit)
        .build()
        .context("cannot make an HTTP client")
}

pub(crate) struct Api {
    http: reqwest::Client,
    base: String,
    token: Secret,
}

impl Api {
    pub(crate) fn new(api_url: &str, token: Secret) -> anyhow::Result<Self> {
        Ok(Self {
            http: http_client(REQUEST_LIMIT)?,
            base: format!("{api_url}/api/v1"),
            token,
        })
    }

    pub(crate) async fn sources(&self) -> anyhow::Result<Vec<Source>> {
        let list: SourceList = self.get("/sources").await?;
        Ok(list.sources)
    }

    pub(crate) async fn create_source(&self, body: &CreateSource) -> anyhow::Result<Source> {
        self.post("/sources", body).await
    }

    pub(crate) async fn tasks(&self) -> anyhow::Result<Vec<Task>> {
        let list: TaskList = self.get("/tasks").await?;
        Ok(list.tasks)
    }

    pub(crate) async fn task(&self, id: &TaskId) -> anyhow::Result<Task> {
        self.get(&format!("/tasks/{id}")).await
    }

    pub(crate) async fn create_task(&self, body: &CreateTask) -> anyhow::Result<Task> {
        self.post("/tasks", body).await
    }

    pub(crate) async fn precheck(&self, id: &TaskId) -> anyhow::Result<Precheck> {
        let path = format!("/tasks/{id}/precheck");
        self.send(self.request(Method::POST, &path), &path).await
    }

    /// Bought once, however often it is asked for.
    pub(crate) async fn purchase(&self, id: &TaskId) -> anyhow::Result<Instance> {
        let path = format!("/tasks/{id}/purchase");
        let order = PurchaseTask {
            charge_type: ChargeType::PayAsYouGo,
        };
        let request = self
            .request(Method::POST, &path)
            .header("Idempotency-Key", format!("demo-{id}"))
            .json(&order);
        self.send(request, &path).await
    }

    pub(crate) async fn start(&self, id: &TaskId) -> anyhow::Result<Task> {
        let path = format!("/tasks/{id}/start");
        self.send(self.request(Method::POST, &path), &path).await
    }

    pub(crate) async fn groups(&self, task: &TaskId) -> anyhow::Result<Vec<Group>> {
        let list: GroupList = self.get(&format!("/tasks/{task}/groups")).await?;
        Ok(list.groups)
    }

    pub(crate) async fn create_group(
        &self,
        task: &TaskId,
        body: &CreateGroup,
    ) -> anyhow::Result<Group> {
        self.post(&format!("/tasks/{task}/groups"), body).await
    }

    pub(crate) async fn connection(
        &self,
        task: &TaskId,
        group: &GroupId,
    ) -> anyhow::Result<GroupConnection> {
        self.get(&format!("/tasks/{task}/groups/{group}/connection"))
            .await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.send(self.request(Method::GET, path), path).await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        let request = self.request(Method::POST, path).json(body);
        self.send(request, path).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(self.token.expose())
    }

    async fn send<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        path: &str,
    ) -> anyhow::Result<T> {
        let unanswered = || format!("the API did not answer {path}");
        let response = request.send().await.with_context(unanswered)?;
        let status = response.status();
        let body = response.bytes().await.with_context(unanswered)?;
        if status.is_success() {
            return serde_json::from_slice(&body)
                .with_context(|| format!("the answer of the API to {path} is malformed"));
        }
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => Err(refusal(path, problem)),
            Err(_other) => bail!("the API answered {path} with {status}"),
        }
    }
}

fn refusal(path: &str, problem: Problem) -> anyhow::Error {
    let Problem { detail, repair, .. } = problem;
    match repair {
        Some(repair) => anyhow!("the API refused {path}: {detail}. {repair}"),
        None => anyhow!("the API refused {path}: {detail}"),
    }
}
