//! The options of a task that say when somebody is to know of it.

use rowcast_proto::rest::Alerting;

/// When somebody is to know of a new task.
#[derive(Debug, clap::Args)]
pub(crate) struct AlertingArgs {
    /// Raise an incident where it is this far behind its source, 30 to 86400 seconds
    #[arg(long = "alert-delay", value_name = "SECONDS")]
    delay: Option<u32>,
}

impl AlertingArgs {
    /// What was said.
    pub(crate) fn alerting(&self) -> Option<Alerting> {
        let said = Alerting {
            delay_seconds: self.delay,
        };
        Some(said).filter(|said| *said != Alerting::default())
    }
}

/// What of it is to be otherwise.
#[derive(Debug, clap::Args)]
pub(crate) struct AlertingChange {
    #[command(flatten)]
    wanted: AlertingArgs,
    /// However far it is behind
    #[arg(long, conflicts_with = "delay")]
    no_alert_delay: bool,
}

impl AlertingChange {
    /// What was said, where `there` is what the task has; `None` where nothing was said.
    pub(crate) fn alerting(&self, there: Option<&Alerting>) -> Option<Alerting> {
        let mut next = there.cloned().unwrap_or_default();
        if self.no_alert_delay {
            next.delay_seconds = None;
        } else if self.wanted.delay.is_some() {
            next.delay_seconds = self.wanted.delay;
        } else {
            return None;
        }
        Some(next)
    }
}
