//! `rowcast source addresses`.

use crate::api::Api;
use crate::args::Format;
use crate::output;

const UNKNOWN: &str = "Whoever runs the platform has not said from where it connects (ROWCAST_EGRESS_ADDRESSES of task-api). \
     Where a source can be reached, `rowcast source test` tells the address in its step for TCP.";

/// Shows what sources must let in.
pub(super) async fn show(api: &Api, format: Format) -> anyhow::Result<()> {
    let system = api.system().await?;
    if format == Format::Json {
        return output::json(&system);
    }
    if system.egress_addresses.is_empty() {
        output::line(UNKNOWN)?;
    }
    for address in &system.egress_addresses {
        output::line(address)?;
    }
    Ok(output::line(format_args!("\n{}", system.egress_advice))?)
}
