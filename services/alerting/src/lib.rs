//! Incidents when a task fails or falls behind, what it needs changes, or a group loses what it has not read.
//!
//! ```text
//! TaskStateChanged ─▶ state_changed ─▶ incident: raise or resolve? ─▶ store ─▶ outbox ─▶ IncidentRaised
//! TaskRechecked ────▶ rechecked ───────────────────────────────────────▶│                IncidentResolved
//! GroupStateChanged, GroupDeleted ─▶ group_changed ────────────────────▶│
//! wishes, reports, rules ─▶ watch ─▶ judge ────────────────────────────▶│
//!                                                  ListIncidents ◀──────┤
//!                 contacts, rules: notify ─▶ deliveries ─▶ deliver ◀────┘
//! ```
//!
//! The incident, what contacts are to be told, the id of the event that caused it and the fact that tells of
//! it are written in one transaction: an event that comes twice does nothing the second time.

mod config;
mod error;
mod state_changed;
mod rechecked;
mod group_changed;
mod delay;
mod rule;
mod tasks;
mod reading;
mod judge;
mod watch;
mod incident;
mod fact;
mod notify;
mod webhook;
mod mail;
mod deliver;
mod contacts;
mod rules;
mod answer;
mod store;
mod list_incidents;

use rowcast_bus::{Bus, consume, provision, publish, task_log};
use rowcast_proto::message::{TaskRechecked, TaskStateChanged};
use rowcast_proto::stream::TASKS;
use rowcast_service::keyring::Keyring;
use rowcast_service::{BoxError, Context, Kind, database, outbox};

use deliver::Sender;
use mail::Mailer;

pub use config::{Config, MailConfig};

/// The service's name on the bus, and its schema.
const NAME: &str = "alerting";

/// Contacts told at a time: one that does not answer holds up few others.
const TELLERS: usize = 4;

/// The consumer of rechecks.
const RECHECKS: &str = "alerting-rechecks";

/// Connects and spawns: the consumers of events, the judge of delays, the relay of facts, what tells
/// contacts, the answers.
///
/// # Errors
/// Where the database or NATS does not let us in.
pub async fn start(config: Config, context: Context) -> Result<(), BoxError> {
    let pool = database::connect(&config.database_url, NAME).await?;
    sqlx::migrate!().run(&pool).await?;
    let bus = Bus::connect(&config.nats).await?;
    context.send_task_log(task_log::sender(bus.clone(), "alerting"));
    let Context {
        tasks,
        stop,
        version,
        ..
    } = context;

    let keyring = Keyring::from_secret(&config.secret_key)?;
    let mailer = config.mail.map(|mail| Mailer::new(&mail.url, mail.from));
    let sender = Sender {
        pool: pool.clone(),
        keyring,
        networks: config.webhook_networks,
        mailer: mailer.transpose()?,
    };
    let server = answer::serve(&bus, &sender, version).await?;
    tasks.spawn(Kind::Essential, "answer", server.run(stop.clone()));
    for _ in 0..TELLERS {
        let telling = deliver::run(sender.clone(), stop.clone());
        tasks.spawn(Kind::Essential, "tell contacts", telling);
    }

    let wishes = provision::bucket(&bus, &TASKS).await?;
    let (takes_into, asks) = (pool.clone(), wishes.clone());
    let events = consume::<TaskStateChanged, _, _>(bus.clone(), NAME, stop.clone(), move |event| {
        let (pool, wishes) = (takes_into.clone(), asks.clone());
        async move {
            let taken = state_changed::take(&pool, &wishes, event).await;
            taken.map_err(Into::into)
        }
    });
    tasks.spawn(Kind::Essential, "consume", events);
    let (takes_into, asks) = (pool.clone(), wishes.clone());
    let rechecks =
        consume::<TaskRechecked, _, _>(bus.clone(), RECHECKS, stop.clone(), move |event| {
            let (pool, wishes) = (takes_into.clone(), asks.clone());
            async move {
                let taken = rechecked::take(&pool, &wishes, event).await;
                taken.map_err(Into::into)
            }
        });
    tasks.spawn(Kind::Essential, "consume rechecks", rechecks);
    for (name, consuming) in group_changed::consumers(&bus, &pool, &wishes, &stop) {
        tasks.spawn(Kind::Essential, name, consuming);
    }

    let judging = watch::run(pool.clone(), bus.clone(), stop.clone());
    tasks.spawn(Kind::Essential, "judge", judging);

    let relay = outbox::relay(pool, NAME, stop, async move |fact| {
        publish::send(&bus, fact).await
    });
    tasks.spawn(Kind::Essential, "relay", relay);
    Ok(())
}
