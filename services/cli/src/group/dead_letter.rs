//! `rowcast group dead-letter`.

use rowcast_proto::rest::{DeadLetter, DeadLettersDone, Group, Task};

use super::show::place;
use crate::api::Api;
use crate::args::Format;
use crate::args::group::dead_letter::{Command, Discard, List, Of, Redrive, Show};
use crate::table::{description, or_dash, plain_table, time};
use crate::{confirm, find, output};

pub(super) async fn run(api: &Api, command: Command) -> anyhow::Result<()> {
    match command {
        Command::List(wanted) => list(api, wanted).await,
        Command::Show(wanted) => show(api, wanted).await,
        Command::Redrive(wanted) => redrive(api, wanted).await,
        Command::Discard(wanted) => discard(api, wanted).await,
    }
}

async fn of(api: &Api, of: &Of) -> anyhow::Result<(Task, Group)> {
    let task = find::task(api, &of.task).await?;
    let group = find::group(api, &task, &of.group).await?;
    Ok((task, group))
}

async fn list(api: &Api, wanted: List) -> anyhow::Result<()> {
    let (task, group) = of(api, &wanted.of).await?;
    let mut query = vec![("limit", wanted.limit.to_string())];
    query.extend(wanted.after.map(|after| ("after", after.to_string())));
    let page = api.dead_letters(&task.id, &group.id, &query).await?;
    if wanted.shown.output == Format::Json {
        return output::json(&page);
    }
    let mut table = plain_table([
        "NUMBER", "SEQUENCE", "LSN", "TABLE", "CAUSE", "ATTEMPTS", "REDRIVEN", "SINCE", "ERROR",
    ]);
    for letter in &page.letters {
        table.add_row([
            letter.id.to_string(),
            letter.position.sequence.to_string(),
            or_dash(letter.position.lsn.map(|lsn| lsn.to_string())),
            what(&letter.subject),
            letter.cause.as_str().to_owned(),
            letter.attempts.to_string(),
            letter.redriven.to_string(),
            time(&letter.at),
            or_dash(letter.last_error.clone()),
        ]);
    }
    output::table(&table)?;
    if let Some(after) = page.next_after {
        output::progress(format_args!(
            "{} in all; the next ones by --after {after}",
            page.total
        ));
    }
    Ok(())
}

/// Table and operation, as `public.orders update`.
fn what(subject: &str) -> String {
    let mut tokens = subject.rsplit('.');
    match (tokens.next(), tokens.next(), tokens.next()) {
        (Some(op), Some(table), Some(schema)) => {
            let name = |token: &str| {
                let name = rowcast_proto::subject::unescape(token);
                name.unwrap_or_else(|| token.to_owned())
            };
            format!("{}.{} {op}", name(schema), name(table))
        }
        (Some(_) | None, ..) => or_dash(None),
    }
}

async fn show(api: &Api, wanted: Show) -> anyhow::Result<()> {
    let (task, group) = of(api, &wanted.of).await?;
    let letter = api.dead_letter(&task.id, &group.id, wanted.letter).await?;
    if wanted.shown.output == Format::Json {
        return output::json(&letter);
    }
    output::table(&description(vec![
        ("number", letter.id.to_string()),
        ("sequence", letter.position.sequence.to_string()),
        ("position", place(&letter.position)),
        ("subject", letter.subject.clone()),
        ("cause", letter.cause.as_str().to_owned()),
        ("attempts", letter.attempts.to_string()),
        ("redriven", letter.redriven.to_string()),
        ("since", time(&letter.at)),
        ("error", or_dash(letter.last_error.clone())),
        ("change", body(&letter)?),
    ]))
}

fn body(letter: &DeadLetter) -> anyhow::Result<String> {
    Ok(match (&letter.change, &letter.payload) {
        (Some(change), _) => serde_json::to_string_pretty(change)?,
        (None, Some(payload)) => format!("{payload} (base64)"),
        (None, None) if letter.is_without_body => {
            "removed by retention before it was put away".to_owned()
        }
        (None, None) => format!("{} bytes, too large to be shown", letter.bytes),
    })
}

async fn redrive(api: &Api, wanted: Redrive) -> anyhow::Result<()> {
    let (task, group) = of(api, &wanted.of).await?;
    let mut sent = 0;
    let left = if let Some(letter) = wanted.which.letter {
        let done = api.redrive_dead_letter(&task.id, &group.id, letter).await?;
        sent += done.done;
        done.left
    } else {
        loop {
            let DeadLettersDone { done, left } =
                api.redrive_dead_letters(&task.id, &group.id).await?;
            sent += done;
            if left == 0 || done == 0 {
                break left;
            }
        }
    };
    output::line(format_args!(
        "{sent} on the way to group {}, {left} left",
        group.name
    ))?;
    Ok(())
}

async fn discard(api: &Api, wanted: Discard) -> anyhow::Result<()> {
    let (task, group) = of(api, &wanted.of).await?;
    let what = match wanted.which.letter {
        Some(letter) => format!("the dead letter {letter}"),
        None => "all dead letters".to_owned(),
    };
    let deed = format!("discard {what} of group {} for good", group.name);
    confirm::agreed(&deed, wanted.agreement.yes)?;
    let gone = if let Some(letter) = wanted.which.letter {
        api.discard_dead_letter(&task.id, &group.id, letter).await?;
        1
    } else {
        let mut gone = 0;
        loop {
            let DeadLettersDone { done, left } =
                api.discard_dead_letters(&task.id, &group.id).await?;
            gone += done;
            if left == 0 || done == 0 {
                break gone;
            }
        }
    };
    output::line(format_args!("{gone} discarded of group {}", group.name))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_names_table_and_operation() {
        let subject = "rowcast.change.t000000000000.007.public.a=2Eb.insert";
        assert_eq!(what(subject), "public.a.b insert");
        assert_eq!(what(""), "-");
    }
}
