//! `GET /system`.

use axum::Json;
use axum::extract::State;
use rowcast_proto::rest::System;

use crate::egress;
use crate::error::ProblemBody;
use crate::state::App;

/// Tells of the platform: its version, the addresses that sources must let in, and the networks for clients.
#[utoipa::path(
    get,
    path = "/system",
    tag = "system",
    responses(
        (status = 200, description = "The platform", body = System),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_system(State(app): State<App>) -> Json<System> {
    Json(System {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        egress_addresses: app.egress().to_vec(),
        egress_advice: egress::ADVICE.to_owned(),
        client_networks: app.client_networks().to_vec(),
    })
}
