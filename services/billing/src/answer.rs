//! Answers to questions, one a file.

mod quote;
mod purchase;
mod instance;
mod usage;

use rowcast_bus::refuse::Refusal as _;
use rowcast_bus::{Bus, Server, refuse};
use rowcast_domain::TaskId;
use rowcast_proto::message::{ChargeType, RpcError};
use rowcast_proto::rpc::{GetInstance, GetQuote, GetUsage, PurchaseInstance, Rpc};
use rowcast_service::BoxError;
use sqlx::postgres::PgPool;

/// Announces the service and its endpoints.
pub(crate) async fn serve(bus: &Bus, pool: &PgPool, version: &str) -> Result<Server, BoxError> {
    let description = "prices, instances and metered usage";
    let mut server = Server::start(bus, GetQuote::SERVICE, version, description).await?;
    server
        .add::<GetQuote, _, _>(|question| async move { quote::answer(&question) })
        .await?;
    let store = pool.clone();
    server
        .add::<PurchaseInstance, _, _>(move |question| purchase::answer(store.clone(), question))
        .await?;
    let store = pool.clone();
    server
        .add::<GetInstance, _, _>(move |question| instance::answer(store.clone(), question))
        .await?;
    let store = pool.clone();
    server
        .add::<GetUsage, _, _>(move |question| usage::answer(store.clone(), question))
        .await?;
    Ok(server)
}

fn check_task_id(text: &str) -> Result<TaskId, RpcError> {
    text.parse().map_err(|error: rowcast_domain::ParseIdError| {
        refuse::invalid("task_id_malformed", error.to_string())
            .field("task_id")
            .repair("give the id of a task as the task list shows it")
    })
}

fn check_charge_type(charge_type: ChargeType) -> Result<(), RpcError> {
    match charge_type {
        ChargeType::PayAsYouGo => Ok(()),
        ChargeType::Unspecified => Err(refuse::invalid(
            "charge_type_not_sold",
            "instances are sold by the hour only",
        )
        .field("charge_type")
        .repair("use the charge type pay_as_you_go")),
    }
}

/// Logged here, because the asker is told no internals.
#[expect(clippy::needless_pass_by_value, reason = "made for map_err")]
fn database(error: sqlx::Error) -> RpcError {
    tracing::error!(error = %error, "question not answered");
    refuse::unavailable("billing_database", "billing cannot reach its database")
        .repair("ask again in some seconds")
}
