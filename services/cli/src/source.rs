//! `rowcast source`.

mod addresses;
mod objects;
mod test;
mod update;

use std::path::Path;

use anyhow::Context as _;
use rowcast_domain::Secret;
use rowcast_proto::rest::{CreateSource, PatchSource, Source};

use crate::api::Api;
use crate::args::Format;
use crate::args::source::{Command, Create};
use crate::table::{description, plain_table, time};
use crate::{confirm, find, output, tags};

pub(crate) async fn run(api: &Api, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Create(wanted) => create(api, *wanted).await,
        Command::List(shown) => list(api, shown.output).await,
        Command::Show { source, shown } => show(&find::source(api, &source).await?, shown.output),
        Command::Test { source, shown } => test::run(api, &source, shown.output).await,
        Command::Addresses(shown) => addresses::show(api, shown.output).await,
        Command::Objects(wanted) => objects::run(api, wanted).await,
        Command::Update(wanted) => update::run(api, *wanted).await,
        Command::Delete { source, agreement } => remove(api, &source, agreement.yes).await,
    }
}

async fn create(api: &Api, wanted: Create) -> anyhow::Result<()> {
    let (is_test, format) = (wanted.test, wanted.shown.output);
    let body = body(wanted)?;
    if is_test {
        return test::show(&body.name, &api.test_new_source(&body).await?, format);
    }
    show(&api.create_source(&body).await?, format)
}

async fn remove(api: &Api, source: &str, yes: bool) -> anyhow::Result<()> {
    let source = find::source(api, source).await?;
    let deed = format!("delete the source {} ({})", source.name, source.id);
    confirm::agreed(&deed, yes)?;
    api.delete_source(&source.id).await?;
    output::line(format_args!(
        "source {} ({}) deleted",
        source.name, source.id
    ))?;
    Ok(())
}

fn body(wanted: Create) -> anyhow::Result<CreateSource> {
    // A server that takes the certificate asks for no password.
    let password = if wanted.client.sslcert.is_some() && !wanted.password.is_given() {
        Secret::new("")
    } else {
        let whom = format!("the role {}", wanted.account);
        wanted.password.read(&whom)?
    };
    Ok(CreateSource {
        name: wanted.name,
        kind: Some(wanted.kind).filter(|kind| !kind.is_postgresql()),
        region: wanted.region,
        instance_id: wanted.instance_id,
        host: wanted.host,
        port: wanted.port,
        database: wanted.database,
        account: wanted.account,
        password: password.expose().to_owned(),
        sslmode: wanted.sslmode,
        sslrootcert: pem(wanted.sslrootcert.as_deref())?,
        sslcert: pem(wanted.client.sslcert.as_deref())?,
        sslkey: pem(wanted.client.sslkey.as_deref())?,
        tags: wanted.tags.into_iter().collect(),
        resource_group: wanted.resource_group,
    })
}

/// Whether the API asks for the password with a change: it would go to another server, or be that of
/// another role. A client certificate that comes with it will do instead.
pub(crate) fn needs_password(patch: &PatchSource) -> bool {
    let no_certificate = patch.sslcert.as_deref().is_none_or(str::is_empty);
    leads_elsewhere(patch) && no_certificate
}

/// Whether a change leads to another server, or to another role of it.
pub(crate) const fn leads_elsewhere(patch: &PatchSource) -> bool {
    patch.host.is_some() || patch.port.is_some() || patch.account.is_some()
}

/// What a file of certificates or of a key holds, where there is one.
pub(crate) fn pem(file: Option<&Path>) -> anyhow::Result<Option<String>> {
    file.map(|file| {
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
    })
    .transpose()
}

fn show(source: &Source, format: Format) -> anyhow::Result<()> {
    if format == Format::Json {
        return output::json(source);
    }
    let mut members = vec![
        ("id", source.id.to_string()),
        ("name", source.name.clone()),
        ("host", source.host.clone()),
        ("port", source.port.to_string()),
        ("database", source.database.clone()),
        ("account", source.account.clone()),
        ("sslmode", source.sslmode.as_str().to_owned()),
        ("created", time(&source.created_at)),
    ];
    if source.client_certificate {
        members.push(("logs in by", "client certificate".to_owned()));
    }
    if !source.tags.is_empty() {
        members.push(("tags", tags::in_words(&source.tags)));
    }
    if !source.kind.is_postgresql() {
        members.push(("kind", source.kind.as_str().to_owned()));
    }
    for (label, text) in [
        ("region", &source.region),
        ("instance id", &source.instance_id),
    ] {
        members.extend(text.clone().map(|text| (label, text)));
    }
    if let Some(name) = &source.resource_group {
        members.push(("resource group", name.clone()));
    }
    output::table(&description(members))
}

async fn list(api: &Api, format: Format) -> anyhow::Result<()> {
    let list = api.sources().await?;
    if format == Format::Json {
        return output::json(&list);
    }
    let mut table = plain_table([
        "ID", "NAME", "HOST", "PORT", "DATABASE", "ACCOUNT", "SSLMODE",
    ]);
    for source in list.sources {
        table.add_row([
            source.id.to_string(),
            source.name,
            source.host,
            source.port.to_string(),
            source.database,
            source.account,
            source.sslmode.as_str().to_owned(),
        ]);
    }
    output::table(&table)
}
