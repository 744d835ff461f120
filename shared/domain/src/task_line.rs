//! A line of a service's log, on its way to the users of the task that it is about.

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::TaskId;

/// What a service wrote about a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskLine {
    /// When.
    pub at: SystemTime,
    /// How much it matters: `info`, `warn` or `error`.
    pub level: &'static str,
    /// The task.
    pub task: TaskId,
    /// What happened.
    pub message: String,
    /// What is said beside it.
    pub fields: BTreeMap<String, String>,
    /// The trace that it belongs to, in hexadecimal; empty for none.
    pub trace_id: String,
}
