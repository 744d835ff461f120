//! `rowcast context`.

use std::path::Path;

use serde::Serialize;

use crate::api::{Api, is_overheard};
use crate::args::Format;
use crate::args::context::Command;
use crate::connect::{LOCAL, PlaceArgs, check_name, running};
use crate::context_file::{self, Contexts, NamedContext};
use crate::failure::{Exit, Failure};
use crate::table::plain_table;
use crate::{output, secret};

/// One line of the list, and what `-o json` prints of it: never the token.
#[derive(Debug, Serialize)]
struct Line {
    name: String,
    api_url: String,
    current: bool,
}

pub(crate) fn run(command: Command, place: &PlaceArgs, state: &Path) -> anyhow::Result<()> {
    let path = context_file::path()?;
    let mut contexts = Contexts::read(&path)?;
    match command {
        Command::List(shown) => return list(&contexts, state, shown.output),
        Command::Add { name, replace } => {
            add(&mut contexts, &name, replace, place)?;
            contexts.write(&path)?;
            output::line(format_args!("context {name} added"))?;
        }
        Command::Use { name } => {
            if name != LOCAL {
                contexts.get(&name)?;
            }
            contexts.current = Some(name.clone());
            contexts.write(&path)?;
            output::line(format_args!("commands use the context {name}"))?;
        }
        Command::Remove { name } => {
            contexts.get(&name)?;
            contexts.contexts.remove(&name);
            contexts.current.take_if(|current| *current == name);
            contexts.write(&path)?;
            output::line(format_args!("context {name} removed"))?;
        }
    }
    Ok(())
}

fn add(
    contexts: &mut Contexts,
    name: &str,
    replace: bool,
    place: &PlaceArgs,
) -> anyhow::Result<()> {
    check_name(name)?;
    if contexts.contexts.contains_key(name) && !replace {
        let sentence = format!("the context {name} is there: say --replace to put it anew");
        return Err(Failure::of(Exit::Failed, sentence));
    }
    let Some(api_url) = place.api_url.clone() else {
        let sentence = "say the address of its REST API by --api-url";
        return Err(Failure::of(Exit::Usage, sentence));
    };
    let token = place
        .given_token()?
        .map_or_else(|| secret::ask("Admin token: ", "--token-file"), Ok)?;
    // An address that is none is found now and not by the next command.
    Api::new(&api_url, token.clone())?;
    if is_overheard(&api_url) {
        output::trouble(format_args!(
            "the token will go to {api_url} in clear text: use https where others share the network"
        ));
    }
    let context = NamedContext {
        api_url,
        token: token.expose().to_owned(),
    };
    contexts.contexts.insert(name.to_owned(), context);
    contexts.current.get_or_insert_with(|| name.to_owned());
    Ok(())
}

fn list(contexts: &Contexts, state: &Path, format: Format) -> anyhow::Result<()> {
    let current = contexts.current.as_deref().unwrap_or(LOCAL);
    let named = contexts.contexts.iter();
    let mut lines: Vec<Line> = named
        .map(|(name, context)| Line {
            name: name.clone(),
            api_url: context.api_url.clone(),
            current: name == current,
        })
        .collect();
    if let Some(file) = running(state)? {
        lines.push(Line {
            name: LOCAL.to_owned(),
            api_url: file.api_url,
            current: current == LOCAL,
        });
    }
    match format {
        Format::Json => output::json(&lines),
        Format::Table => {
            let mut table = plain_table(["IN USE", "NAME", "API"]);
            for line in lines {
                let mark = if line.current { "*" } else { "" };
                table.add_row([mark, &line.name, &line.api_url]);
            }
            output::table(&table)
        }
    }
}
