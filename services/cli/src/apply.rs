//! `rowcast apply`.
//!
//! ```text
//! document (file) ─┐
//! present (API) ───┴─▶ plan ─▶ steps, shown or carried out one after the other
//! ```
//!
//! Nothing is removed: what the file does not name stays as it is.

pub(crate) mod document;
mod plan;
mod change;
mod conflict;
mod carry_out;

use rowcast_domain::TaskState;

use crate::api::Api;
use crate::args::{Apply, Format};
use crate::failure::{Exit, Failure};
use crate::output;
use carry_out::{carry_out, check};
use document::Document;
use plan::{Present, PresentTask, StepInWords, plan};

pub(crate) async fn run(api: &Api, wanted: Apply) -> anyhow::Result<()> {
    let document = Document::read(&wanted.file)?;
    let present = look(api, &document).await?;
    let steps = plan(&document, &present).map_err(|conflicts| {
        let sentence = format!(
            "{}: nothing was done; change the file, or create it anew under another name",
            conflicts.join("; ")
        );
        Failure::of(Exit::Failed, sentence)
    })?;
    if !wanted.plan {
        steps.iter().try_for_each(check)?;
    }
    for step in &steps {
        if !wanted.plan {
            carry_out(api, step, wanted.timeout).await?;
        }
        if wanted.shown.output == Format::Table {
            output::line(step.in_words().line())?;
        }
    }
    if wanted.shown.output == Format::Json {
        let words: Vec<StepInWords> = steps.iter().map(plan::Step::in_words).collect();
        return output::json(&words);
    }
    if steps.is_empty() {
        output::line("nothing to change")?;
    }
    Ok(())
}

/// What of the document's tasks and sources is there.
async fn look(api: &Api, document: &Document) -> anyhow::Result<Present> {
    let mut present = Present {
        sources: api.sources().await?.sources,
        tasks: Vec::new(),
    };
    for task in api.tasks().await?.tasks {
        let is_named = document.tasks.iter().any(|wanted| wanted.name == task.name);
        if is_named && task.state != TaskState::Released {
            let groups = api.groups(&task.id).await?.groups;
            present.tasks.push(PresentTask { task, groups });
        }
    }
    Ok(present)
}
