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

/// Times that publishing ended with batches of which nobody knows whether they are stored.
pub(crate) const UNKNOWN_OUTCOMES: &str = "rowcast_capture_unknown_outcomes_total";

/// Times that the end of a task's stream was read: at each start, and after each unknown outcome.
pub(crate) const TAIL_READS: &str = "rowcast_capture_tail_reads_total";

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
    describe_counter!(
        UNKNOWN_OUTCOMES,
        Unit::Count,
        "times that publishing ended with batches whose outcome is unknown"
    );
    describe_counter!(
        TAIL_READS,
        Unit::Count,
        "times that the end of a task's stream was read before publishing"
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

/// Nobody knows whether the last batches are stored.
pub(crate) fn unknown_outcome() {
    counter!(UNKNOWN_OUTCOMES).increment(1);
}

/// The end of a stream was read.
pub(crate) fn tail_read() {
    counter!(TAIL_READS).increment(1);
}

/// So many tasks are held.
pub(crate) fn tasks(held: usize) {
    gauge!(TASKS).set(u32::try_from(held).unwrap_or(u32::MAX));
}
