//! Names of the metrics, and what they mean.

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};
use rowcast_domain::TaskId;

/// Changes and other messages acknowledged by the stream.
pub(crate) const MESSAGES: &str = "rowcast_capture_messages_total";

/// WAL on the source that is not confirmed yet.
pub(crate) const LAG_BYTES: &str = "rowcast_capture_lag_bytes";

/// Interruptions, by what they mean.
pub(crate) const INTERRUPTIONS: &str = "rowcast_capture_interruptions_total";

/// Tasks that this process holds.
pub(crate) const TASKS: &str = "rowcast_capture_tasks";

/// Tells the exporter about them.
pub(crate) fn describe() {
    describe_counter!(
        MESSAGES,
        Unit::Count,
        "messages acknowledged by the task's stream"
    );
    describe_gauge!(
        LAG_BYTES,
        Unit::Bytes,
        "WAL of the source that is not confirmed yet"
    );
    describe_counter!(
        INTERRUPTIONS,
        Unit::Count,
        "interruptions of tasks, by error code"
    );
    describe_gauge!(TASKS, Unit::Count, "tasks that this process holds");
}

/// A running task was looked at.
pub(crate) fn progress(task: &TaskId, lag_bytes: u64, messages: u64) {
    // Precise enough for a gauge.
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
    gauge!(LAG_BYTES, "task" => task.to_string()).set(lag_bytes as f64);
    counter!(MESSAGES, "task" => task.to_string()).increment(messages);
}

/// A task was interrupted.
pub(crate) fn interruption(code: &'static str) {
    counter!(INTERRUPTIONS, "code" => code).increment(1);
}

/// So many tasks are held.
pub(crate) fn tasks(held: usize) {
    gauge!(TASKS).set(u32::try_from(held).unwrap_or(u32::MAX));
}
