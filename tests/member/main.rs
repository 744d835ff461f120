//! A member of a group, for tests that kill and pause it. `rowcast_e2e::Member` starts it.

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    rowcast_e2e::deal().await
}
