//! Bodies of the REST API under `/api/v1`.

mod source;
mod objects;
mod task;
mod group;
mod problem;
mod billing;

pub use billing::{
    ChargeType, Incident, IncidentList, Instance, PurchaseTask, UsageLine, UsageList,
};
pub use group::{CreateGroup, Group, GroupConnection, GroupList, GroupMode};
pub use objects::{ObjectLevel, SchemaSummary, SourceObjects, TableSummary};
pub use problem::Problem;
pub use source::{CreateSource, PatchSource, Source, SourceKind, SourceList, SourceTest, SslMode};
pub use task::{
    AcceptableStop, ChangeTypes, CheckItem, CheckOutcome, CreateTask, DataChange, Objects, Packing,
    PatchTask, Precheck, Retention, SchemaObjects, StartTask, Task, TaskError, TaskList,
    TaskPosition, TaskTransition, TaskTransitionList,
};
