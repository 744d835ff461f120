//! A question before something is destroyed.

use std::io::{BufRead as _, IsTerminal as _};

use anyhow::bail;

use crate::failure::{Exit, Failure};
use crate::output;

/// Goes on where the user agrees to `deed`, as "release the task orders", or has agreed by `--yes`.
///
/// A script that does not say `--yes` is told to.
pub(crate) fn agreed(deed: &str, yes: bool) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        let sentence = format!("say --yes to {deed}: nobody can be asked here");
        return Err(Failure::of(Exit::Failed, sentence));
    }
    output::text(format_args!("Really {deed}? [y/N] "))?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    if !["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) {
        bail!("nothing was done");
    }
    Ok(())
}
