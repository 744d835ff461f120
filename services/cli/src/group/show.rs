//! Groups, as people read them.

use rowcast_proto::rest::{
    Derivation, Group, GroupMember, GroupStatus, OnExhausted, StreamPosition, StreamRange,
};

use crate::api::Api;
use crate::args::Format;
use crate::table::{description, or_dash, plain_table, time};
use crate::{find, output};

/// One group.
pub(super) fn one(group: &Group, format: Format) -> anyhow::Result<()> {
    if format == Format::Json {
        return output::json(group);
    }
    let mut lines = vec![
        ("id", group.id.to_string()),
        ("name", group.name.clone()),
        ("account", group.account.clone()),
        ("login", format!("{}-{}", group.account, group.id)),
        ("mode", group.mode.to_string()),
        ("delivery", group.delivery.to_string()),
        ("acknowledged", group.acknowledged_sequence.to_string()),
        ("pending", group.pending.to_string()),
        ("in flight", group.in_flight.to_string()),
        ("attempts", attempts(group.max_deliver)),
    ];
    let usual = OnExhausted::of(group.mode);
    if let Some(other) = group.on_exhausted.filter(|one| *one != usual) {
        lines.push(("then", other.to_string()));
    }
    if let Some(etl) = &group.etl {
        lines.push(("etl", etl.script.clone()));
        lines.push(("rows it fails on", etl.on_error.as_str().to_owned()));
    }
    if let Some(format) = group.format {
        lines.push(("format", format.as_str().to_owned()));
    }
    if let Some(status) = &group.status {
        lines.push(("position", or_dash(status.position.as_ref().map(place))));
        lines.push(("delay", seconds(status.delay_seconds)));
        lines.push(("unconsumed", number(status.unconsumed)));
        lines.push(("state", status.state.as_str().to_owned()));
        if let Some(reason) = &status.reason {
            lines.push(("reason", reason.clone()));
        }
        if let Some(derivation) = &status.derivation {
            lines.push(("own stream", own_stream(derivation)));
        }
        let stuck = status.stuck.iter().map(|stuck| {
            let at = format!("{} {}", stuck.position.sequence, place(&stuck.position));
            (
                "stuck",
                format!("{at}, sent {} times or more", stuck.attempts),
            )
        });
        lines.extend(stuck);
        lines.push(("dead letters", or_dash(dead_letters(status))));
        lines.push(("stream", or_dash(status.range.as_ref().map(range))));
        match &status.members_unknown {
            Some(why) => lines.push(("members", why.clone())),
            None if status.members.is_empty() => lines.push(("members", "none".to_owned())),
            None => lines.extend(status.members.iter().map(|one| ("member", member(one)))),
        }
        lines.push(("moves", status.generation.to_string()));
    }
    lines.push(("created", time(&group.created_at)));
    output::table(&description(lines))
}

/// The groups of a task.
pub(super) async fn list(api: &Api, task: &str, format: Format) -> anyhow::Result<()> {
    let task = find::task(api, task).await?;
    let list = api.groups(&task.id).await?;
    if format == Format::Json {
        return output::json(&list);
    }
    let mut table = plain_table([
        "ID",
        "NAME",
        "ACCOUNT",
        "MODE",
        "STATE",
        "ACKNOWLEDGED",
        "DELAY",
        "UNCONSUMED",
        "DEAD",
        "MEMBERS",
    ]);
    for group in list.groups {
        let status = group.status.as_ref();
        let members = status.and_then(|status| {
            let is_known = status.members_unknown.is_none();
            is_known.then(|| status.members.len().to_string())
        });
        table.add_row([
            group.id.to_string(),
            group.name.clone(),
            group.account.clone(),
            group.mode.to_string(),
            or_dash(status.map(|status| status.state.as_str().to_owned())),
            group.acknowledged_sequence.to_string(),
            or_dash(status.map(|status| seconds(status.delay_seconds))),
            or_dash(status.map(|status| number(status.unconsumed))),
            or_dash(status.and_then(dead_letters)),
            or_dash(members),
        ]);
    }
    output::table(&table)
}

pub(super) fn place(position: &StreamPosition) -> String {
    let at = time(&position.committed_at);
    match position.lsn {
        Some(lsn) => format!("{lsn}.{} committed {at}", position.ordinal),
        None => format!("stored {at}"),
    }
}

fn range(range: &StreamRange) -> String {
    let StreamRange {
        messages,
        first_sequence,
        last_sequence,
        first,
        last,
    } = range;
    match (first, last) {
        (Some(first), Some(last)) => format!(
            "{messages} messages, {first_sequence} to {last_sequence}: {} to {}",
            place(first),
            place(last)
        ),
        (None | Some(_), None | Some(_)) => format!("empty; the next is {first_sequence}"),
    }
}

fn own_stream(derivation: &Derivation) -> String {
    let Derivation {
        state,
        reason,
        source_sequence,
        behind,
        parked,
    } = derivation;
    let state = state.as_str();
    let reason = reason.as_deref().map(|why| format!(" ({why})"));
    format!(
        "{state}{}, made of the task's stream up to {source_sequence}, {behind} behind, {parked} parked",
        reason.unwrap_or_default()
    )
}

fn dead_letters(status: &GroupStatus) -> Option<String> {
    let all = status.dead_letters?;
    Some(match status.dead_letters_waiting {
        Some(waiting) => format!("{all}, of which {waiting} wait to be put away"),
        None => all.to_string(),
    })
}

fn member(member: &GroupMember) -> String {
    let name = member.name.as_deref().unwrap_or("without a name");
    let client = [&member.language, &member.version]
        .into_iter()
        .flatten()
        .cloned()
        .collect::<Vec<_>>()
        .join(" ");
    format!(
        "{} {name} ({client}) since {} at {}",
        member.address,
        time(&member.connected_at),
        member.server
    )
}

/// After how many a change is a dead letter.
fn attempts(max_deliver: Option<u32>) -> String {
    match max_deliver {
        Some(0) => "without limit".to_owned(),
        Some(number) => format!("at most {number}"),
        None => or_dash(None),
    }
}

/// -1 is said where nobody is connected.
fn seconds(delay: i64) -> String {
    if delay < 0 {
        "-".to_owned()
    } else {
        format!("{delay} s")
    }
}

fn number(unconsumed: i64) -> String {
    if unconsumed < 0 {
        "-".to_owned()
    } else {
        unconsumed.to_string()
    }
}
