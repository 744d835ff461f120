//! The REST API, as a user's script calls it.

use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::{Method, StatusCode};
use rowcast_proto::rest::Problem;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// How long to wait where too much was asked.
const PACE: Duration = Duration::from_secs(1);

/// A client with the admin's token.
#[derive(Debug, Clone)]
pub struct Api {
    client: reqwest::Client,
    base: String,
    token: String,
}

impl Api {
    /// Calls the API at `url`.
    ///
    /// # Errors
    /// Where no HTTP client can be made.
    pub fn new(url: &str, token: &str) -> anyhow::Result<Self> {
        // Fails where another test of this process was first.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        Ok(Self {
            client: reqwest::Client::builder().build()?,
            base: format!("{url}/api/v1"),
            token: token.to_owned(),
        })
    }

    /// The answer to a `GET`.
    ///
    /// # Errors
    /// With the problem, where the API refuses.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.call(Method::GET, path, None::<&()>, &[]).await
    }

    /// The answer to a `POST`.
    ///
    /// # Errors
    /// With the problem, where the API refuses.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        self.call(Method::POST, path, Some(body), &[]).await
    }

    /// The answer to a `PUT`.
    ///
    /// # Errors
    /// With the problem, where the API refuses.
    pub async fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        self.call(Method::PUT, path, Some(body), &[]).await
    }

    /// The answer to a `PATCH`.
    ///
    /// # Errors
    /// With the problem, where the API refuses.
    pub async fn patch<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        self.call(Method::PATCH, path, Some(body), &[]).await
    }

    /// Deletes.
    ///
    /// # Errors
    /// With the problem, where the API refuses.
    pub async fn delete(&self, path: &str) -> anyhow::Result<()> {
        let (status, text) = self.send(Method::DELETE, path, None::<&()>, &[]).await?;
        anyhow::ensure!(status.is_success(), "DELETE {path}: {status}: {text}");
        Ok(())
    }

    /// The answer to a `POST` without a body, with headers.
    ///
    /// # Errors
    /// With the problem, where the API refuses.
    pub async fn command<T: DeserializeOwned>(
        &self,
        path: &str,
        headers: &[(&str, &str)],
    ) -> anyhow::Result<T> {
        self.call(Method::POST, path, None::<&()>, headers).await
    }

    /// The problem that a `POST` is refused with.
    ///
    /// # Errors
    /// Where it is not refused, or not by a problem.
    pub async fn refused(&self, path: &str, body: &impl Serialize) -> anyhow::Result<Problem> {
        let (status, text) = self.send(Method::POST, path, Some(body), &[]).await?;
        if status.is_success() {
            bail!("POST {path} was not refused: {text}");
        }
        serde_json::from_str(&text).with_context(|| text)
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
        headers: &[(&str, &str)],
    ) -> anyhow::Result<T> {
        let (status, text) = loop {
            let answer = self.send(method.clone(), path, body, headers).await?;
            if answer.0 != StatusCode::TOO_MANY_REQUESTS {
                break answer;
            }
            // A fast machine asks more often than one token may.
            tokio::time::sleep(PACE).await;
        };
        if !status.is_success() {
            bail!("{method} {path}: {status}: {text}");
        }
        serde_json::from_str(&text).with_context(|| format!("{method} {path}: {text}"))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
        headers: &[(&str, &str)],
    ) -> anyhow::Result<(StatusCode, String)> {
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(&self.token);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await?;
        Ok((response.status(), response.text().await?))
    }
}
