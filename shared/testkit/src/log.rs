//! Logs of a test.

use tracing_subscriber::EnvFilter;

/// Writes the test's own log lines, as `RUST_LOG` asks, where the test runner captures them.
///
/// More than one call is one call.
pub fn init_tracing() {
    // An error means that the test has set up a log already.
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::from_default_env())
        .with_test_writer()
        .try_init()
        .unwrap_or_default();
}
