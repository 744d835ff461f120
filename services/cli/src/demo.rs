//! The demo: a shop that is tracked.
//!
//! ```text
//! database ─▶ source ─▶ task (precheck, purchase, start) ─▶ groups ─▶ guide for the user
//! writer ─▶ shop ─▶ … the platform … ─▶ group live ─▶ terminal
//! ```
//!
//! Everything is found by its name, so that the next `up` goes on with it. The terminal reads as a
//! group of its own: what the user's group has not read stays unread.

mod database;
mod task;
mod group;
mod guide;
mod writer;
mod live;

use std::collections::BTreeMap;

use anyhow::bail;
use rowcast_client::GroupCredentials;
use rowcast_local::State;
use rowcast_proto::rest::{CreateSource, Source, SslMode};

use crate::api::Api;
use crate::output;
use crate::platform_file::DemoEntry;
use database::{ROLE, SHOP};

pub(crate) use database::Shop;
pub(crate) use guide::guide;

/// The demo, ready to be written to and read.
#[derive(Debug)]
pub(crate) struct Demo {
    shop: Shop,
    live: GroupCredentials,
    /// What scripts and the user need to know of it.
    pub(crate) entry: DemoEntry,
}

impl Demo {
    /// Makes what is missing of it, and waits until changes flow.
    pub(crate) async fn prepare(api: &Api, state: &State, shop: Shop) -> anyhow::Result<Self> {
        let source = source(api, &shop).await?;
        let task = task::running(api, &source.id).await?;
        output::line("demo: consumer groups live and demo")?;
        let (live_entry, live) = group::open(api, state, &task.id, "live").await?;
        let (demo, _) = group::open(api, state, &task.id, "demo").await?;
        Ok(Self {
            entry: DemoEntry {
                source_dsn: shop.dsn().expose().to_owned(),
                source_id: source.id,
                task_id: task.id,
                groups: vec![demo, live_entry],
            },
            shop,
            live,
        })
    }

    /// Writes to the shop and shows what comes of it, until it is dropped or the terminal is closed.
    pub(crate) async fn play(self) -> anyhow::Result<()> {
        tokio::select! {
            shown = live::show(self.live) => shown,
            () = writer::write(&self.shop) => Ok(()),
        }
    }
}

async fn source(api: &Api, shop: &Shop) -> anyhow::Result<Source> {
    let known = api.sources().await?.sources;
    let Some(source) = known.into_iter().find(|source| source.name == SHOP) else {
        output::line("demo: source shop")?;
        let wanted = CreateSource {
            tags: BTreeMap::new(),
            resource_group: None,
            name: SHOP.to_owned(),
            host: "127.0.0.1".to_owned(),
            port: shop.port,
            database: SHOP.to_owned(),
            account: ROLE.to_owned(),
            password: shop.password.expose().to_owned(),
            // Nothing leaves this machine.
            sslmode: SslMode::Disable,
            sslrootcert: None,
            sslcert: None,
            sslkey: None,
            kind: None,
            region: None,
            instance_id: None,
        };
        return api.create_source(&wanted).await;
    };
    if source.port != shop.port {
        bail!(
            "the source shop is registered with port {}, but PostgreSQL listens on {}: \
             put the old port back into ports.json, or begin anew with `rowcast reset`",
            source.port,
            shop.port
        );
    }
    Ok(source)
}
