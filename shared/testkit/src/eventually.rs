//! Waiting for a fact instead of for a time.

use std::time::Duration;

use tokio::time::Instant;

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// Waits until `fact` holds.
///
/// # Panics
/// With `what`, where it does not hold within `limit`.
#[track_caller]
pub fn eventually(
    what: &str,
    limit: Duration,
    fact: impl AsyncFn() -> bool,
) -> impl Future<Output = ()> {
    // The place of the call, not of this function, is what a failed test must show.
    let place = std::panic::Location::caller();
    async move {
        let deadline = Instant::now() + limit;
        while !fact().await {
            assert!(
                Instant::now() < deadline,
                "{what}: not within {} s, at {place}",
                limit.as_secs_f32()
            );
            tokio::time::sleep(LOOK).await;
        }
    }
}
