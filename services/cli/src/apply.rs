//! `rowcast apply`.
//!
//! ```text
//! document (file) ─┐
//! present (API) ───┴─▶ plan ─▶ steps, shown or carried out one after the other
//! ```
//!
//! What the file does not name stays as it is. Only `--prune` releases tasks, and only those that carry
//! the mark of the file's set: as `kubectl apply --prune` goes by a label, so that no file can take what
//! another, or a person, has made.

pub(crate) mod document;
mod plan;
mod change;
mod conflict;
mod carry_out;

use rowcast_domain::TaskState;

use crate::api::Api;
use crate::args::{Apply, Format};
use crate::failure::{Exit, Failure};
use crate::{confirm, output};
use carry_out::{carry_out, check};
use change::SET_TAG;
use document::Document;
use plan::{Present, PresentTask, Step, StepInWords, plan};

pub(crate) async fn run(api: &Api, wanted: Apply) -> anyhow::Result<()> {
    let document = Document::read(&wanted.file)?;
    if wanted.prune && document.set.is_none() {
        let sentence = "--prune releases tasks that the file once named: say `set: NAME` in it, and \
                        apply it once before anything is taken out";
        return Err(Failure::of(Exit::Usage, sentence));
    }
    let present = look(api, &document, wanted.prune).await?;
    let steps = plan(&document, &present).map_err(|conflicts| {
        let sentence = format!(
            "{}: nothing was done; change the file, or create it anew under another name",
            conflicts.join("; ")
        );
        Failure::of(Exit::Failed, sentence)
    })?;
    if !wanted.plan {
        steps.iter().try_for_each(check)?;
        agree(&steps, &present, wanted.agreement.yes)?;
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
        let words: Vec<StepInWords> = steps.iter().map(Step::in_words).collect();
        return output::json(&words);
    }
    if steps.is_empty() {
        output::line("nothing to change")?;
    }
    Ok(())
}

/// Shows the plan and asks, where tasks are to be released.
fn agree(steps: &[Step], present: &Present, yes: bool) -> anyhow::Result<()> {
    let names: Vec<&str> = present
        .unnamed
        .iter()
        .map(|task| task.name.as_str())
        .collect();
    if names.is_empty() {
        return Ok(());
    }
    if !yes {
        for step in steps {
            output::progress(step.in_words().line());
        }
    }
    let deed = format!(
        "do this and release {} with their streams and all their groups",
        names.join(", ")
    );
    confirm::agreed(&deed, yes)
}

/// What of the document's tasks and sources is there, and what it names no longer.
async fn look(api: &Api, document: &Document, prune: bool) -> anyhow::Result<Present> {
    let mut present = Present {
        sources: api.sources().await?.sources,
        tasks: Vec::new(),
        unnamed: Vec::new(),
    };
    let set = document.set.as_ref().filter(|_set| prune);
    for task in api.tasks().await?.tasks {
        if task.state == TaskState::Released {
            continue;
        }
        if document.tasks.iter().any(|wanted| wanted.name == task.name) {
            let groups = api.groups(&task.id).await?.groups;
            present.tasks.push(PresentTask { task, groups });
        } else if set.is_some() && task.tags.get(SET_TAG) == set {
            present.unnamed.push(task);
        }
    }
    Ok(present)
}
