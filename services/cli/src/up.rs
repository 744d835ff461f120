//! `rowcast up`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use rowcast_local::{Platform, PlatformOptions, Ports, Progress, State, orphan};

use crate::api::Api;
use crate::demo::{Demo, Shop, guide};
use crate::lock::Lock;
use crate::output;
use crate::platform_file::PlatformFile;
use crate::signals::Signals;

/// Runs everything until a signal, or until something fails.
pub(crate) async fn run(
    folder: &Path,
    programs: Option<PathBuf>,
    with_demo: bool,
) -> anyhow::Result<()> {
    let mut signals = Signals::listen().context("cannot listen for signals")?;
    let programs = programs.map_or_else(our_folder, Ok)?;
    let state = State::open(folder)?;
    let _lock = Lock::take(state.root()).await?;
    PlatformFile::remove(state.root())?;
    let left = orphan::end_orphans(state.root()).await?;
    if !left.is_empty() {
        output::line(format_args!("ended what was left: {}", left.join(", ")))?;
    }
    let ports = state.ports(Ports::free)?;
    output::line(format_args!("state folder {}", state.root().display()))?;

    let started = tokio::select! {
        started = start(&state, programs, ports) => started,
        // What was started until now is dropped, and so ends.
        () = signals.next() => return stopped(),
    };
    let mut platform = started.map_err(|error| with_advice(error, &state))?;
    let ended = tokio::select! {
        ended = serve(&mut platform, &state, ports, with_demo) => ended,
        () = signals.next() => Ok(()),
    };
    // No longer true from here on.
    let removed = PlatformFile::remove(state.root());
    output::line("stopping; Ctrl-C again stops at once").unwrap_or_default();
    tokio::select! {
        stopped = Box::pin(platform.stop()) => stopped?,
        () = signals.next() => {}
    }
    ended?;
    removed?;
    stopped()
}

fn stopped() -> anyhow::Result<()> {
    output::line("stopped").map_err(Into::into)
}

fn our_folder() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().context("cannot find the folder of this program")?;
    let folder = program.parent().context("this program has no folder")?;
    Ok(folder.to_owned())
}

async fn start(
    state: &State,
    programs: PathBuf,
    ports: Ports,
) -> Result<Platform, rowcast_local::Error> {
    let options = PlatformOptions {
        programs,
        ports,
        durable: true,
        postgres_settings: BTreeMap::new(),
        echo: false,
        // People read these logs, in files.
        environment: [("ROWCAST_LOG_FORMAT", "text"), ("NO_COLOR", "1")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        service_environment: BTreeMap::new(),
    };
    Box::pin(Platform::start_told(state, options, show)).await
}

fn show(progress: Progress<'_>) {
    // A closed terminal is noticed at the next line that matters.
    match progress {
        Progress::Starts { name, address } => {
            output::line(format_args!("{name:<14} starts on {address}")).unwrap_or_default();
        }
        Progress::Ready { name } => {
            output::line(format_args!("{name:<14} is ready")).unwrap_or_default();
        }
    }
}

/// The demo, and then its changes, until something fails.
async fn serve(
    platform: &mut Platform,
    state: &State,
    ports: Ports,
    with_demo: bool,
) -> anyhow::Result<()> {
    let mut file = PlatformFile::of(platform, state, ports);
    let shop = if with_demo {
        output::line("demo: database shop")?;
        Some(Shop::open(&platform.postgres, state).await?)
    } else {
        None
    };
    let api = Api::new(&platform.api_url, platform.admin_token.clone())?;
    let ready = async {
        let demo = match shop {
            Some(shop) => Some(Box::pin(Demo::prepare(&api, state, shop)).await?),
            None => None,
        };
        file.demo = demo.as_ref().map(|demo| demo.entry.clone());
        file.write(state.root())?;
        announce(&file)?;
        match demo {
            Some(demo) => Box::pin(demo.play()).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        // First: what fails because a process has died is not worth telling.
        biased;
        failure = platform.failed() => Err(failure.into()),
        played = ready => played,
    }
}

fn announce(file: &PlatformFile) -> std::io::Result<()> {
    output::line("")?;
    let mut places = vec![
        ("REST API", file.api_url.clone()),
        ("OpenAPI", file.openapi_url.clone()),
        ("NATS", file.nats_url.clone()),
        ("NATS monitor", file.nats_monitor_url.clone()),
        ("state folder", file.state_folder.display().to_string()),
        (
            "admin token in",
            file.admin_token_file.display().to_string(),
        ),
    ];
    if let Some(demo) = &file.demo {
        places.push(("demo source", demo.source_dsn.clone()));
    }
    for (what, place) in places {
        output::line(format_args!("{what:<14}  {place}"))?;
    }
    output::line("")?;
    if let Some(text) = file.demo.as_ref().and_then(|demo| guide(file, demo)) {
        output::line(text)?;
        output::line("Changes of the demo; Ctrl-C stops everything.")?;
    } else {
        output::line("Everything is ready; Ctrl-C stops it.")?;
    }
    Ok(())
}

/// The platform's error in one sentence, with what the platform does not know.
fn with_advice(error: rowcast_local::Error, state: &State) -> anyhow::Error {
    use rowcast_local::Error;

    if let Error::PortInUse { .. } = &error {
        let file = state.root().join("ports.json");
        return anyhow!("{error} in {}", file.display());
    }
    if let Error::Failed {
        program, output, ..
    } = &error
    {
        return anyhow!("{program} failed: {}", cause(output));
    }
    error.into()
}

/// Of all that a program wrote, the line that says why it failed.
fn cause(output: &str) -> &str {
    let lines = || {
        output
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
    };
    ["FATAL: ", "PANIC: ", "ERROR: ", "error: "]
        .iter()
        .find_map(|mark| lines().find_map(|line| Some(line.split_once(mark)?.1.trim())))
        .or_else(|| lines().next_back())
        .unwrap_or("it did not say why")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_says_why_is_found() {
        let initdb = "creating directory ... ok\n\
                      2026-11-23 23:25:44 UTC [1] FATAL:  could not write: No space left on device\n\
                      child process exited with exit code 1\n\n";
        assert_eq!(cause(initdb), "could not write: No space left on device");
        assert_eq!(cause("one\ntwo\n"), "two");
        assert_eq!(cause(" \n"), "it did not say why");
    }
}
