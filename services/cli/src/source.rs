//! `rowcast source`.

use std::path::Path;

use anyhow::Context as _;
use rowcast_proto::rest::{CreateSource, Source};

use crate::api::Api;
use crate::args::Format;
use crate::args::source::{Command, Create};
use crate::table::{description, plain_table, time};
use crate::{find, output};

pub(crate) async fn run(api: &Api, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Create(wanted) => {
            let format = wanted.shown.output;
            let source = api.create_source(&body(*wanted)?).await?;
            show(&source, format)
        }
        Command::List(shown) => list(api, shown.output).await,
        Command::Show { source, shown } => show(&find::source(api, &source).await?, shown.output),
    }
}

fn body(wanted: Create) -> anyhow::Result<CreateSource> {
    let password = wanted
        .password
        .read(&format!("the role {}", wanted.account))?;
    Ok(CreateSource {
        name: wanted.name,
        kind: None,
        host: wanted.host,
        port: wanted.port,
        database: wanted.database,
        account: wanted.account,
        password: password.expose().to_owned(),
        sslmode: wanted.sslmode,
        sslrootcert: authorities(wanted.sslrootcert.as_deref())?,
    })
}

/// What the file of certificate authorities holds, where there is one.
pub(crate) fn authorities(file: Option<&Path>) -> anyhow::Result<Option<String>> {
    file.map(|file| {
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
    })
    .transpose()
}

fn show(source: &Source, format: Format) -> anyhow::Result<()> {
    match format {
        Format::Json => output::json(source),
        Format::Table => output::table(&description(vec![
            ("id", source.id.to_string()),
            ("name", source.name.clone()),
            ("host", source.host.clone()),
            ("port", source.port.to_string()),
            ("database", source.database.clone()),
            ("account", source.account.clone()),
            ("sslmode", source.sslmode.as_str().to_owned()),
            ("created", time(&source.created_at)),
        ])),
    }
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
