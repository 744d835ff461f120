//! `rowcast task networks`.

use crate::api::Api;
use crate::args::Format;
use crate::output;
use crate::table::plain_table;

const NONE: &str =
    "There is one way for clients to reach NATS: that which `rowcast group connection` tells.";

/// Shows the networks that clients of a task can use.
pub(super) async fn show(api: &Api, format: Format) -> anyhow::Result<()> {
    let networks = api.system().await?.client_networks;
    if format == Format::Json {
        return output::json(&networks);
    }
    if networks.is_empty() {
        return Ok(output::line(NONE)?);
    }
    let mut table = plain_table(["NETWORK", "URLS"]);
    for network in networks {
        table.add_row([network.name, network.urls.join(", ")]);
    }
    output::table(&table)
}
