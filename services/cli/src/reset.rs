//! `rowcast reset`.

use std::path::Path;

use anyhow::bail;
use rowcast_local::{State, orphan};

use crate::confirm;
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
    confirm::agreed(&format!("remove all data below {}", state.display()), yes)?;
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
