//! The REST API.

mod contacts;
mod billing;
mod follow;
mod groups;
mod refusal;
mod rules;
mod as_command;

use std::time::Duration;

use anyhow::Context as _;
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Method, RequestBuilder};
use rowcast_domain::{Secret, SourceId, TaskId, TokenId};
use rowcast_proto::rest::{
    AuditLog, ChangeObjects, CloneTask, CreateSource, CreateTask, CreateToken, IgnoreChecks,
    IncidentList, NewToken, Objects, ObjectsPlan, PatchSource, PatchTask, Precheck, Problem,
    Recheck, ReleasePlan, RunPrecheck, Source, SourceList, SourceObjects, SourceTest, StartTask,
    System, Task, TaskList, TaskLog, TaskPreview, TaskTransitionList, TokenList,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use follow::PrecheckEvent;

use crate::failure::{Exit, Failure};

/// A precheck may take a minute.
const REQUEST_LIMIT: Duration = Duration::from_secs(80);

/// A server that does not take the connection within this time is not there.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// An HTTP client for addresses of this machine.
pub(crate) fn http_client(limit: Duration) -> anyhow::Result<reqwest::Client> {
    client(limit, true)
}

fn client(limit: Duration, without_proxy: bool) -> anyhow::Result<reqwest::Client> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Fails only where another thread was faster, and then there is one.
        drop(rustls::crypto::ring::default_provider().install_default());
    }
    let mut builder = reqwest::Client::builder()
        .timeout(limit)
        .connect_timeout(CONNECT_LIMIT)
        // The API redirects nobody: who does is another, and must not get the token.
        .redirect(reqwest::redirect::Policy::none());
    if without_proxy {
        builder = builder.no_proxy();
    }
    builder.build().context("cannot make an HTTP client")
}

/// The API at one address, with a token.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    http: reqwest::Client,
    base: String,
    token: Secret,
}

impl Api {
    /// `api_url` is scheme, host and port, with or without `/api/v1`.
    pub(crate) fn new(api_url: &str, token: Secret) -> anyhow::Result<Self> {
        let url = reqwest::Url::parse(api_url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| {
                let sentence = format!(
                    "{api_url:?} is no address: say it as http://host:port or https://host"
                );
                Failure::of(Exit::Usage, sentence)
            })?;
        let is_here = is_here(&url);
        let root = api_url.trim_end_matches('/');
        let root = root.strip_suffix("/api/v1").unwrap_or(root);
        Ok(Self {
            http: client(REQUEST_LIMIT, is_here)?,
            base: format!("{root}/api/v1"),
            token,
        })
    }

    pub(crate) async fn system(&self) -> anyhow::Result<System> {
        self.get("/system").await
    }

    pub(crate) async fn sources(&self) -> anyhow::Result<SourceList> {
        self.get("/sources").await
    }

    pub(crate) async fn create_source(&self, body: &CreateSource) -> anyhow::Result<Source> {
        self.post("/sources", body).await
    }

    pub(crate) async fn source(&self, id: &SourceId) -> anyhow::Result<Source> {
        self.get(&format!("/sources/{id}")).await
    }

    /// With its version.
    pub(crate) async fn source_version(&self, id: &SourceId) -> anyhow::Result<Versioned<Source>> {
        self.get_version(&format!("/sources/{id}")).await
    }

    /// A version that is no longer the present one is refused.
    pub(crate) async fn patch_source(
        &self,
        id: &SourceId,
        patch: &PatchSource,
        of: Option<&Version>,
    ) -> anyhow::Result<Source> {
        self.patch(&format!("/sources/{id}"), patch, of).await
    }

    pub(crate) async fn delete_source(&self, id: &SourceId) -> anyhow::Result<()> {
        self.delete(&format!("/sources/{id}")).await
    }

    pub(crate) async fn test_source(&self, id: &SourceId) -> anyhow::Result<SourceTest> {
        self.command(&format!("/sources/{id}/test")).await
    }

    pub(crate) async fn test_new_source(&self, body: &CreateSource) -> anyhow::Result<SourceTest> {
        self.post("/sources/test", body).await
    }

    /// One page.
    pub(crate) async fn source_objects(
        &self,
        id: &SourceId,
        query: &Query,
    ) -> anyhow::Result<SourceObjects> {
        self.get_where(&format!("/sources/{id}/objects"), query)
            .await
    }

    /// All tasks.
    pub(crate) async fn tasks(&self) -> anyhow::Result<TaskList> {
        self.get("/tasks").await
    }

    /// Those that a query asks for.
    pub(crate) async fn queried_tasks(&self, query: &Query) -> anyhow::Result<TaskList> {
        self.get_where("/tasks", query).await
    }

