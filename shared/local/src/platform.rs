//! Everything on one machine: PostgreSQL, NATS, and the six services.

mod service_env;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use rowcast_domain::Secret;

use crate::child::{Child, Launch, Signal};
use crate::error::Error;
use crate::nats::{Nats, NatsOptions};
use crate::postgres::{Postgres, PostgresOptions};
use crate::state::{Ports, State};
use crate::{port, probe};

pub use service_env::Service;

/// How long a service may take to get ready.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// How long a service may take to end: its own grace time of 20 s, and some.
const STOP_LIMIT: Duration = Duration::from_secs(25);

/// How the platform runs.
#[derive(Debug, Clone)]
pub struct PlatformOptions {
    /// Folder of the services' programs.
    pub programs: PathBuf,
    /// Where the engines and the API listen.
    pub ports: Ports,
    /// Whether what PostgreSQL says is committed survives a power cut.
    pub durable: bool,
    /// More settings of PostgreSQL; they win over ours.
    pub postgres_settings: BTreeMap<String, String>,
    /// Copies every log to our standard error, as text.
    pub echo: bool,
    /// More variables for all services, as `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub environment: BTreeMap<String, String>,
    /// More variables for one service; they win over the others.
    pub service_environment: BTreeMap<Service, BTreeMap<String, String>>,
}

/// A step of a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress<'a> {
    /// A process is being started.
    Starts {
        /// Its name.
        name: &'a str,
        /// Where it listens, as `127.0.0.1:4222`.
        address: &'a str,
    },
    /// It answers that it is ready.
    Ready {
        /// Its name.
        name: &'a str,
    },
}

/// The running platform. Dropped, everything ends at once.
#[derive(Debug)]
pub struct Platform {
    /// Base URL of the REST API.
    pub api_url: String,
    /// Where clients connect.
    pub nats_url: String,
    /// Where the monitor of NATS answers.
    pub nats_monitor_url: String,
    /// First token of the API.
    pub admin_token: Secret,
    /// Its file.
    pub admin_token_file: PathBuf,
    // Dropped in this order: services, then the engines they use.
    /// The services, by name.
    pub services: BTreeMap<&'static str, Running>,
    /// The broker.
    pub nats: Nats,
    /// The database server.
    pub postgres: Postgres,
}

/// A service that was started.
#[derive(Debug)]
pub struct Running {
    /// Where `/live`, `/ready` and `/metrics` answer.
    pub admin_url: String,
    admin_port: u16,
    launch: Launch,
    child: Child,
}

impl Running {
    /// The process.
    pub const fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.launch.log
    }

    /// Starts it again where it has ended, which is `true` then.
    ///
    /// # Errors
    /// Where its program or its log cannot be opened.
    pub fn start(&mut self) -> Result<bool, Error> {
        let has_ended = self.child.poll()?.is_some();
        if has_ended {
            self.child = Child::spawn(self.launch.clone())?;
        }
        Ok(has_ended)
    }

    /// Waits until it is ready.
    ///
    /// # Errors
    /// Where it ends, or does not get ready.
    pub async fn ready(&mut self) -> Result<(), Error> {
        let port = self.admin_port;
        self.child
            .ready(READY_LIMIT, async || probe::healthy(port, "/ready").await)
            .await
    }
}

impl Platform {
    /// Starts the engines, then all services, and waits until every one is ready.
    ///
    /// # Errors
    /// Where one of them does not get ready: what was started ends.
    pub async fn start(state: &State, options: PlatformOptions) -> Result<Self, Error> {
        Self::start_told(state, options, |_progress| {}).await
    }

