//! `rowcast prices`.

use crate::api::Api;
use crate::args::Format;
use crate::output;
use crate::table::description;
use crate::usage::amount;

pub(crate) async fn run(api: &Api, format: Format) -> anyhow::Result<()> {
    let prices = api.prices().await?;
    if format == Format::Json {
        return output::json(&prices);
    }
    let months: Vec<String> = prices.months.iter().map(u32::to_string).collect();
    output::table(&description(vec![
        ("an hour", amount(prices.hour_micros, &prices.currency)),
        ("a month", amount(prices.month_micros, &prices.currency)),
        ("sold for months", months.join(", ")),
        ("price list", prices.price_version),
    ]))
}
