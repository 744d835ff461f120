//! `rowcast contact`.

use std::path::Path;

use rowcast_proto::rest::{Contact, ContactKind, CreateContact, PatchContact};

use crate::api::Api;
use crate::args::Format;
use crate::args::contact::{Command, Create, Update};
use crate::failure::{Exit, Failure};
use crate::table::{description, or_dash, plain_table, time};
use crate::{confirm, find, output};

pub(crate) async fn run(api: &Api, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Create(wanted) => create(api, wanted).await,
        Command::List(shown) => list(api, shown.output).await,
        Command::Show(named) => {
            let found = find::contact(api, &named.contact).await?;
            one(&api.contact(&found.id).await?, named.shown.output)
        }
        Command::Update(wanted) => update(api, wanted).await,
        Command::Test(named) => test(api, &named.contact, named.shown.output).await,
        Command::Delete { contact, agreement } => delete(api, &contact, agreement.yes).await,
    }
}

async fn create(api: &Api, wanted: Create) -> anyhow::Result<()> {
    let body = CreateContact {
        name: wanted.name,
        kind: if wanted.email.is_some() {
            ContactKind::Email
        } else {
            ContactKind::Webhook
        },
        url: wanted.webhook,
        secret: wanted.secret_file.as_deref().map(secret).transpose()?,
        address: wanted.email,
        resource_group: wanted.resource_group,
    };
    one(&api.create_contact(&body).await?, wanted.shown.output)
}

fn secret(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::of(Exit::Usage, format!("{}: {error}", file.display())))?;
    Ok(text.trim_end().to_owned())
}

async fn update(api: &Api, wanted: Update) -> anyhow::Result<()> {
    let found = find::contact(api, &wanted.contact).await?;
    let patch = PatchContact {
        name: wanted.name,
        url: wanted.webhook,
        secret: wanted.secret_file.as_deref().map(secret).transpose()?,
        address: wanted.email,
        resource_group: wanted.sharing.patch(),
    };
    if patch == PatchContact::default() {
        let sentence = "say what to change: see rowcast contact update --help";
        return Err(Failure::of(Exit::Usage, sentence));
    }
    let changed = api.patch_contact(&found.id, &patch).await?;
    one(&changed, wanted.shown.output)
}

/// Ends with 1 where it was not told.
async fn test(api: &Api, contact: &str, format: Format) -> anyhow::Result<()> {
    let found = find::contact(api, contact).await?;
    let told = api.test_contact(&found.id).await?;
    if format == Format::Json {
        output::json(&told)?;
    }
    if !told.delivered {
        let sentence = format!("contact {} was not told: {}", found.name, told.detail);
        return Err(Failure::of(Exit::Failed, sentence));
    }
    if format == Format::Table {
        output::line(format_args!("contact {} was told", found.name))?;
    }
    Ok(())
}

async fn delete(api: &Api, contact: &str, yes: bool) -> anyhow::Result<()> {
    let found = find::contact(api, contact).await?;
    let named = format!("contact {} ({})", found.name, found.id);
    confirm::agreed(&format!("delete the {named}"), yes)?;
    api.delete_contact(&found.id).await?;
    output::line(format_args!("{named} deleted"))?;
    Ok(())
}

pub(crate) const fn kind(kind: ContactKind) -> &'static str {
    match kind {
        ContactKind::Webhook => "webhook",
        ContactKind::Email => "e-mail",
    }
}

fn to(contact: &Contact) -> String {
    or_dash(contact.url.clone().or_else(|| contact.address.clone()))
}

fn one(contact: &Contact, format: Format) -> anyhow::Result<()> {
    if format == Format::Json {
        return output::json(contact);
    }
    output::table(&description(vec![
        ("id", contact.id.to_string()),
        ("name", contact.name.clone()),
        ("told by", kind(contact.kind).to_owned()),
        ("to", to(contact)),
        ("resource group", or_dash(contact.resource_group.clone())),
        ("created", time(&contact.created_at)),
    ]))
}

async fn list(api: &Api, format: Format) -> anyhow::Result<()> {
    let list = api.contacts().await?;
    if format == Format::Json {
        return output::json(&list);
    }
    let mut table = plain_table(["ID", "NAME", "TOLD BY", "TO", "RESOURCE GROUP", "CREATED"]);
    for contact in list.contacts {
        table.add_row([
            contact.id.to_string(),
            contact.name.clone(),
            kind(contact.kind).to_owned(),
            to(&contact),
            or_dash(contact.resource_group),
            time(&contact.created_at),
        ]);
    }
    output::table(&table)
}
