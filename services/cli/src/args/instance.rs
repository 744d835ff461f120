//! `rowcast task purchase`, `renew` and `instance`.

use rowcast_domain::Months;

use super::Shown;

#[derive(Debug, clap::Args)]
pub(crate) struct Purchase {
    /// Name or id of the task
    pub(crate) task: String,
    /// Pay in advance for so many months: 1 to 9, 12, 24, 36 or 60 [default: pay by the hour]
    #[arg(long, value_name = "MONTHS", value_parser = purchase_months)]
    pub(crate) subscription: Option<Months>,
    /// Renew it by itself when it expires, for as many months and at the price of then
    #[arg(long, requires = "subscription")]
    pub(crate) auto_renew: bool,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Renew {
    /// Name or id of the task
    pub(crate) task: String,
    /// For how many months, 1 to 60; they begin where the paid ones end
    #[arg(long, value_name = "MONTHS", value_parser = renewal_months)]
    pub(crate) months: Months,
    /// The order's key: the same key renews once, however often it is said [default: each time another order]
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Instance {
    /// Name or id of the task
    pub(crate) task: String,
    /// Renew the subscription by itself when it expires
    #[arg(long)]
    pub(crate) auto_renew: bool,
    /// Let it expire
    #[arg(long, conflicts_with = "auto_renew")]
    pub(crate) no_auto_renew: bool,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

fn purchase_months(text: &str) -> Result<Months, String> {
    let months = text
        .parse()
        .map_err(|_no_number| "give a number of months".to_owned())?;
    Months::of_purchase(months).map_err(|error| error.to_string())
}

fn renewal_months(text: &str) -> Result<Months, String> {
    let months = text
        .parse()
        .map_err(|_no_number| "give a number of months".to_owned())?;
    Months::of_renewal(months).map_err(|error| error.to_string())
}
