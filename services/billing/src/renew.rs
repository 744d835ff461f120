//! Further months of a subscription: the order, the new end and the fact about it, in one transaction.

use chrono::{DateTime, Datelike as _, Utc};
use rowcast_bus::event_meta;
use rowcast_domain::{Months, OrderId};
use rowcast_proto::message::InstanceStateChanged;
use sqlx::postgres::PgConnection;

use crate::store::instance::Instance;
use crate::store::order::NewOrder;
use crate::store::{order, subscription};
use crate::{calendar, outbox, price};

/// Who renews, and for how long.
#[derive(Debug)]
pub(crate) struct Renewal<'a> {
    pub(crate) months: Months,
    pub(crate) order_key: &'a str,
    pub(crate) actor: &'a str,
    /// Whether the months may be over by now; who renews by hand should not pay for that.
    pub(crate) may_be_past: bool,
}

/// What became of a renewal.
#[derive(Debug)]
pub(crate) enum Renewed {
    /// The instance with its further months.
    Instance(Box<Instance>),
    /// Nothing, for the instance is paid by the hour.
    PaidByTheHour,
    /// Nothing, for the order key has bought something else.
    OrderKeyUsed,
    /// Nothing, for the months would be over by now, or end past all calendars.
    EndsAt(Option<DateTime<Utc>>),
}

/// Renews an instance that the transaction has locked. The months begin where the paid ones end, also
/// where that is past: the task's place was kept meanwhile.
pub(crate) async fn renew(
    connection: &mut PgConnection,
    locked: &Instance,
    renewal: &Renewal<'_>,
    now: DateTime<Utc>,
) -> Result<Renewed, sqlx::Error> {
    let Some(from) = locked.expires_at else {
        return Ok(Renewed::PaidByTheHour);
    };
    let until = calendar::end(from, renewal.months, locked.purchased_at.day());
    let Some(until) = until.filter(|until| *until > now || renewal.may_be_past) else {
        return Ok(Renewed::EndsAt(until));
    };
    let quote = price::in_advance(renewal.months);
    let id = OrderId::random();
    let order = NewOrder {
        id: id.as_str(),
        order_key: renewal.order_key,
        task_id: &locked.task_id,
        renewal: true,
        quote: &quote,
        actor: renewal.actor,
        ordered_at: now,
        period: Some((from, until)),
    };
    if !order::insert(connection, &order).await? {
        return Ok(Renewed::OrderKeyUsed);
    }
    let task_id = &locked.task_id;
    let renewed = subscription::set_renewed(connection, task_id, until, &quote).await?;
    tell(connection, &renewed, renewal.actor).await?;
    tracing::info!(
        task = task_id,
        actor = renewal.actor,
        months = renewal.months.get(),
        amount_micros = quote.amount_micros,
        expires_at = %until,
        "subscription renewed"
    );
    Ok(Renewed::Instance(Box::new(renewed)))
}

/// Tells of a new state of an instance, in the transaction that made it.
pub(crate) async fn tell(
    connection: &mut PgConnection,
    instance: &Instance,
    actor: &str,
) -> Result<(), sqlx::Error> {
    let changed = InstanceStateChanged {
        meta: Some(event_meta()),
        instance: Some(instance.to_message()?),
        actor: actor.to_owned(),
    };
    outbox::append(connection, &changed).await
}
