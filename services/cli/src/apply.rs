//! `rowcast apply`.
//!
//! ```text
//! document (file) ─┐
//! present (API) ───┴─▶ plan ─▶ steps, shown or carried out one after the other
//! ```
//!
//! What the file does not name stays as it is. Only `--prune` releases tasks and deletes sources, and only
//! those that carry the mark of the file's set: as `kubectl apply --prune` goes by a label, so that no file can take what
//! another, or a person, has made.

pub(crate) mod document;
mod plan;
mod words;
mod change;
mod conflict;
mod contact;
pub(crate) mod rule;
pub(crate) mod ignored;
mod carry_out;

use rowcast_domain::TaskState;
use rowcast_proto::rest::{Source, Task};

use crate::api::Api;
use crate::args::{Apply, Format};
use crate::failure::{Exit, Failure};
use crate::{confirm, find, output};
pub(crate) use carry_out::source_of;
use carry_out::{carry_out, check};
use change::SET_TAG;
pub(crate) use change::is_fresh;
use document::{Document, TaskEntry};
use plan::{Present, PresentTask, Step, UnnamedSource, plan};
use words::StepInWords;

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

/// The task of which a step removes what is kept now.
fn shortened(step: &Step, present: &Present) -> Option<String> {
    let Step::UpdateTask { task, patch, .. } = step else {
        return None;
    };
    let there = present
        .tasks
        .iter()
        .find(|there| there.task.name == *task)?;
    let wanted = patch.retention.as_ref()?;
    let loses = !is_fresh(there.task.state) && wanted.keeps_less_than(&there.task.retention);
    loses.then(|| task.clone())
}

/// Shows the plan and asks, where something is removed that is there.
fn agree(steps: &[Step], present: &Present, yes: bool) -> anyhow::Result<()> {
    let tasks = present.unnamed.iter().map(|task| &task.name);
    let sources = present
        .unnamed_sources
        .iter()
        .map(|known| &known.source.name);
    let shortened = steps.iter().filter_map(|step| shortened(step, present));
    let mut deeds = Vec::new();
    for (deed, names) in [
        (
            "release with stream and groups: ",
            tasks.cloned().collect::<Vec<_>>(),
        ),
        ("delete the sources: ", sources.cloned().collect()),
        (
            "keep less, and remove what is older at once, of: ",
            shortened.collect(),
        ),
    ] {
        if !names.is_empty() {
            deeds.push(format!("{deed}{}", names.join(", ")));
        }
    }
    if deeds.is_empty() {
        return Ok(());
    }
    if !yes {
        for step in steps {
            output::progress(step.in_words().line());
        }
    }
    confirm::agreed(&deeds.join(", and "), yes)
}

/// What of the document's tasks and sources is there, and what it names no longer.
async fn look(api: &Api, document: &Document, prune: bool) -> anyhow::Result<Present> {
    let mut tasks = api.tasks().await?.tasks;
    tasks.retain(|task| task.state != TaskState::Released);
    let mut present = Present {
        sources: find::sources_of(api, &tasks).await?,
        tasks: Vec::new(),
        contacts: Vec::new(),
        rules: Vec::new(),
        task_names: tasks
            .iter()
            .map(|task| (task.id.to_string(), task.name.clone()))
            .collect(),
        unnamed: Vec::new(),
        unnamed_sources: Vec::new(),
    };
    let names_contacts = document.tasks.iter().any(|task| task.alerting.is_some());
    if !document.rules.is_empty() {
        present.rules = api.rules().await?.rules;
    }
    if names_contacts || !document.contacts.is_empty() || !document.rules.is_empty() {
        present.contacts = api.contacts().await?.contacts;
    }
    if let Some(set) = document.set.as_ref().filter(|_set| prune) {
        let is_unnamed = |task: &Task| {
            let mut named = document.tasks.iter();
            task.tags.get(SET_TAG) == Some(set) && !named.any(|wanted| wanted.name == task.name)
        };
        (present.unnamed, tasks) = tasks.into_iter().partition(is_unnamed);
        present.unnamed_sources = unnamed_sources(document, set, &present.sources, &tasks);
    }
    for task in tasks {
        if document.tasks.iter().any(|wanted| wanted.name == task.name) {
            let groups = api.groups(&task.id).await?.groups;
            let open_alerts = open_alerts(api, document, &task).await?;
            present.tasks.push(PresentTask {
                task,
                groups,
                open_alerts,
            });
        }
    }
    Ok(present)
}

/// Of a task that the document names, where it answers for any.
async fn open_alerts(api: &Api, document: &Document, task: &Task) -> anyhow::Result<Vec<String>> {
    let named = |wanted: &&TaskEntry| wanted.name == task.name;
    let wanted = document.tasks.iter().find(named);
    if wanted.is_none_or(|wanted| wanted.ignored_checks.is_empty()) {
        return Ok(Vec::new());
    }
    ignored::open_alerts(api, task).await
}

/// `tasks` are those that stay.
fn unnamed_sources(
    document: &Document,
    set: &String,
    sources: &[Source],
    tasks: &[Task],
) -> Vec<UnnamedSource> {
    let is_unnamed = |source: &&Source| {
        let mut named = document.sources.iter();
        source.tags.get(SET_TAG) == Some(set) && !named.any(|wanted| wanted.name == source.name)
    };
    let with_need = |source: &Source| {
        let needing = tasks.iter().filter(|task| task.source_id == source.id);
        UnnamedSource {
            source: source.clone(),
            needed_by: needing.map(|task| task.name.clone()).collect(),
        }
    };
    sources.iter().filter(is_unnamed).map(with_need).collect()
}
