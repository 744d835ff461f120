//! `rowcast reset`.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::Path;

use anyhow::bail;
use rowcast_local::{State, orphan};

use crate::lock::{Holder, holder};
use crate::output;

pub(crate) async fn run(state: &Path, yes: bool) -> anyhow::Result<()> {
    if holder(state)? != Holder::Nobody {
        bail!(
            "`rowcast up` runs on {}: stop it first, with `rowcast down`",
            state.display()
        );
    }
    if !state.exists() {
        output::line(format_args!("there is no folder {}", state.display()))?;
        return Ok(());
    }
    if !yes && !confirmed(state)? {
        bail!("nothing was removed");
    }
    orphan::end_orphans(state).await?;
    let removed = State::remove(state)?;
    if let Some(moved) = removed.moved {
        output::line(format_args!("removed {}", moved.display()))?;
    }
    if removed.whole {
        output::line(format_args!("removed {}", removed.root.display()))?;
    } else {
        output::line(format_args!(
            "removed what was ours in {}; other files are there",
            removed.root.display()
        ))?;
    }
    Ok(())
}

/// A person is asked; a script that does not say --yes is told to.
fn confirmed(state: &Path) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!(
            "`rowcast reset` removes all data below {}: say --yes where nobody can be asked",
            state.display()
        );
    }
    output::question(format_args!(
        "Remove all data below {}? [y/N] ",
        state.display()
    ))?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}
