//! `rowcast task purchase`, `renew` and `instance`.

use rowcast_domain::Months;
use rowcast_proto::rest::{
    ChargeType, Instance, InstanceState, Order, PatchInstance, PurchaseTask, RenewTask,
};

use crate::api::Api;
use crate::args::{Format, Shown, instance};
use crate::table::{description, plain_table, time};
use crate::usage::amount;
use crate::{find, output};

pub(super) async fn purchase(api: &Api, wanted: instance::Purchase) -> anyhow::Result<()> {
    let task = find::task(api, &wanted.task).await?;
    let order = match wanted.subscription {
        None => PurchaseTask::BY_THE_HOUR,
        Some(months) => PurchaseTask {
            charge_type: ChargeType::Subscription,
            months: Some(months.get()),
            auto_renew: wanted.auto_renew,
        },
    };
    let instance = api.purchase(&task.id, &order).await?;
    show(&instance, task.name, &wanted.shown)
}

pub(super) async fn renew(api: &Api, wanted: instance::Renew) -> anyhow::Result<()> {
    let task = find::task(api, &wanted.task).await?;
    let order = RenewTask {
        months: wanted.months.get(),
    };
    let instance = api.renew(&task.id, &order, wanted.key.as_deref()).await?;
    show(&instance, task.name, &wanted.shown)
}

pub(super) async fn run(api: &Api, wanted: instance::Instance) -> anyhow::Result<()> {
    let task = find::task(api, &wanted.task).await?;
    let instance = if wanted.auto_renew || wanted.no_auto_renew {
        let change = PatchInstance {
            auto_renew: wanted.auto_renew,
        };
        api.patch_instance(&task.id, &change).await?
    } else {
        api.instance(&task.id).await?
    };
    show(&instance, task.name, &wanted.shown)
}

fn show(instance: &Instance, task: String, shown: &Shown) -> anyhow::Result<()> {
    if shown.output == Format::Json {
        return output::json(instance);
    }
    let currency = &instance.currency;
    let mut members = vec![("id", instance.id.to_string()), ("task", task)];
    match &instance.subscription {
        None => members.push(("price an hour", amount(instance.hour_micros, currency))),
        Some(subscription) => members.extend([
            ("price a month", amount(subscription.month_micros, currency)),
            ("state", state(subscription.state).to_owned()),
            ("expires", time(&subscription.expires_at)),
            (
                "renews itself",
                itself(subscription.auto_renew, subscription.months),
            ),
        ]),
    }
    let release_at = instance
        .subscription
        .as_ref()
        .and_then(|subscription| subscription.release_at);
    members.extend(release_at.map(|at| ("released", time(&at))));
    members.push(("bought", time(&instance.purchased_at)));
    output::table(&description(members))?;
    if instance.orders.is_empty() {
        return Ok(());
    }
    output::line(format_args!(""))?;
    let mut table = plain_table(["ORDER", "AT", "WHAT", "AMOUNT", "BY"]);
    for order in &instance.orders {
        table.add_row([
            order.id.to_string(),
            time(&order.ordered_at),
            what(order),
            amount(order.amount_micros, &order.currency),
            order.actor.clone(),
        ]);
    }
    output::table(&table)
}

const fn state(state: InstanceState) -> &'static str {
    match state {
        InstanceState::Active => "active",
        InstanceState::Expired => "expired",
        InstanceState::Ended => "ended",
    }
}

fn itself(auto_renew: bool, months: u32) -> String {
    if auto_renew {
        format!("for {}", in_words(months))
    } else {
        "no".to_owned()
    }
}

fn what(order: &Order) -> String {
    match (order.renewal, order.months) {
        (_, None) => "by the hour".to_owned(),
        (false, Some(months)) => in_words(months),
        (true, Some(months)) => format!("{} more", in_words(months)),
    }
}

/// `1 month` or `3 months`.
pub(crate) fn in_words(months: u32) -> String {
    if months == Months::ONE.get() {
        "1 month".to_owned()
    } else {
        format!("{months} months")
    }
}
