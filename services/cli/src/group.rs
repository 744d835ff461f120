//! `rowcast group`.

mod dead_letter;
mod history;
mod seek;
mod show;
mod skip;

use rowcast_proto::rest::{CreateGroup, GroupFormat, PatchGroup};

use crate::api::Api;
use crate::args::Format;
use crate::args::group::{Command, Create, Delete, Named, Update};
use crate::failure::{Exit, Failure};
use crate::table::description;
use crate::{confirm, find, output};

pub(crate) async fn run(api: &Api, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Create(wanted) => create(api, wanted).await,
        Command::List { task, shown } => show::list(api, &task, shown.output).await,
        Command::Show(named) => {
            let task = find::task(api, &named.task).await?;
            show::one(
                &find::group(api, &task, &named.group).await?,
                named.shown.output,
            )
        }
        Command::Connection(named) => connection(api, named).await,
        Command::Update(wanted) => update(api, wanted).await,
        Command::Seek(wanted) => seek::run(api, wanted).await,
        Command::History(wanted) => history::run(api, wanted).await,
        Command::Skip(wanted) => skip::run(api, wanted).await,
        Command::DeadLetter(command) => dead_letter::run(api, command).await,
        Command::Delete(delete) => remove(api, delete).await,
    }
}

async fn create(api: &Api, wanted: Create) -> anyhow::Result<()> {
    let task = find::task(api, &wanted.task).await?;
    let password = wanted
        .password
        .read(&format!("the new group {}", wanted.name))?;
    let body = CreateGroup {
        name: wanted.name,
        account: wanted.account,
        password: password.expose().to_owned(),
        mode: Some(wanted.mode.into()),
        etl: wanted.etl.policy(None)?,
        format: wanted.format,
        max_deliver: wanted.max_deliver,
        on_exhausted: wanted.on_exhausted,
        delivery: Some(wanted.delivery.into()),
    };
    show::one(
        &api.create_group(&task.id, &body).await?,
        wanted.shown.output,
    )
}

async fn update(api: &Api, wanted: Update) -> anyhow::Result<()> {
    let task = find::task(api, &wanted.task).await?;
    let group = find::group(api, &task, &wanted.group).await?;
    let is_given = wanted.password || wanted.password_from.password_file.is_some();
    let etl = if wanted.no_etl {
        Some(None)
    } else {
        wanted.etl.policy(group.etl.as_ref())?.map(Some)
    };
    let attempts = wanted.max_deliver.is_some() || wanted.on_exhausted.is_some();
    if wanted.name.is_none() && !attempts && etl.is_none() && !is_given {
        let sentence = "say what to change: --name, --max-deliver, --on-exhausted, --etl, --no-etl \
                        or --password";
        return Err(Failure::of(Exit::Usage, sentence));
    }
    let password = if is_given {
        let whom = format!("the group {}", group.name);
        Some(wanted.password_from.read(&whom)?.expose().to_owned())
    } else {
        None
    };
    let body = PatchGroup {
        name: wanted.name,
        password,
        max_deliver: wanted.max_deliver,
        on_exhausted: wanted.on_exhausted,
        etl,
        ..PatchGroup::default()
    };
    let changed = api.patch_group(&task.id, &group.id, &body).await?;
    show::one(&changed, wanted.shown.output)
}

async fn connection(api: &Api, named: Named) -> anyhow::Result<()> {
    let task = find::task(api, &named.task).await?;
    let group = find::group(api, &task, &named.group).await?;
    let connection = api.connection(&task.id, &group.id).await?;
    if named.shown.output == Format::Json {
        return output::json(&connection);
    }
    let mut lines = vec![
        ("urls", connection.urls.join(",")),
        ("login", connection.login),
        ("stream", connection.stream),
        ("mode", connection.mode.to_string()),
    ];
    let format = connection.format.map(GroupFormat::as_str);
    lines.extend(format.map(|format| ("format", format.to_owned())));
    let of_partitions = connection.consumers.iter();
    lines.push(if connection.consumers.is_empty() {
        ("consumer", connection.consumer)
    } else {
        let names = of_partitions.clone().map(|of| of.consumer.as_str());
        ("consumers", names.collect::<Vec<_>>().join("\n"))
    });
    let subjects = of_partitions.filter_map(|of| of.deliver_subject.as_deref());
    let subjects: Vec<&str> = subjects
        .chain(connection.deliver_subject.as_deref())
        .collect();
    if !subjects.is_empty() {
        lines.push(("subscribe to", subjects.join("\n")));
    }
    lines.extend(connection.deliver_group.map(|queue| ("queue group", queue)));
    lines.extend([
        ("redrive stream", connection.redrive_stream),
        ("redrive consumer", connection.redrive_consumer),
        ("inbox prefix", connection.inbox_prefix),
    ]);
    output::table(&description(lines))
}

async fn remove(api: &Api, wanted: Delete) -> anyhow::Result<()> {
    let task = find::task(api, &wanted.task).await?;
    let group = find::group(api, &task, &wanted.group).await?;
    let deed = format!(
        "delete the group {} ({}) of task {} with its position",
        group.name, group.id, task.name
    );
    confirm::agreed(&deed, wanted.agreement.yes)?;
    api.delete_group(&task.id, &group.id).await?;
    output::line(format_args!("group {} ({}) deleted", group.name, group.id))?;
    Ok(())
}
