//! The options of an ETL policy.

use rowcast_proto::rest::{Etl, OnRowError};

use crate::failure::{Exit, Failure};

/// What is done with each row before it is told.
#[derive(Debug, clap::Args)]
pub(crate) struct EtlArgs {
    /// ETL policy: a script that filters, masks or changes rows, or `@FILE` with one
    #[arg(long = "etl", value_name = "SCRIPT|@FILE")]
    script: Option<String>,
    /// What becomes of rows that it fails on [default: park]
    #[arg(long = "etl-on-error", value_name = "park|drop|stop", value_parser = on_row_error)]
    on_error: Option<OnRowError>,
}

impl EtlArgs {
    /// What was said, where `there` is what the task or the group has.
    pub(crate) fn policy(&self, there: Option<&Etl>) -> anyhow::Result<Option<Etl>> {
        let script = match (&self.script, there) {
            (Some(said), _) => match said.strip_prefix('@') {
                None => said.clone(),
                Some(file) => std::fs::read_to_string(file)
                    .map_err(|error| Failure::of(Exit::Usage, format!("{file}: {error}")))?,
            },
            (None, Some(there)) if self.on_error.is_some() => there.script.clone(),
            (None, _) if self.on_error.is_some() => {
                let sentence = "--etl-on-error needs --etl: there is no ETL policy";
                return Err(Failure::of(Exit::Usage, sentence));
            }
            (None, _) => return Ok(None),
        };
        if script.trim().is_empty() {
            let sentence = "the ETL policy is empty";
            return Err(Failure::of(Exit::Usage, sentence));
        }
        let on_error = there.map(|there| there.on_error).unwrap_or_default();
        Ok(Some(Etl {
            script,
            on_error: self.on_error.unwrap_or(on_error),
        }))
    }
}

fn on_row_error(text: &str) -> Result<OnRowError, String> {
    OnRowError::from_name(text).ok_or_else(|| "park, drop or stop".to_owned())
}
