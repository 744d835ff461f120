//! A way to the API that remembers what went over it.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};

/// Method and path of each request, without its query.
type Calls = Arc<Mutex<Vec<(Method, String)>>>;

/// Passes requests on until the test ends.
#[derive(Debug)]
pub struct Recorder {
    /// Where it listens.
    pub url: String,
    calls: Calls,
    _server: tokio::task::JoinSet<std::io::Result<()>>,
}

#[derive(Debug, Clone)]
struct Upstream {
    client: reqwest::Client,
    url: String,
    calls: Calls,
}

impl Recorder {
    /// Listens on a port of its own, for the API at `upstream`.
    ///
    /// # Errors
    /// Where there is no port, or no HTTP client can be made.
    pub async fn start(upstream: &str) -> anyhow::Result<Self> {
        // Fails where another test of this process was first.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let calls = Calls::default();
        let router = Router::new().fallback(pass_on).with_state(Upstream {
            client: reqwest::Client::builder().build()?,
            url: upstream.to_owned(),
            calls: Arc::clone(&calls),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let mut server = tokio::task::JoinSet::new();
        server.spawn(std::future::IntoFuture::into_future(axum::serve(
            listener, router,
        )));
        Ok(Self {
            url,
            calls,
            _server: server,
        })
    }

    /// What has come since the last time this was asked.
    pub fn take(&self) -> Vec<(Method, String)> {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut calls)
    }
}

async fn pass_on(
    State(upstream): State<Upstream>,
    method: Method,
    uri: Uri,
    mut headers: HeaderMap,
    body: Bytes,
) -> Response {
    upstream
        .calls
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push((method.clone(), uri.path().to_owned()));
    headers.remove(header::HOST);
    let request = upstream
        .client
        .request(method, format!("{}{uri}", upstream.url))
        .headers(headers)
        .body(body);
    match request.send().await {
        Ok(answer) => {
            let (status, headers) = (answer.status(), answer.headers().clone());
            let body = answer.bytes().await.unwrap_or_default();
            (status, headers, body).into_response()
        }
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}
