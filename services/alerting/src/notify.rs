//! Writes down whom an event of an incident is to be told, in the transaction of the incident.

use rowcast_bus::async_nats::jetstream::kv;
use rowcast_domain::TaskId;
use rowcast_proto::message::TaskSpec;
use rowcast_proto::rest::{self, IncidentEvent, IncidentNotice};
use sqlx::PgConnection;

use crate::error::Error;
use crate::incident::Incident;
use crate::store::deliveries::{self, Notice};

/// What a task's wish says of its incidents.
#[derive(Debug)]
pub(crate) struct Told {
    /// The task's name; its id where there is no wish.
    pub(crate) name: String,
    pub(crate) contacts: Vec<String>,
}

/// Those whom a task's wish names; nobody where it has none, or none that can be read: an incident is raised
/// whoever is told.
///
/// # Errors
/// Where the bucket does not answer.
pub(crate) async fn contacts(wishes: &kv::Store, task: &TaskId) -> Result<Vec<String>, Error> {
    Ok(told(wishes, task).await?.contacts)
}

/// As [`contacts`], with the task's name.
///
/// # Errors
/// Where the bucket does not answer.
pub(crate) async fn told(wishes: &kv::Store, task: &TaskId) -> Result<Told, Error> {
    let nobody = Told {
        name: task.to_string(),
        contacts: Vec::new(),
    };
    let wish = wishes.get(task.as_str()).await.map_err(Error::Wishes)?;
    let Some(wish) = wish else {
        return Ok(nobody);
    };
    match serde_json::from_slice::<TaskSpec>(&wish) {
        Ok(spec) => Ok(Told {
            name: spec.name,
            contacts: spec.alerting.unwrap_or_default().contacts,
        }),
        Err(error) => {
            tracing::error!(%task, %error, "a wish that cannot be read: no contact is told");
            Ok(nobody)
        }
    }
}

/// That it began.
///
/// # Errors
/// Those of the database.
pub(crate) async fn raised(
    connection: &mut PgConnection,
    incident: &Incident,
    contacts: &[String],
) -> Result<(), Error> {
    let event = IncidentEvent::Raised;
    write(connection, event, event.as_str(), incident, contacts).await
}

/// That it lasts, to those who were told that it began and have taken all so far: who does not answer need not be told
/// everything later. `times` counts how often.
///
/// # Errors
/// Those of the database.
pub(crate) async fn repeated(
    connection: &mut PgConnection,
    incident: &Incident,
    times: i64,
) -> Result<(), Error> {
    let mut contacts = deliveries::contacts_of(connection, &incident.id).await?;
    let waiting = deliveries::waiting(connection, &incident.id).await?;
    contacts.retain(|contact| !waiting.contains(contact));
    let event = IncidentEvent::Repeated;
    let label = format!("{} {times}", event.as_str());
    write(connection, event, &label, incident, &contacts).await
}

/// That it ended, to those who were told that it began.
///
/// # Errors
/// Those of the database.
pub(crate) async fn resolved(
    connection: &mut PgConnection,
    incident: &Incident,
) -> Result<(), Error> {
    let contacts = deliveries::contacts_of(connection, &incident.id).await?;
    let event = IncidentEvent::Resolved;
    write(connection, event, event.as_str(), incident, &contacts).await
}

/// `label` keeps a contact from being told the same twice.
async fn write(
    connection: &mut PgConnection,
    event: IncidentEvent,
    label: &str,
    incident: &Incident,
    contacts: &[String],
) -> Result<(), Error> {
    if contacts.is_empty() {
        return Ok(());
    }
    let body = serde_json::to_string(&IncidentNotice {
        event,
        incident: Some(in_rest(incident)),
    })?;
    let notice = Notice {
        incident: &incident.id,
        task: &incident.task_id,
        event: label,
        body: &body,
    };
    for contact in contacts {
        deliveries::insert(connection, contact, &notice).await?;
    }
    Ok(())
}

fn in_rest(incident: &Incident) -> rest::Incident {
    rest::Incident {
        id: incident.id.clone(),
        task_id: incident.task_id.clone(),
        task_name: incident.task_name.clone(),
        rule: incident.rule.clone(),
        summary: incident.summary.clone(),
        error: incident.error.clone().map(|error| rest::TaskError {
            code: error.code,
            message: error.message,
            advice: error.advice,
            retry_until: None,
        }),
        opened_at: incident.opened_at,
        resolved_at: incident.resolved_at,
        group_id: incident.group.as_ref().map(|group| group.id.clone()),
        group_name: incident.group.as_ref().map(|group| group.name.clone()),
        rule_id: incident.by.as_ref().map(|by| by.id.clone()),
        rule_name: incident.by.as_ref().map(|by| by.name.clone()),
        severity: incident.by.as_ref().map(|by| by.severity),
    }
}
