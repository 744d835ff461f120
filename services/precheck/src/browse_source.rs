//! Answers `BrowseSource`.

use std::time::Duration;

use rowcast_bus::refuse::{self, Refusal as _};
use rowcast_pg::{ConnectOptions, connect};
use rowcast_proto::message::{BrowseRequest, ObjectPage, RpcError};

use crate::browse::{self, Wanted, parse_after};
use crate::diagnosis::Diagnosis;
use crate::error::Error;
use crate::target::{self, Access};

/// How long a page may take, the login included.
const PAGE_TIMEOUT: Duration = Duration::from_secs(15);

/// More tables would not fit into an answer on the bus where their keys are wide.
const LIMIT_MAX: u32 = 200;

/// Lists what a source has.
///
/// # Errors
/// Where the question is at fault, or the source cannot be read.
pub(crate) async fn answer(
    access: &Access,
    request: BrowseRequest,
) -> Result<ObjectPage, RpcError> {
    let level = request.level();
    let wanted = Wanted {
        level,
        after: parse_after(level, &request.after)?,
        schema: request.schema,
        search: request.search,
        partitions: request.partitions,
        limit: usize::try_from(request.limit.clamp(1, LIMIT_MAX)).unwrap_or(1),
    };
    let source = request.source.ok_or(Error::Missing("source"))?;
    let options = target::connect_options(access, source)?;
    let read = async {
        let session = connect(&options).await?;
        browse::page(&session, &wanted).await
    };
    let late = rowcast_pg::Error::Timeout {
        step: "listing objects",
        limit: PAGE_TIMEOUT,
    };
    let read = tokio::time::timeout(PAGE_TIMEOUT, Box::pin(read))
        .await
        .unwrap_or(Err(Error::Source(late)));
    match read {
        Ok(page) => Ok(page),
        Err(Error::Source(error)) => Err(unreadable(&error, &options).await),
        Err(
            error @ (Error::TaskId(_)
            | Error::Missing(_)
            | Error::Port(_)
            | Error::SslMode(_)
            | Error::Password(_)
            | Error::NoSchema(_)
            | Error::After),
        ) => Err(error.into()),
    }
}

async fn unreadable(error: &rowcast_pg::Error, options: &ConnectOptions) -> RpcError {
    let Diagnosis {
        name,
        cause,
        repair,
    } = Diagnosis::by_trying(error, options).await;
    let detail = format!("{cause} ({error})");
    if name == "database_missing" {
        let refusal = refuse::not_found("database_not_found", detail);
        return refusal.field("database").repair(repair);
    }
    // As it is registered, it cannot be read: we ourselves are well.
    refuse::conflict(&format!("source_{name}"), detail).repair(repair)
}