    /// As [`Self::start`], and calls `tell` at each step.
    ///
    /// # Errors
    /// Those of [`Self::start`].
    pub async fn start_told(
        state: &State,
        options: PlatformOptions,
        tell: impl Fn(Progress<'_>),
    ) -> Result<Self, Error> {
        require_programs(&options.programs)?;
        port::require_free(options.ports.api, Service::TaskApi.name())?;
        let postgres = PostgresOptions {
            programs: None,
            port: options.ports.postgres,
            durable: options.durable,
            echo: options.echo,
            settings: options.postgres_settings.clone(),
            alterable: false,
        };
        let nats = NatsOptions {
            port: options.ports.nats,
            monitor_port: options.ports.nats_monitor,
            echo: options.echo,
            peer: None,
        };
        let (postgres, nats) = tokio::try_join!(
            told(
                &tell,
                "postgres",
                options.ports.postgres,
                Postgres::start(state, postgres)
            ),
            told(&tell, "nats", options.ports.nats, Nats::start(state, nats)),
        )?;
        let mut platform = Self {
            api_url: format!("http://127.0.0.1:{}", options.ports.api),
            nats_url: nats.url(),
            nats_monitor_url: nats.monitor_url(),
            admin_token: state.credentials().admin_token()?,
            admin_token_file: state.credentials().admin_token_file()?,
            services: BTreeMap::new(),
            nats,
            postgres,
        };
        platform.start_services(state, &options, &tell).await?;
        Ok(platform)
    }

    /// Waits until a process ends that nobody stopped, and tells how.
    pub async fn failed(&mut self) -> Error {
        let mut children = vec![self.postgres.child(), self.nats.child()];
        children.extend(self.services.values_mut().map(Running::child));
        let mut ends: Vec<Pin<Box<dyn Future<Output = Error> + Send + '_>>> = Vec::new();
        for child in children {
            ends.push(Box::pin(async move {
                match child.wait().await {
                    Ok(status) => child.ended(status),
                    Err(error) => error,
                }
            }));
        }
        std::future::poll_fn(move |context| {
            ends.iter_mut()
                .map(|end| end.as_mut().poll(context))
                .find(Poll::is_ready)
                .unwrap_or(Poll::Pending)
        })
        .await
    }

    /// Stops a service, starts it again, and waits until it is ready. One that was killed just starts.
    ///
    /// # Errors
    /// Where there is no such service, or it does not get ready.
    pub async fn restart(&mut self, service: &str) -> Result<(), Error> {
        let running = self.service(service)?;
        running.child.stop(STOP_LIMIT).await?;
        running.child = Child::spawn(running.launch.clone())?;
        running.ready().await
    }

    /// Starts one more copy of a service, under a name of its own, and waits until it is ready.
    ///
    /// # Errors
    /// Where there is no such service, or its copy does not get ready.
    pub async fn copy(&mut self, service: &str, name: &'static str) -> Result<(), Error> {
        let mut launch = self.service(service)?.launch.clone();
        let [admin_port] = port::distinct()?;
        name.clone_into(&mut launch.name);
        launch.log.set_file_name(format!("{name}.log"));
        // Of a variable that stands twice, the second counts.
        launch
            .environment
            .push(service_env::admin_listen(admin_port));
        let mut running = Running {
            admin_url: format!("http://127.0.0.1:{admin_port}"),
            admin_port,
            child: Child::spawn(launch.clone())?,
            launch,
        };
        running.ready().await?;
        self.services.insert(name, running);
        Ok(())
    }

    /// Kills a service, as the system would where memory is short.
    ///
    /// # Errors
    /// Where there is no such service, or it cannot be signalled.
    pub async fn kill(&mut self, service: &str) -> Result<(), Error> {
        self.service(service)?.child.kill().await
    }

    /// Stops the services, then NATS, then PostgreSQL.
    ///
    /// # Errors
    /// Where one cannot be signalled; dropping the rest ends it.
    pub async fn stop(mut self) -> Result<(), Error> {
        for running in self.services.values() {
            running.child.ask_to_stop()?;
        }
        for running in self.services.values_mut() {
            running.child.stopped(STOP_LIMIT).await?;
        }
        self.nats.stop().await?;
        self.postgres.stop().await
    }

    async fn start_services(
        &mut self,
        state: &State,
        options: &PlatformOptions,
        tell: &impl Fn(Progress<'_>),
    ) -> Result<(), Error> {
        let endpoints = service_env::Endpoints {
            nats_url: self.nats_url.clone(),
            nats_monitor_url: self.nats_monitor_url.clone(),
            api_port: options.ports.api,
            log_format: if options.echo { "text" } else { "json" },
        };
        let admin_ports: [u16; Service::ALL.len()] = port::distinct()?;
        for (service, admin_port) in Service::ALL.into_iter().zip(admin_ports) {
            let mut environment =
                service_env::environment(service, admin_port, state, &self.postgres, &endpoints)
                    .await?;
            environment.extend(more_variables(service, options));
            let launch = Launch {
                name: service.name().to_owned(),
                program: options.programs.join(service.name()),
                arguments: Vec::new(),
                environment,
                log: state.log(service.name()),
                echo: options.echo,
                stop: Signal::Terminate,
                abort: Signal::Kill,
            };
            let port = match service {
                Service::TaskApi => options.ports.api,
                Service::Capture
                | Service::Precheck
                | Service::ConsumerGroup
                | Service::Billing
                | Service::Alerting => admin_port,
            };
            tell(Progress::Starts {
                name: service.name(),
                address: &format!("127.0.0.1:{port}"),
            });
            let running = Running {
                admin_url: format!("http://127.0.0.1:{admin_port}"),
                admin_port,
                child: Child::spawn(launch.clone())?,
                launch,
            };
            self.services.insert(service.name(), running);
        }
        // All are on their way already: the slowest decides.
        for (name, running) in &mut self.services {
            running.ready().await?;
            tell(Progress::Ready { name });
        }
        Ok(())
    }

    fn service(&mut self, name: &str) -> Result<&mut Running, Error> {
        self.services
            .get_mut(name)
            .ok_or_else(|| Error::UnknownProcess(name.to_owned()))
    }
}

async fn told<T>(
    tell: &impl Fn(Progress<'_>),
    name: &str,
    port: u16,
    start: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tell(Progress::Starts {
        name,
        address: &format!("127.0.0.1:{port}"),
    });
    let started = start.await?;
    tell(Progress::Ready { name });
    Ok(started)
}

fn more_variables(
    service: Service,
    options: &PlatformOptions,
) -> impl Iterator<Item = (String, OsString)> {
    let own = options.service_environment.get(&service);
    options
        .environment
        .iter()
        .chain(own.into_iter().flatten())
        .map(|(name, value)| (name.clone(), value.into()))
}

fn require_programs(folder: &Path) -> Result<(), Error> {
    for service in Service::ALL {
        if !folder.join(service.name()).is_file() {
            return Err(Error::Missing {
                program: service.name(),
                remedy: format!("build the services first; looked in {}", folder.display()),
            });
        }
    }
    Ok(())
}
