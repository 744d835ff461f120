//! Answers `TestSource`.

use chrono::Utc;
use rowcast_pg::ConnectOptions;
use rowcast_proto::message::{RpcError, SourceTest, TestSourceRequest};

use crate::error::Error;
use crate::provider::Provider;
use crate::steps::{self, STEP_TIMEOUT};
use crate::target::{self, Access};

/// Goes to the source and tells how far the way leads.
///
/// # Errors
/// Where the question itself is at fault; a source that is at fault is what the answer is about.
pub(crate) async fn answer(
    access: &Access,
    request: TestSourceRequest,
) -> Result<SourceTest, RpcError> {
    let started_at = Utc::now();
    let source = request.source.ok_or(Error::Missing("source"))?;
    let source_id = source.source_id.clone();
    let options = ConnectOptions {
        connect_timeout: STEP_TIMEOUT,
        ..target::connect_options(access, source)?
    };
    let mut walk = Box::pin(steps::walk(&options)).await;
    let provider = Provider::of(&request.kind);
    for step in &mut walk.steps {
        provider.advise(step);
    }
    let passed = walk.passed();
    tracing::info!(source = source_id, passed, "source tested");
    Ok(SourceTest {
        passed,
        steps: walk.steps,
        server_version: walk.version.unwrap_or_default(),
        databases: walk.databases,
        started_at: Some(started_at.into()),
        finished_at: Some(Utc::now().into()),
    })
}
