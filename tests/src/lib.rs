//! The platform from outside, over the wire only: what its tests share.

mod api;
mod command_line;
mod example;
mod reading;
mod shop;
mod recorder;
mod traces;
mod log;
mod order;
mod member;
mod deal;
mod copy;
mod variable;
pub mod first_contract;

pub use api::Api;
pub use command_line::Shell;
pub use copy::Copy;
pub use deal::run as deal;
pub use example::{Language, Sample};
pub use log::{Dealing, Log};
pub use member::{Member, program};
pub use order::{Unit, check};
pub use reading::{is_count, read_on_until, read_until};
pub use recorder::Recorder;
pub use shop::{Group, PASSWORD, Shop, Tracked, data, untracked_shop};
pub use traces::{Span, TraceReceiver};
pub use variable::variable;

use std::time::Duration;

/// How long anything may take that a user would wait for.
pub const PATIENCE: Duration = Duration::from_secs(60);
