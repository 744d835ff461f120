//! Consumer groups: accounts, authorization, positions.
//!
//! ```text
//! questions ─▶ respond ─▶ groups ─▶ outbox ─▶ group.created, group.deleted, group.moved, group.state_changed
//!                │          │                     ▲
//!                │          ├─▶ reconcile ─▶ consumers of the tasks' streams, connections of deleted groups
//!                │          ├─▶ watch ─▶ gap ─────┘ and samples over time
//!                │          ├─▶ callout ◀─ nats-server: may this login in, and what may it do?
//!                │          └─▶ membership ◀─ members: what may I read?
//!                ├─▶ shelf: dead letters ◀─ waiting ◀─ exhausted ◀─ nats-server; redrive ─▶ members
//!                ├─▶ status: stream, consumers and members, now
//!                └─▶ seek ─▶ moving: the position, as it was wished
//! ```
//!
//! The tables say which groups are wanted; what NATS has follows them. Members of a group log in with
//! its account and password, land in an account without data of its own, and reach nothing but the
//! group's consumer.

mod config;
mod state;
mod store;
mod respond;
mod removal;
mod outbox;
mod task_released;
mod reconcile;
mod clearing;
mod reads;
mod own_consumers;
mod own_stream;
mod consumer;
mod assign;
mod give_back;
mod hearing;
mod turns;
mod membership;
mod connection;
mod servers;
mod kick;
mod old_passwords;
mod head;
mod held;
mod standing;
mod members;
mod derivation;
mod status;
mod derive;
mod gap;
mod stuck;
mod watch;
mod seek;
mod moving;
mod letter;
mod letters;
mod shelf;
mod room;
mod waiting;
mod exhausted;
mod letters_told;
mod put_away;
mod redrive;
mod attempt_limit;
mod logins;
mod callout;
mod jwt;
mod door;
mod verified;
mod seats;
mod login_record;
mod permission;
mod password;

use rowcast_bus::{Bus, publish, task_log};
use rowcast_service::{BoxError, Context, Kind, database};

use crate::callout::Callout;
use crate::state::State;

pub use config::Config;

/// The service's schema in the control-plane database.
const SCHEMA: &str = "consumer_group";

/// Connects and spawns the service's tasks.
///
/// # Errors
/// Where the database or NATS does not let us in.
pub async fn run(config: Config, context: Context) -> Result<(), BoxError> {
    let pool = database::connect(&config.database_url, SCHEMA).await?;
    sqlx::migrate!().run(&pool).await?;
    let bus = Bus::connect(&config.control).await?;
    context.send_task_log(task_log::sender(bus.clone(), "consumer-group"));
    let state = State::open(&config, pool.clone()).await?;
    let callout = Callout::connect(&config, state.clone()).await?;
    let Context {
        tasks,
        readiness: _,
        stop,
        version,
        ..
    } = context;

    logins::spawn(callout, &state, &tasks, &stop).await?;
    membership::spawn(&state, &tasks, &stop).await?;
    let server = respond::serve(&bus, &state, version).await?;
    tasks.spawn(Kind::Essential, "respond", server.run(stop.clone()));
    tasks.spawn(
        Kind::Essential,
        "reconcile",
        reconcile::run(state.clone(), stop.clone()),
    );
    let clearing = clearing::run(state.clone(), stop.clone());
    tasks.spawn(Kind::Essential, "clear deleted groups", clearing);
    let deriving_state = state.clone();
    tasks.spawn(
        Kind::Essential,
        "dead letters",
        exhausted::run(state.clone(), stop.clone()),
    );
    tasks.spawn(
        Kind::Essential,
        "redriven letters",
        redrive::tidy(state.clone(), stop.clone()),
    );
    let watching = watch::run(state.clone(), stop.clone());
    tasks.spawn(Kind::Essential, "watch", watching);
    tasks.spawn(
        Kind::Essential,
        "task-released",
        task_released::run(bus.clone(), state, stop.clone()),
    );
    let deriving = derive::Deriving::open(deriving_state, bus.clone()).await?;
    tasks.spawn(
        Kind::Essential,
        "derive",
        derive::run(deriving, tasks.clone(), stop.clone()),
    );
    let relay = rowcast_service::outbox::relay(pool, SCHEMA, stop, async move |fact| {
        publish::send(&bus, fact).await
    });
    tasks.spawn(Kind::Essential, "outbox", relay);
    Ok(())
}