    pub(crate) async fn task(&self, id: &TaskId) -> anyhow::Result<Task> {
        self.get(&format!("/tasks/{id}")).await
    }

    /// With what other services know of it.
    pub(crate) async fn task_with_all(&self, id: &TaskId) -> anyhow::Result<Task> {
        let with = [("with", "instance,consumption".to_owned())];
        self.get_where(&format!("/tasks/{id}"), &with).await
    }

    pub(crate) async fn create_task(&self, body: &CreateTask) -> anyhow::Result<Task> {
        self.post("/tasks", body).await
    }

    pub(crate) async fn preview(&self, id: &TaskId) -> anyhow::Result<TaskPreview> {
        self.get(&format!("/tasks/{id}/preview")).await
    }

    pub(crate) async fn clone_task(&self, id: &TaskId, body: &CloneTask) -> anyhow::Result<Task> {
        self.post(&format!("/tasks/{id}/clone"), body).await
    }

    /// With its version.
    pub(crate) async fn task_version(&self, id: &TaskId) -> anyhow::Result<Versioned<Task>> {
        self.get_version(&format!("/tasks/{id}")).await
    }

    /// A version that is no longer the present one is refused.
    pub(crate) async fn patch_task(
        &self,
        id: &TaskId,
        patch: &PatchTask,
        of: Option<&Version>,
    ) -> anyhow::Result<Task> {
        self.patch(&format!("/tasks/{id}"), patch, of).await
    }

    /// Runs the precheck to its end.
    pub(crate) async fn precheck(
        &self,
        id: &TaskId,
        how: &RunPrecheck,
    ) -> anyhow::Result<Precheck> {
        self.post(&format!("/tasks/{id}/precheck"), how).await
    }

    /// Looks at a started task now.
    pub(crate) async fn recheck(&self, id: &TaskId) -> anyhow::Result<Recheck> {
        self.command(&format!("/tasks/{id}/recheck")).await
    }

    pub(crate) async fn last_recheck(&self, id: &TaskId) -> anyhow::Result<Recheck> {
        self.get(&format!("/tasks/{id}/recheck")).await
    }

    /// The report of the last precheck, with who ignores these alerts of it.
    pub(crate) async fn ignore_checks(
        &self,
        id: &TaskId,
        body: &IgnoreChecks,
    ) -> anyhow::Result<Precheck> {
        self.post(&format!("/tasks/{id}/precheck/ignore"), body)
            .await
    }

    /// The report of the last precheck.
    pub(crate) async fn last_precheck(&self, id: &TaskId) -> anyhow::Result<Precheck> {
        self.get(&format!("/tasks/{id}/precheck")).await
    }

    pub(crate) async fn start(&self, id: &TaskId, how: &StartTask) -> anyhow::Result<Task> {
        self.post(&format!("/tasks/{id}/start"), how).await
    }

    pub(crate) async fn resume(&self, id: &TaskId, how: &StartTask) -> anyhow::Result<Task> {
        self.post(&format!("/tasks/{id}/resume"), how).await
    }

    pub(crate) async fn suspend(&self, id: &TaskId) -> anyhow::Result<Task> {
        self.command(&format!("/tasks/{id}/suspend")).await
    }

    pub(crate) async fn reset(&self, id: &TaskId) -> anyhow::Result<Task> {
        self.command(&format!("/tasks/{id}/reset")).await
    }

    pub(crate) async fn release(&self, id: &TaskId) -> anyhow::Result<Task> {
        self.command(&format!("/tasks/{id}/release")).await
    }

    pub(crate) async fn change_objects(
        &self,
        id: &TaskId,
        change: &ChangeObjects,
    ) -> anyhow::Result<Task> {
        self.patch(&format!("/tasks/{id}/objects"), change, None)
            .await
    }

    pub(crate) async fn preview_objects(
        &self,
        id: &TaskId,
        change: &ChangeObjects,
    ) -> anyhow::Result<ObjectsPlan> {
        self.post(&format!("/tasks/{id}/objects/preview"), change)
            .await
    }

    pub(crate) async fn release_plan(&self, id: &TaskId) -> anyhow::Result<ReleasePlan> {
        self.get(&format!("/tasks/{id}/release")).await
    }

    pub(crate) async fn replace_objects(
        &self,
        id: &TaskId,
        objects: &Objects,
    ) -> anyhow::Result<Task> {
        let path = format!("/tasks/{id}/objects");
        self.send(self.request(Method::PUT, &path).json(objects), &path)
            .await
    }

    pub(crate) async fn events(
        &self,
        id: &TaskId,
        query: &Query,
    ) -> anyhow::Result<TaskTransitionList> {
        self.get_where(&format!("/tasks/{id}/events"), query).await
    }

