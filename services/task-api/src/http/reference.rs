//! `GET /api/v1/docs/`: the description of the API as a page in which a person reads and asks.
//!
//! The viewer is Swagger UI, which is part of the binary: a browser loads nothing from elsewhere. Like the
//! description, it is shown without a token; what is asked from the page takes the one that is entered there, which
//! stays in the page.

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{Next, from_fn};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use axum::routing::get;
use swagger_ui_dist::{ApiDefinition, OpenApiSource};

use super::OPENAPI;

/// The page.
const PAGE: &str = "/api/v1/docs/";

/// Below it are the viewer's files. The page that the viewer has there itself is not used: its script stands in the
/// page, which the policy forbids.
const VIEWER: &str = "/api/v1/docs/viewer";

const INDEX: &str = include_str!("reference/index.html");

const BEGIN: &str = include_str!("reference/begin.js");

/// The page runs what we serve and asks nobody else. Swagger UI draws its icons from `data:` URLs, and gives some of its
/// elements a style of their own.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// With each answer. An upgraded API has another page at the latest after an hour.
const HEADERS: [(HeaderName, &str); 4] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "public, max-age=3600"),
];

/// The page, its files, and what leads to it.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let moved = || get(async || Redirect::temporary(PAGE));
    let viewer = swagger_ui_dist::generate_routes(ApiDefinition {
        uri_prefix: VIEWER,
        api_definition: OpenApiSource::Uri(OPENAPI),
        title: None,
    });
    Router::new()
        .route("/docs", moved())
        .route("/api/v1/docs", moved())
        .route(PAGE, get(async || Html(INDEX)))
        .route("/api/v1/docs/begin.js", get(begin))
        .merge(viewer.with_state(()))
        .layer(from_fn(with_headers))
}

async fn begin() -> Response {
    ([(header::CONTENT_TYPE, "text/javascript")], BEGIN).into_response()
}

async fn with_headers(request: Request, next: Next) -> Response {
    if request.uri().path().trim_end_matches('/') == VIEWER {
        return Redirect::temporary(PAGE).into_response();
    }
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}
