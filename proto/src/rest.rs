//! Bodies of the REST API under `/api/v1`.

mod source;
mod objects;
mod task;
mod group;
mod group_delivery;
mod on_exhausted;
mod group_status;
mod derivation;
mod dead_letter;
mod problem;
mod precheck;
mod billing;
mod access;
mod plan;
mod etl;
mod alerting;
mod contact;
mod rule;
mod form;
mod progress;
mod log;
mod system;

pub use access::{AuditEntry, AuditLog, CreateToken, NewToken, Role, Token, TokenList};
pub use alerting::Alerting;
pub use billing::{
    ChargeType, Incident, IncidentList, Instance, InstanceState, Order, PatchInstance, Prices,
    PurchaseTask, RenewTask, Subscription, UsageLine, UsageList,
};
pub use contact::{
    Contact, ContactKind, ContactList, ContactTest, CreateContact, IncidentEvent, IncidentNotice,
    PatchContact,
};
pub use dead_letter::{DeadLetter, DeadLetterCause, DeadLetterList, DeadLettersDone, SkipChange};
pub use derivation::{Derivation, DerivationState};
pub use etl::{Etl, OnRowError};
pub use form::{Format, Packing, default_partitions};
pub use group::{
    CreateGroup, Group, GroupConnection, GroupFormat, GroupList, GroupMode, PartitionConsumer,
    PatchGroup,
};
pub use group_delivery::GroupDelivery;
pub use group_status::{
    GroupHistory, GroupMember, GroupSample, GroupState, GroupStatus, MoveGroup, StreamPosition,
    StreamRange, StuckChange,
};
pub use log::{LogLevel, LogLine, TaskLog};
pub use objects::{ObjectLevel, SchemaSummary, SourceObjects, TableSummary};
pub use on_exhausted::OnExhausted;
pub use plan::{ChangeObjects, ObjectsPlan, ReleasePlan, ReleasedItem, ReleasedKind};
pub use precheck::{
    CheckItem, CheckName, CheckOutcome, IgnoreChecks, Ignored, Precheck, PrecheckBegun,
    PrecheckEnded, PrecheckState, PrecheckSummary, Recheck, RunPrecheck,
};
pub use problem::Problem;
pub use progress::{
    Consumption, HeldRange, TaskError, TaskPosition, TaskTransition, TaskTransitionList,
};
pub use rule::{CreateRule, PatchRule, Rule, RuleList, RuleMetric, Severity, default_enabled};
pub use source::{
    CreateSource, PatchSource, Source, SourceKind, SourceList, SourceTest, SslMode, default_port,
};
pub use system::{ClientNetwork, System};
pub use task::{
    AcceptableStop, ChangeTypes, CloneTask, CreateTask, DataChange, OWN_TAGS, Objects,
    PatchChangeTypes, PatchTask, Retention, SchemaObjects, StartTask, Task, TaskList, TaskPreview,
    default_retry_minutes,
};
