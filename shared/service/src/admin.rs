//! `/live`, `/ready` and `/metrics`.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use rowcast_telemetry::Metrics;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::BoxError;
use crate::readiness::Readiness;

#[derive(Clone)]
struct Admin {
    readiness: Readiness,
    metrics: Metrics,
}

/// Binds at once, so that a port in use is told before anything runs.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, BoxError> {
    TcpListener::bind(address).await.map_err(|error| {
        format!("ROWCAST_ADMIN_LISTEN: cannot listen on {address}: {error}").into()
    })
}

pub(crate) async fn serve(
    listener: TcpListener,
    readiness: Readiness,
    metrics: Metrics,
    stop: CancellationToken,
) -> Result<(), BoxError> {
    let router = Router::new()
        .route("/live", get(async || "live\n"))
        .route("/ready", get(ready))
        .route("/metrics", get(render))
        .with_state(Admin { readiness, metrics });
    axum::serve(listener, router)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await?;
    Ok(())
}

async fn ready(State(admin): State<Admin>) -> (StatusCode, String) {
    let waiting = admin.readiness.waiting_for();
    if waiting.is_empty() {
        (StatusCode::OK, "ready\n".to_owned())
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("waiting for {}\n", waiting.join(", ")),
        )
    }
}

async fn render(State(admin): State<Admin>) -> String {
    admin.metrics.render()
}
