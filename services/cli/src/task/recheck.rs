//! `rowcast task recheck`.

use crate::api::Api;
use crate::args::Format;
use crate::args::precheck::Recheck as Wanted;
use crate::failure::{Exit, Failure};
use crate::{checks, find, output};

/// A problem is a failure of the command.
pub(super) async fn run(api: &Api, wanted: Wanted) -> anyhow::Result<()> {
    let task = find::task(api, &wanted.task).await?;
    let found = if wanted.last {
        api.last_recheck(&task.id).await?
    } else {
        api.recheck(&task.id).await?
    };
    match wanted.shown.output {
        Format::Json => output::json(&found)?,
        Format::Table => output::line(checks::in_words("CHECK", &found.report.items))?,
    }
    if found.problems.is_empty() {
        return Ok(());
    }
    let sentence = format!(
        "what {} needs is no longer as it was at its start: {}",
        task.name,
        found.problems.join(", ")
    );
    Err(Failure::of(Exit::Failed, sentence))
}
