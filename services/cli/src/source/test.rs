//! `rowcast source test`, and `rowcast source create --test`.

use rowcast_proto::rest::{CheckOutcome, SourceTest};

use crate::api::Api;
use crate::args::Format;
use crate::failure::{Exit, Failure};
use crate::{checks, find, output};

pub(super) async fn run(api: &Api, source: &str, format: Format) -> anyhow::Result<()> {
    let source = find::source(api, source).await?;
    show(&source.name, &api.test_source(&source.id).await?, format)
}

/// A failed step is a failure of the command.
pub(super) fn show(name: &str, test: &SourceTest, format: Format) -> anyhow::Result<()> {
    match format {
        Format::Json => output::json(test)?,
        Format::Table => output::line(checks::in_words("STEP", &test.steps))?,
    }
    let failed = |outcome: CheckOutcome| outcome == CheckOutcome::Fail;
    match test.steps.iter().find(|step| failed(step.outcome)) {
        Some(step) => {
            let sentence = format!("{name} failed at {}: {}", step.code, step.cause);
            Err(Failure::of(Exit::Failed, sentence))
        }
        None => Ok(()),
    }
}
