//! Buys an instance for a task. The same order key buys once.

use chrono::{DateTime, Datelike as _, Utc};
use rowcast_bus::refuse::Refusal as _;
use rowcast_bus::{event_meta, refuse};
use rowcast_domain::{InstanceId, Months, OrderId, TaskId};
use rowcast_proto::message::{
    ChargeType, Instance, InstancePurchased, PurchaseRequest, Quote, RpcError,
};
use sqlx::postgres::PgPool;

use super::{charge_type_not_sold, check_order_key, check_task_id, database, order_key_used};
use crate::meter::Hour;
use crate::store::instance::Purchase;
use crate::store::order::NewOrder;
use crate::{calendar, outbox, price, store};

/// What became of a purchase.
enum Bought {
    /// By this order, now or when it came before.
    Instance(Box<Instance>),
    /// The task has an instance of another order, or paid in another way.
    TaskHasAnother,
    /// The order key has bought something else.
    OrderKeyUsed,
}

pub(super) async fn answer(pool: PgPool, question: PurchaseRequest) -> Result<Instance, RpcError> {
    let task_id = check_task_id(&question.task_id)?;
    let months = check_charge_type(&question)?;
    check_order_key(&question.order_key)?;
    let bought = buy(&pool, &task_id, months, &question).await;
    match bought.map_err(database)? {
        Bought::Instance(instance) => Ok(*instance),
        Bought::TaskHasAnother => Err(refuse::conflict(
            "already_purchased",
            format!("task {task_id} has an instance already"),
        )
        .field("task_id")
        .repair("start the task; it needs no second instance")),
        Bought::OrderKeyUsed => Err(order_key_used()),
    }
}

/// The months of a subscription; `None` of an instance that is paid by the hour.
fn check_charge_type(question: &PurchaseRequest) -> Result<Option<Months>, RpcError> {
    match question.charge_type() {
        ChargeType::Subscription => {
            let months = Months::of_purchase(question.months).map_err(|error| {
                refuse::invalid("months_not_sold", error.to_string())
                    .field("months")
                    .repair("give 1 to 9, 12, 24, 36 or 60 months")
            })?;
            Ok(Some(months))
        }
        ChargeType::PayAsYouGo => {
            let field = if question.months != 0 {
                "months"
            } else if question.auto_renew {
                "auto_renew"
            } else {
                return Ok(None);
            };
            let detail = "an instance that is paid by the hour does not expire";
            Err(refuse::invalid("not_a_subscription", detail)
                .field(field)
                .repair("leave it out, or use the charge type subscription"))
        }
        ChargeType::Unspecified => Err(charge_type_not_sold()),
    }
}

async fn buy(
    pool: &PgPool,
    task_id: &TaskId,
    months: Option<Months>,
    question: &PurchaseRequest,
) -> Result<Bought, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let now = Utc::now();
    let (quote, expires_at) = priced(months, now)?;
    let (id, order_id) = (InstanceId::random(), OrderId::random());
    let purchase = Purchase {
        id: id.as_str(),
        task_id: task_id.as_str(),
        order_key: &question.order_key,
        actor: &question.actor,
        quote: &quote,
        purchased_at: now,
        metered_until: Hour::containing(now).start(),
        expires_at,
        auto_renew: question.auto_renew,
    };
    if let Some(instance) = store::instance::insert(&mut transaction, &purchase).await? {
        let order = NewOrder {
            id: order_id.as_str(),
            order_key: &question.order_key,
            task_id: task_id.as_str(),
            renewal: false,
            quote: &quote,
            actor: &question.actor,
            ordered_at: now,
            period: expires_at.map(|until| (now, until)),
        };
        if !store::order::insert(&mut transaction, &order).await? {
            // It has renewed another instance. What was written goes with the transaction.
            return Ok(Bought::OrderKeyUsed);
        }
        let instance = instance.to_message()?;
        let purchased = InstancePurchased {
            meta: Some(event_meta()),
            instance: Some(instance.clone()),
        };
        outbox::append(&mut transaction, &purchased).await?;
        transaction.commit().await?;
        return Ok(Bought::Instance(Box::new(instance)));
    }
    match store::instance::of_task(&mut *transaction, task_id.as_str()).await? {
        Some(instance)
            if instance.order_key == question.order_key && instance.months()? == months =>
        {
            Ok(Bought::Instance(Box::new(instance.to_message()?)))
        }
        Some(_another) => Ok(Bought::TaskHasAnother),
        None => Ok(Bought::OrderKeyUsed),
    }
}

/// The price of now, and when the months are over.
fn priced(
    months: Option<Months>,
    now: DateTime<Utc>,
) -> Result<(Quote, Option<DateTime<Utc>>), sqlx::Error> {
    let Some(months) = months else {
        return Ok((price::by_the_hour(), None));
    };
    let end = calendar::end(now, months, now.day())
        .ok_or_else(|| sqlx::Error::Encode("no calendar has the end of these months".into()))?;
    Ok((price::in_advance(months), Some(end)))
}
