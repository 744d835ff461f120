//! Which platform a command speaks to.
//!
//! ```text
//! --api-url ─▶ --context ─▶ the context in use ─▶ the platform that `rowcast up` runs on the state folder
//! ```

use std::path::{Path, PathBuf};

use anyhow::bail;
use rowcast_domain::Secret;

use crate::api::Api;
use crate::context_file::{self, Contexts};
use crate::failure::{Exit, Failure};
use crate::lock::{Holder, holder};
use crate::platform_file::PlatformFile;
use crate::secret;

/// The variable that holds the token where no file is named.
const TOKEN: &str = "ROWCAST_TOKEN";

/// The name that stands for the platform of the state folder.
pub(crate) const LOCAL: &str = "local";

/// What the command line says about it.
#[derive(Debug, clap::Args)]
pub(crate) struct PlaceArgs {
    /// Address of the REST API, scheme, host and port
    #[arg(
        long,
        global = true,
        env = "ROWCAST_API_URL",
        value_name = "URL",
        help_heading = "Which platform"
    )]
    pub(crate) api_url: Option<String>,
    /// File that holds the admin token, `-` for standard input [otherwise: `ROWCAST_TOKEN`]
    #[arg(
        long,
        global = true,
        env = "ROWCAST_TOKEN_FILE",
        value_name = "FILE",
        help_heading = "Which platform"
    )]
    pub(crate) token_file: Option<PathBuf>,
    /// A context that was added before, or `local` for the platform of the state folder
    #[arg(
        long,
        global = true,
        env = "ROWCAST_CONTEXT",
        value_name = "NAME",
        conflicts_with = "api_url",
        help_heading = "Which platform"
    )]
    pub(crate) context: Option<String>,
}

impl PlaceArgs {
    /// The platform's API.
    pub(crate) fn connect(&self, state: &Path) -> anyhow::Result<Api> {
        let given = self.given_token()?;
        if let Some(url) = &self.api_url {
            let token = given.ok_or_else(|| {
                let sentence =
                    format!("the token of {url} is missing: say --token-file or {TOKEN}");
                Failure::of(Exit::Usage, sentence)
            })?;
            return Api::new(url, token);
        }
        let contexts = Contexts::read(&context_file::path()?)?;
        let (url, token) = match self.context.as_ref().or(contexts.current.as_ref()) {
            Some(name) if name != LOCAL => named(&contexts, name)?,
            Some(_) | None => local(state, &contexts)?,
        };
        Api::new(&url, given.unwrap_or(token))
    }

    /// The token that the command line or the environment names.
    pub(crate) fn given_token(&self) -> anyhow::Result<Option<Secret>> {
        match &self.token_file {
            Some(file) => secret::from_file(file).map(Some),
            None => Ok(secret::from_environment(TOKEN)),
        }
    }
}

fn named(contexts: &Contexts, name: &str) -> anyhow::Result<(String, Secret)> {
    let context = contexts.get(name)?;
    Ok((context.api_url.clone(), Secret::new(context.token.as_str())))
}

/// What runs on the state folder.
fn local(state: &Path, contexts: &Contexts) -> anyhow::Result<(String, Secret)> {
    let Some(file) = running(state)? else {
        let advice = if contexts.contexts.is_empty() {
            "start it with `rowcast up`, or add a platform with `rowcast context add`"
        } else {
            "start it with `rowcast up`, or choose a platform with `rowcast context use`"
        };
        let sentence = format!("no platform runs on {}: {advice}", state.display());
        return Err(Failure::of(Exit::Unreachable, sentence));
    };
    let token = secret::from_file(&file.admin_token_file)?;
    Ok((file.api_url, token))
}

/// The file of the platform that runs on the state folder and is ready.
pub(crate) fn running(state: &Path) -> anyhow::Result<Option<PlatformFile>> {
    // A file that nobody stands behind was left by a process that was killed.
    if holder(state)? == Holder::Nobody {
        return Ok(None);
    }
    PlatformFile::read(state)
}

/// Refuses what cannot be the name of a context.
pub(crate) fn check_name(name: &str) -> anyhow::Result<()> {
    if name == LOCAL {
        bail!("the context {LOCAL} is there by itself: choose another name");
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || !name.chars().all(is_word) {
        bail!("{name:?} is no name for a context: use letters, digits, '-', '_' and '.'");
    }
    Ok(())
}
