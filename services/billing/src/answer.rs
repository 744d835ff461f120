//! Answers to questions, one a file.

mod quote;
mod purchase;
mod renew;
mod instance;
mod update_instance;
mod list_instances;
mod usage;

use rowcast_bus::refuse::Refusal as _;
use rowcast_bus::{Bus, Server, refuse};
use rowcast_domain::TaskId;
use rowcast_proto::message::RpcError;
use rowcast_proto::rpc::{
    GetInstance, GetQuote, GetUsage, ListInstances, PurchaseInstance, RenewInstance, Rpc,
    UpdateInstance,
};
use rowcast_service::BoxError;
use sqlx::postgres::PgPool;

/// Bytes in an order key; an index entry must stay small.
const MAX_ORDER_KEY: usize = 255;

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
        .add::<RenewInstance, _, _>(move |question| renew::answer(store.clone(), question))
        .await?;
    let store = pool.clone();
    server
        .add::<UpdateInstance, _, _>(move |question| {
            update_instance::answer(store.clone(), question)
        })
        .await?;
    let store = pool.clone();
    server
        .add::<ListInstances, _, _>(move |question| list_instances::answer(store.clone(), question))
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

fn charge_type_not_sold() -> RpcError {
    refuse::invalid("charge_type_not_sold", "this way of paying is not known")
        .field("charge_type")
        .repair("use the charge type pay_as_you_go or subscription")
}

fn check_order_key(key: &str) -> Result<(), RpcError> {
    // PostgreSQL's text cannot hold a zero byte.
    if key.is_empty() || key.len() > MAX_ORDER_KEY || key.contains('\0') {
        return Err(refuse::invalid(
            "order_key_malformed",
            format!("an order key has 1 to {MAX_ORDER_KEY} bytes, none of them zero"),
        )
        .field("order_key")
        .repair("give a key of your own, as a UUID, and the same one when you ask again"));
    }
    Ok(())
}

fn order_key_used() -> RpcError {
    refuse::conflict("order_key_used", "this order key has bought something else")
        .field("order_key")
        .repair("use a new order key for each order")
}

fn instance_missing(task_id: &TaskId) -> RpcError {
    refuse::conflict(
        "instance_missing",
        format!("task {task_id} has no instance"),
    )
    .field("task_id")
    .repair("buy one for it first")
}

fn not_a_subscription(task_id: &TaskId) -> RpcError {
    let detail = format!("the instance of task {task_id} is paid by the hour and does not expire");
    refuse::conflict("not_a_subscription", detail)
        .field("task_id")
        .repair("leave it as it is; only a subscription is renewed")
}

/// Logged here, because the asker is told no internals.
#[expect(clippy::needless_pass_by_value, reason = "made for map_err")]
fn database(error: sqlx::Error) -> RpcError {
    tracing::error!(error = %error, "question not answered");
    refuse::unavailable("billing_database", "billing cannot reach its database")
        .repair("ask again in some seconds")
}