    pub(crate) async fn log(&self, id: &TaskId, query: &Query) -> anyhow::Result<TaskLog> {
        self.get_where(&format!("/tasks/{id}/log"), query).await
    }

    pub(crate) async fn incidents(
        &self,
        task: Option<&TaskId>,
        open: bool,
    ) -> anyhow::Result<IncidentList> {
        let mut query = vec![("open", open.to_string())];
        query.extend(task.map(|task| ("task_id", task.to_string())));
        self.get_where("/incidents", &query).await
    }

    pub(crate) async fn create_token(&self, body: &CreateToken) -> anyhow::Result<NewToken> {
        self.post("/tokens", body).await
    }

    pub(crate) async fn tokens(&self) -> anyhow::Result<TokenList> {
        self.get("/tokens").await
    }

    pub(crate) async fn revoke_token(&self, id: &TokenId) -> anyhow::Result<()> {
        self.delete(&format!("/tokens/{id}")).await
    }

    /// One page.
    pub(crate) async fn audit(&self, query: &Query) -> anyhow::Result<AuditLog> {
        self.get_where("/audit", query).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.send(self.request(Method::GET, path), path).await
    }

    async fn get_version<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<Versioned<T>> {
        let (headers, body) = self.whole_answer(self.request(Method::GET, path)).await?;
        let tag = headers.get(header::ETAG).cloned();
        Ok(Versioned {
            thing: self.read(&body, path)?,
            version: tag.map(Version),
        })
    }

    async fn get_where<T: DeserializeOwned>(&self, path: &str, query: &Query) -> anyhow::Result<T> {
        let url = reqwest::Url::parse_with_params(&format!("{}{path}", self.base), query)?;
        let request = self.http.get(url).bearer_auth(self.token.expose());
        self.send(request, path).await
    }

    async fn command<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.send(self.request(Method::POST, path), path).await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        let request = self.request(Method::POST, path).json(body);
        self.send(request, path).await
    }

    async fn patch<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        of: Option<&Version>,
    ) -> anyhow::Result<T> {
        let mut request = self.request(Method::PATCH, path).json(body);
        if let Some(Version(tag)) = of {
            request = request.header(header::IF_MATCH, tag);
        }
        self.send(request, path).await
    }

    async fn delete(&self, path: &str) -> anyhow::Result<()> {
        self.answer(self.request(Method::DELETE, path)).await?;
        Ok(())
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
        let body = self.answer(request).await?;
        self.read(&body, path)
    }

    fn read<T: DeserializeOwned>(&self, body: &[u8], path: &str) -> anyhow::Result<T> {
        serde_json::from_slice(body)
            .with_context(|| format!("the answer of {}{path} cannot be read", self.base))
    }

    /// The body of an answer that is a success.
    async fn answer(&self, request: RequestBuilder) -> anyhow::Result<Vec<u8>> {
        Ok(self.whole_answer(request).await?.1)
    }

    async fn whole_answer(&self, request: RequestBuilder) -> anyhow::Result<(HeaderMap, Vec<u8>)> {
        let response = request.send().await.map_err(|error| self.silent(&error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response
            .bytes()
            .await
            .map_err(|error| self.silent(&error))?
            .to_vec();
        if status.is_success() {
            return Ok((headers, body));
        }
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => Err(refusal::refusal(status, &problem)),
            Err(_other) => Err(refusal::foreign(status, &self.base)),
        }
    }

    fn silent(&self, error: &reqwest::Error) -> anyhow::Error {
        let why = if error.is_timeout() {
            "it did not answer in time".to_owned()
        } else {
            innermost(error)
        };
        let sentence = format!(
            "the API at {} cannot be reached: {why}. See whether it runs, or name another with --api-url or --context",
            self.base
        );
        Failure::of(Exit::Unreachable, sentence)
    }
}

/// The version that a change was thought out on.
#[derive(Debug)]
pub(crate) struct Version(HeaderValue);

/// Something with its version; an API that tells none takes every change.
#[derive(Debug)]
pub(crate) struct Versioned<T> {
    pub(crate) thing: T,
    pub(crate) version: Option<Version>,
}

/// Names and values behind a path.
pub(crate) type Query = [(&'static str, String)];

/// Whether an address is one of this machine.
fn is_here(url: &reqwest::Url) -> bool {
    matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
}

/// Whether a token would go to another machine in clear text.
pub(crate) fn is_overheard(api_url: &str) -> bool {
    reqwest::Url::parse(api_url).is_ok_and(|url| url.scheme() == "http" && !is_here(&url))
}

/// The outer ones repeat the address.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
