//! What a request that lost its process, or its time, has left behind.

use std::time::Duration;

use rowcast_domain::TaskEvent;
use rowcast_service::{BoxError, CancellationToken};

use crate::clock;
use crate::error::ApiError;
use crate::http::{IfMatch, PRECHECK_TIMEOUT, delete_source};
use crate::lifecycle::{self, Step};
use crate::state::App;
use crate::store::{audit, idempotency, kept_order, source, task};

const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// A precheck that is older has nobody who waits for its report.
const PRECHECK_LOST_AFTER: Duration = PRECHECK_TIMEOUT.saturating_add(Duration::from_secs(30));

/// How long an answer is kept for a request that is sent again.
const ANSWERS_KEPT: Duration = Duration::from_secs(24 * 3600);

/// How long an order is kept for a task that is never configured.
const ORDERS_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// Sweeps until told to stop.
///
/// # Errors
/// None: a sweep that fails is made again.
pub(crate) async fn run(app: App, stop: CancellationToken) -> Result<(), BoxError> {
    while !stop.is_cancelled() {
        if let Some(Err(error)) = stop.run_until_cancelled(sweep(&app)).await {
            tracing::warn!(error = %error, "sweep failed");
        }
        stop.run_until_cancelled(tokio::time::sleep(SWEEP_EVERY))
            .await;
    }
    Ok(())
}

async fn sweep(app: &App) -> Result<(), ApiError> {
    let now = clock::now();
    for id in task::prechecking_since(app.pool(), now - PRECHECK_LOST_AFTER).await? {
        let reason = "no report: the precheck was cut off";
        let step = Step::requested(TaskEvent::PrecheckFailed, "service:task-api", reason);
        match lifecycle::take(app, &id, step).await {
            Ok(_) => {}
            // It has ended meanwhile.
            Err(ApiError::Transition(_)) => {}
            Err(error) => return Err(error),
        }
    }
    for id in source::unneeded(app.pool()).await? {
        // One whose release is not known to the bucket yet, or has met an error, is still needed.
        match delete_source::delete(app, &id, &IfMatch::ANY).await {
            Ok(needing) if needing.is_empty() => {
                tracing::info!(source = %id, "source deleted with its task");
            }
            Ok(_needing) => {}
            // Its user was faster, or it is tried again.
            Err(error) => tracing::debug!(source = %id, error = %error, "source not deleted"),
        }
    }
    idempotency::forget(app.pool(), now - ANSWERS_KEPT).await?;
    kept_order::forget_unneeded(app.pool(), now - ORDERS_KEPT).await?;
    audit::forget(app.pool(), now - app.audit_kept()).await?;
    app.pace().forget();
    app.door().forget();
    Ok(())
}
