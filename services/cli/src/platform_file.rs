//! `platform.json`: what runs where, for scripts and for the other commands.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rowcast_domain::{SourceId, TaskId};
use rowcast_local::{Platform, Ports, State};
use serde::{Deserialize, Serialize};

/// What runs where. There from the moment when everything is ready until it is stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PlatformFile {
    /// Process id of `rowcast up`.
    pub(crate) pid: u32,
    pub(crate) state_folder: PathBuf,
    pub(crate) api_url: String,
    pub(crate) openapi_url: String,
    pub(crate) console_url: Option<String>,
    pub(crate) nats_url: String,
    pub(crate) nats_monitor_url: String,
    pub(crate) admin_token_file: PathBuf,
    pub(crate) ports: Ports,
    pub(crate) engines: Vec<Engine>,
    pub(crate) services: Vec<ServiceEntry>,
    pub(crate) demo: Option<DemoEntry>,
}

/// PostgreSQL and NATS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Engine {
    pub(crate) name: String,
    pub(crate) address: String,
    pub(crate) pid: Option<u32>,
    pub(crate) log: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ServiceEntry {
    pub(crate) name: String,
    pub(crate) admin_url: String,
    pub(crate) pid: Option<u32>,
    pub(crate) log: PathBuf,
    /// Whether `/ready` answers; filled in by `status` when it looks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ready: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DemoEntry {
    /// With the password.
    pub(crate) source_dsn: String,
    pub(crate) source_id: SourceId,
    pub(crate) task_id: TaskId,
    pub(crate) groups: Vec<GroupEntry>,
}

/// How to read as a consumer group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupEntry {
    pub(crate) name: String,
    pub(crate) login: String,
    pub(crate) password_file: PathBuf,
    pub(crate) stream: String,
    pub(crate) consumer: String,
    pub(crate) inbox_prefix: String,
}

impl PlatformFile {
    pub(crate) fn of(platform: &mut Platform, state: &State, ports: Ports) -> Self {
        let engine = |name: &str, port: u16, pid| Engine {
            name: name.to_owned(),
            address: format!("127.0.0.1:{port}"),
            pid,
            log: state.log(name),
        };
        let engines = vec![
            engine("postgres", ports.postgres, platform.postgres.child().id()),
            engine("nats", ports.nats, platform.nats.child().id()),
        ];
        let services = platform
            .services
            .iter_mut()
            .map(|(name, running)| ServiceEntry {
                name: (*name).to_owned(),
                admin_url: running.admin_url.clone(),
                pid: running.child().id(),
                log: running.log().to_owned(),
                ready: None,
            })
            .collect();
        Self {
            pid: std::process::id(),
            state_folder: state.root().to_owned(),
            api_url: platform.api_url.clone(),
            openapi_url: format!("{}/api/v1/openapi.json", platform.api_url),
            console_url: None,
            nats_url: platform.nats_url.clone(),
            nats_monitor_url: platform.nats_monitor_url.clone(),
            admin_token_file: platform.admin_token_file.clone(),
            ports,
            engines,
            services,
            demo: None,
        }
    }

    /// Written whole or not at all, and for its owner only: it holds the demo's password.
    pub(crate) fn write(&self, root: &Path) -> anyhow::Result<()> {
        let path = State::platform_file(root);
        let fresh = path.with_extension("json.new");
        let text = serde_json::to_vec_pretty(self)?;
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&fresh)
            .and_then(|mut file| file.write_all(&text))
            .and_then(|()| std::fs::rename(&fresh, &path))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    pub(crate) fn read(root: &Path) -> anyhow::Result<Option<Self>> {
        let path = State::platform_file(root);
        match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .map(Some)
                .with_context(|| format!("{} is malformed", path.display())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    pub(crate) fn remove(root: &Path) -> anyhow::Result<()> {
        let path = State::platform_file(root);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", path.display()))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}
