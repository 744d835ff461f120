//! Buys an instance for a task. The same order key buys once.

use chrono::Utc;
use rowcast_bus::refuse::Refusal as _;
use rowcast_bus::{event_meta, refuse};
use rowcast_domain::{InstanceId, TaskId};
use rowcast_proto::message::{Instance, InstancePurchased, PurchaseRequest, RpcError};
use sqlx::postgres::PgPool;

use super::{check_charge_type, check_task_id, database};
use crate::meter::Hour;
use crate::store::instance::Purchase;
use crate::{outbox, price, store};

/// Bytes in an order key; an index entry must stay small.
const MAX_ORDER_KEY: usize = 255;

/// What became of a purchase.
enum Bought {
    /// By this order, now or when it came before.
    Instance(Instance),
    /// The task has an instance of another order.
    TaskHasAnother,
    /// The order key bought an instance for another task.
    OrderKeyUsed,
}

pub(super) async fn answer(pool: PgPool, question: PurchaseRequest) -> Result<Instance, RpcError> {
    let task_id = check_task_id(&question.task_id)?;
    check_charge_type(question.charge_type())?;
    check_order_key(&question.order_key)?;
    match buy(&pool, &task_id, &question).await.map_err(database)? {
        Bought::Instance(instance) => Ok(instance),
        Bought::TaskHasAnother => Err(refuse::conflict(
            "already_purchased",
            format!("task {task_id} has an instance already"),
        )
        .field("task_id")
        .repair("start the task; it needs no second instance")),
        Bought::OrderKeyUsed => Err(refuse::conflict(
            "order_key_used",
            "this order key bought an instance for another task",
        )
        .field("order_key")
        .repair("use a new order key for each task")),
    }
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

async fn buy(
    pool: &PgPool,
    task_id: &TaskId,
    question: &PurchaseRequest,
) -> Result<Bought, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let now = Utc::now();
    let id = InstanceId::random();
    let quote = price::quote();
    let purchase = Purchase {
        id: id.as_str(),
        task_id: task_id.as_str(),
        order_key: &question.order_key,
        actor: &question.actor,
        quote: &quote,
        purchased_at: now,
        metered_until: Hour::containing(now).start(),
    };
    if let Some(instance) = store::instance::insert(&mut transaction, &purchase).await? {
        let instance = instance.to_message()?;
        let purchased = InstancePurchased {
            meta: Some(event_meta()),
            instance: Some(instance.clone()),
        };
        outbox::append(&mut transaction, &purchased).await?;
        transaction.commit().await?;
        return Ok(Bought::Instance(instance));
    }
    match store::instance::of_task(&mut *transaction, task_id.as_str()).await? {
        Some(instance) if instance.order_key == question.order_key => {
            Ok(Bought::Instance(instance.to_message()?))
        }
        Some(_another) => Ok(Bought::TaskHasAnother),
        None => Ok(Bought::OrderKeyUsed),
    }
}
