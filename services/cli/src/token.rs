//! `rowcast token`.

use chrono::{TimeDelta, Utc};
use rowcast_proto::rest::{CreateToken, Role, Token};

use crate::api::Api;
use crate::args::Format;
use crate::args::token::{Command, Create, RoleName};
use crate::table::{description, or_dash, plain_table, time};
use crate::{confirm, find, output};

pub(crate) async fn run(api: &Api, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Create(wanted) => create(api, wanted).await,
        Command::List(shown) => list(api, shown.output).await,
        Command::Revoke { token, agreement } => revoke(api, &token, agreement.yes).await,
    }
}

async fn create(api: &Api, wanted: Create) -> anyhow::Result<()> {
    let body = CreateToken {
        name: wanted.name,
        role: match wanted.role {
            RoleName::Viewer => Role::Viewer,
            RoleName::Operator => Role::Operator,
            RoleName::Admin => Role::Admin,
        },
        resource_groups: Some(wanted.resource_groups).filter(|groups| !groups.is_empty()),
        expires_at: wanted
            .days
            .map(|days| Utc::now() + TimeDelta::days(days.into())),
    };
    let made = api.create_token(&body).await?;
    if wanted.shown.output == Format::Json {
        return output::json(&made);
    }
    let mut members = vec![
        ("id", made.token.id.to_string()),
        ("name", made.token.name.clone()),
        ("role", made.token.role.as_str().to_owned()),
        ("resource groups", groups(&made.token)),
        ("expires", or_dash(made.token.expires_at.as_ref().map(time))),
    ];
    members.push(("secret", made.secret));
    output::table(&description(members))?;
    output::progress("keep the secret: it is not shown again");
    Ok(())
}

fn groups(token: &Token) -> String {
    token
        .resource_groups
        .as_ref()
        .map_or_else(|| "all".to_owned(), |groups| groups.join(", "))
}

async fn list(api: &Api, format: Format) -> anyhow::Result<()> {
    let list = api.tokens().await?;
    if format == Format::Json {
        return output::json(&list);
    }
    let mut table = plain_table([
        "ID",
        "NAME",
        "ROLE",
        "RESOURCE GROUPS",
        "CREATED",
        "BY",
        "EXPIRES",
        "LAST USED",
    ]);
    for token in list.tokens {
        table.add_row([
            token.id.to_string(),
            token.name.clone(),
            token.role.as_str().to_owned(),
            groups(&token),
            time(&token.created_at),
            token.created_by,
            or_dash(token.expires_at.as_ref().map(time)),
            or_dash(token.last_used_at.as_ref().map(time)),
        ]);
    }
    output::table(&table)
}

async fn revoke(api: &Api, token: &str, yes: bool) -> anyhow::Result<()> {
    let token = find::token(api, token).await?;
    let named = format!("token {} ({})", token.name, token.id);
    confirm::agreed(&format!("revoke the {named}"), yes)?;
    api.revoke_token(&token.id).await?;
    output::line(format_args!("{named} revoked"))?;
    Ok(())
}
