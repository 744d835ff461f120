//! How fast one caller may ask: so many requests a second, and some more at once. Counted by each process
//! for itself.

use std::num::NonZeroU32;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use governor::clock::Clock as _;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::Caller;
use crate::error::ApiError;
use crate::state::App;

/// How many seconds' worth of requests may come at once.
const BURST_SECONDS: u32 = 5;

/// Counts requests by caller.
#[derive(Debug)]
pub(crate) struct Pace {
    a_second: NonZeroU32,
    asked: DefaultKeyedRateLimiter<String>,
}

impl Pace {
    /// Of so many requests a second for each caller.
    pub(crate) fn new(a_second: NonZeroU32) -> Self {
        let burst = a_second.saturating_mul(NonZeroU32::MIN.saturating_add(BURST_SECONDS - 1));
        let quota = Quota::per_second(a_second).allow_burst(burst);
        Self {
            a_second,
            asked: RateLimiter::keyed(quota),
        }
    }

    /// Counts a request; the time to wait where it is one too many.
    fn count(&self, caller: &str) -> Result<(), Duration> {
        self.asked
            .check_key(&caller.to_owned())
            .map_err(|early| early.wait_time_from(self.asked.clock().now()))
    }

    /// Forgets callers that have not asked for a while.
    pub(crate) fn forget(&self) {
        self.asked.retain_recent();
    }
}

/// Refuses what comes too fast.
pub(crate) async fn keep_pace(
    State(app): State<App>,
    caller: Caller,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let pace = app.pace();
    pace.count(caller.key()).map_err(|wait| {
        let detail = format!("more than {} requests a second of one token", pace.a_second);
        ApiError::refused(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail)
            .retry_after(wait)
            .repair("Wait as long as Retry-After says, and ask less often.")
    })?;
    Ok(next.run(request).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_that_asks_too_fast_waits_and_no_other_does() {
        let pace = Pace::new(NonZeroU32::MIN);
        for _ in 0..BURST_SECONDS {
            assert_eq!(pace.count("fast"), Ok(()));
        }
        let wait = pace.count("fast").unwrap_err();
        assert!(
            wait > Duration::ZERO && wait <= Duration::from_secs(1),
            "{wait:?}"
        );
        assert_eq!(pace.count("other"), Ok(()));
    }
}
