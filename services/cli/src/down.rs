//! `rowcast down`.

use std::path::Path;
use std::time::Duration;

use anyhow::bail;
use rowcast_local::{Signal, orphan};
use tokio::time::Instant;

use crate::lock::{Holder, holder};
use crate::output;
use crate::platform_file::PlatformFile;

/// Services, NATS and PostgreSQL end one after the other, each within its own limit.
const STOP_LIMIT: Duration = Duration::from_secs(75);

/// How long a killed process may still be there.
const KILL_LIMIT: Duration = Duration::from_secs(10);

/// Time between two looks at a process that is ending.
const LOOK: Duration = Duration::from_millis(50);

pub(crate) async fn run(state: &Path) -> anyhow::Result<()> {
    let stopped = stop_holder(state).await?;
    let orphans = orphan::end_orphans(state).await?;
    PlatformFile::remove(state)?;
    if !orphans.is_empty() {
        output::line(format_args!("ended what was left: {}", orphans.join(", ")))?;
    }
    if stopped {
        output::line("stopped")?;
    } else if orphans.is_empty() {
        output::line(format_args!("nothing runs on {}", state.display()))?;
    }
    Ok(())
}

/// Whether there was one to stop.
async fn stop_holder(state: &Path) -> anyhow::Result<bool> {
    let started = Instant::now();
    let mut asked = None;
    let mut killed = false;
    loop {
        match holder(state)? {
            Holder::Nobody => return Ok(asked.is_some()),
            Holder::Process(Some(id)) if asked != Some(id) => {
                output::line(format_args!("stopping process {id}"))?;
                orphan::signal(id, Signal::Terminate)?;
                asked = Some(id);
            }
            Holder::Process(_) => {}
        }
        let Some(id) = asked else {
            if started.elapsed() > KILL_LIMIT {
                bail!(
                    "{} is locked by a process that does not say who it is",
                    state.display()
                );
            }
            tokio::time::sleep(LOOK).await;
            continue;
        };
        if started.elapsed() > STOP_LIMIT && !killed {
            output::trouble(format_args!(
                "process {id} did not end within {} s and is killed",
                STOP_LIMIT.as_secs()
            ));
            orphan::signal(id, Signal::Kill)?;
            killed = true;
        }
        if started.elapsed() > STOP_LIMIT + KILL_LIMIT {
            bail!("process {id} cannot be killed");
        }
        tokio::time::sleep(LOOK).await;
    }
}
