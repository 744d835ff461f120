//! The options of a task that say when somebody is to know of it.

use rowcast_proto::rest::Alerting;

use crate::api::Api;
use crate::find;

/// When somebody is to know of a new task.
#[derive(Debug, clap::Args)]
pub(crate) struct AlertingArgs {
    /// Raise an incident where it is this far behind its source, 30 to 86400 seconds
    #[arg(long = "alert-delay", value_name = "SECONDS")]
    delay: Option<u32>,
    /// Name or id of a contact that is told of its incidents; may be said 20 times
    #[arg(long = "alert-contact", value_name = "CONTACT")]
    contacts: Vec<String>,
}

impl AlertingArgs {
    /// What was said, with the ids of the contacts.
    pub(crate) async fn alerting(&self, api: &Api) -> anyhow::Result<Option<Alerting>> {
        let said = Alerting {
            delay_seconds: self.delay,
            contacts: find::contacts(api, &self.contacts).await?,
        };
        Ok(Some(said).filter(|said| *said != Alerting::default()))
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
    /// No contact is told of its incidents
    #[arg(long, conflicts_with = "contacts")]
    no_alert_contacts: bool,
}

impl AlertingChange {
    /// What was said, where `there` is what the task has; `None` where nothing was said.
    pub(crate) async fn alerting(
        &self,
        api: &Api,
        there: Option<&Alerting>,
    ) -> anyhow::Result<Option<Alerting>> {
        let mut next = there.cloned().unwrap_or_default();
        if self.no_alert_delay || self.wanted.delay.is_some() {
            next.delay_seconds = self.wanted.delay;
        }
        if self.no_alert_contacts || !self.wanted.contacts.is_empty() {
            next.contacts = find::contacts(api, &self.wanted.contacts).await?;
        }
        Ok(Some(next).filter(|next| *next != there.cloned().unwrap_or_default()))
    }
}
