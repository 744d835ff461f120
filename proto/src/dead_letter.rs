//! Headers of a dead letter, beside those that its message had.
//!
//! Read by consumer-group, and by clients of what is redriven.

/// The subject that the message had.
pub const SUBJECT: &str = "Rowcast-Dead-Subject";

/// Its sequence in the task's stream.
pub const SEQUENCE: &str = "Rowcast-Dead-Sequence";

/// When the task's stream stored it, in nanoseconds of Unix.
pub const STORED_AT: &str = "Rowcast-Dead-Stored-At";

/// Why it is a dead letter: `exhausted`, `given_up`, `skipped`.
pub const CAUSE: &str = "Rowcast-Dead-Cause";

/// How often it was sent to members of the group, over all redrives.
pub const ATTEMPTS: &str = "Rowcast-Dead-Attempts";

/// What the last member said of it.
pub const ERROR: &str = "Rowcast-Dead-Error";

/// How often it was redriven before.
pub const REDRIVEN: &str = "Rowcast-Dead-Redriven";

/// Its body was gone already.
pub const WITHOUT_BODY: &str = "Rowcast-Dead-Without-Body";
