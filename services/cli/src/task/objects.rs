//! `rowcast task objects`.

use rowcast_proto::rest::{ChangeObjects, ObjectsPlan, Task};

use super::selection;
use crate::api::Api;
use crate::args::Format;
use crate::args::task::Objects;
use crate::failure::{Exit, Failure};
use crate::table::{description, or_dash};
use crate::{find, output};

/// Shows them, or changes them where options say how.
pub(super) async fn run(api: &Api, wanted: Objects) -> anyhow::Result<()> {
    let change = change(&wanted)?;
    let task = find::task(api, &wanted.task).await?;
    let format = wanted.shown.output;
    match change {
        Some(change) if wanted.dry_run => {
            show_plan(&api.preview_objects(&task.id, &change).await?, format)
        }
        Some(ChangeObjects {
            replace: Some(objects),
            ..
        }) => show(&api.replace_objects(&task.id, &objects).await?, format),
        Some(change) => show(&api.change_objects(&task.id, &change).await?, format),
        None => show(&task, format),
    }
}

fn change(wanted: &Objects) -> anyhow::Result<Option<ChangeObjects>> {
    let Some(objects) = wanted.objects.objects()? else {
        if wanted.add || wanted.remove || wanted.dry_run {
            let sentence = "say which objects: --schema or --table";
            return Err(Failure::of(Exit::Usage, sentence));
        }
        return Ok(None);
    };
    let mut change = ChangeObjects::default();
    if wanted.add {
        change.add = Some(objects);
    } else if wanted.remove {
        change.remove = Some(objects);
    } else {
        change.replace = Some(objects);
    }
    Ok(Some(change))
}

fn show(task: &Task, format: Format) -> anyhow::Result<()> {
    if format == Format::Json {
        return output::json(&task.objects);
    }
    let since = task.objects_since.map(|lsn| lsn.to_string());
    output::table(&description(vec![
        ("task", task.name.clone()),
        ("tracked", selection::in_words(&task.objects)),
        ("since LSN", or_dash(since)),
    ]))
}

fn show_plan(plan: &ObjectsPlan, format: Format) -> anyhow::Result<()> {
    if format == Format::Json {
        return output::json(plan);
    }
    let names = |names: &[String]| or_dash(Some(names.join(", ")).filter(|text| !text.is_empty()));
    let precheck = if plan.needs_precheck { "yes" } else { "no" };
    output::table(&description(vec![
        ("tracked", selection::in_words(&plan.objects)),
        ("comes", names(&plan.added)),
        ("goes", names(&plan.removed)),
        ("must be prechecked again", precheck.to_owned()),
    ]))
}
