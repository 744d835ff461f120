//! What billing says.

use chrono::{DateTime, Utc};
use rowcast_proto::message as m;
use rowcast_proto::rest;

use super::{id, time, unreadable};
use crate::error::ApiError;
use crate::store::instance_state::KnownInstance;

pub(crate) const fn charge_type(kind: rest::ChargeType) -> m::ChargeType {
    match kind {
        rest::ChargeType::PayAsYouGo => m::ChargeType::PayAsYouGo,
        rest::ChargeType::Subscription => m::ChargeType::Subscription,
    }
}

fn charge_type_told(kind: m::ChargeType) -> Result<rest::ChargeType, ApiError> {
    match kind {
        m::ChargeType::PayAsYouGo => Ok(rest::ChargeType::PayAsYouGo),
        m::ChargeType::Subscription => Ok(rest::ChargeType::Subscription),
        m::ChargeType::Unspecified => Err(unreadable("charge_type", "is unknown")),
    }
}

/// An older billing knew only instances that let their task run.
const fn state(state: m::InstanceState) -> rest::InstanceState {
    match state {
        m::InstanceState::Unspecified | m::InstanceState::Active => rest::InstanceState::Active,
        m::InstanceState::Expired => rest::InstanceState::Expired,
        m::InstanceState::Ended => rest::InstanceState::Ended,
    }
}

pub(crate) fn instance(instance: m::Instance) -> Result<rest::Instance, ApiError> {
    let charge_type = charge_type_told(instance.charge_type())?;
    let subscription = match charge_type {
        rest::ChargeType::PayAsYouGo => None,
        rest::ChargeType::Subscription => Some(rest::Subscription {
            state: state(instance.state()),
            months: instance.months,
            month_micros: instance.month_micros,
            expires_at: time("expires_at", instance.expires_at)?,
            auto_renew: instance.auto_renew,
            release_at: maybe("release_at", instance.release_at)?,
        }),
    };
    Ok(rest::Instance {
        id: id("instance", &instance.id)?,
        task_id: id("task_id", &instance.task_id)?,
        charge_type,
        hour_micros: instance.hour_micros,
        currency: instance.currency,
        purchased_at: time("purchased_at", instance.purchased_at)?,
        subscription,
        orders: Vec::new(),
    })
}

/// An instance with what was bought.
pub(crate) fn instance_with_orders(
    told: m::Instance,
    orders: Vec<m::Order>,
) -> Result<rest::Instance, ApiError> {
    let orders: Result<_, _> = orders.into_iter().map(order).collect();
    Ok(rest::Instance {
        orders: orders?,
        ..instance(told)?
    })
}

fn order(order: m::Order) -> Result<rest::Order, ApiError> {
    Ok(rest::Order {
        charge_type: charge_type_told(order.charge_type())?,
        id: id("order", &order.id)?,
        renewal: order.renewal,
        amount_micros: order.amount_micros,
        currency: order.currency,
        price_version: order.price_version,
        actor: order.actor,
        ordered_at: time("ordered_at", order.ordered_at)?,
        months: Some(order.months).filter(|months| *months > 0),
        period_from: maybe("period_from", order.period_from)?,
        period_until: maybe("period_until", order.period_until)?,
    })
}

/// As far as it decides whether a task may run.
pub(crate) fn known_instance(instance: &m::Instance) -> Result<KnownInstance, ApiError> {
    Ok(KnownInstance {
        version: instance.version,
        state: state(instance.state()),
        expires_at: maybe("expires_at", instance.expires_at)?,
        release_at: maybe("release_at", instance.release_at)?,
    })
}

pub(crate) fn usage_line(line: m::UsageLine) -> Result<rest::UsageLine, ApiError> {
    Ok(rest::UsageLine {
        hour: time("hour", line.hour)?,
        seconds: line.seconds,
        amount_micros: line.amount_micros,
        currency: line.currency,
        closed: line.closed,
    })
}

fn maybe(what: &str, at: Option<m::Timestamp>) -> Result<Option<DateTime<Utc>>, ApiError> {
    at.map(|at| time(what, Some(at))).transpose()
}
