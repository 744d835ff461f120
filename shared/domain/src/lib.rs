//! Pure values that every part of Rowcast shares. No I/O, no clock, no dependency on another crate
//! of ours.

mod id;
mod lsn;
mod position;
mod table;
mod selection;
mod task_state;
mod task_command;
mod months;
mod backoff;
mod backlog;
mod fact;
mod task_line;
mod secret;

pub use backlog::Backlog;
pub use backoff::Backoff;
pub use fact::Fact;
pub use id::{
    ContactId, DeliveryId, GroupId, IncidentId, InstanceId, OrderId, ParseIdError, SourceId,
    TaskId, TokenId,
};
pub use lsn::{Lsn, ParseLsnError};
pub use months::{Months, UnsoldMonths};
pub use position::{ParsePositionError, Position};
pub use secret::Secret;
pub use selection::{SchemaSelector, Selector};
pub use table::TableName;
pub use task_command::TaskCommand;
pub use task_line::TaskLine;
pub use task_state::{IllegalTransition, TaskEvent, TaskState};
