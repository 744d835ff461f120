//! Tells by e-mail.

use std::time::Duration;

use lettre::address::AddressError;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use rowcast_domain::{DeliveryId, Secret};
use rowcast_proto::rest::{Incident, IncidentEvent, IncidentNotice};

/// How long the server may take for each step.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A mail was not sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// It is no address.
    #[error("it is no e-mail address: {0}")]
    Address(#[from] AddressError),
    /// What is to be told cannot be read.
    #[error("what is to be told cannot be read: {0}")]
    Notice(#[from] serde_json::Error),
    /// It cannot be written.
    #[error("the mail cannot be written: {0}")]
    Write(#[from] lettre::error::Error),
    /// Anybody on the way could read the password.
    #[error("the password would go in clear: begin the URL with smtps://, or add ?tls=required")]
    Clear,
    /// The server did not take it.
    #[error("the mail server did not take it: {0}")]
    Server(#[from] smtp::Error),
}

/// A server for mail, and who writes.
#[derive(Debug, Clone)]
pub(crate) struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Mailer {
    /// # Errors
    /// Where the URL is none of a mail server.
    pub(crate) fn new(url: &Secret, from: Mailbox) -> Result<Self, Error> {
        if tells_password(url.expose()) {
            return Err(Error::Clear);
        }
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose())?;
        let transport = transport.timeout(Some(TIMEOUT)).build();
        Ok(Self { transport, from })
    }

    /// Sends what a webhook would be told, in words.
    ///
    /// # Errors
    /// Where the server has not taken it.
    pub(crate) async fn send(&self, to: &str, id: &DeliveryId, body: &str) -> Result<(), Error> {
        let notice: IncidentNotice = serde_json::from_str(body)?;
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, parse(to)?))
            .subject(subject(&notice))
            .message_id(Some(format!("<{id}@rowcast.invalid>")))
            .header(ContentType::TEXT_PLAIN)
            .body(text(&notice))?;
        self.transport.send(message).await?;
        Ok(())
    }
}

/// Whether a password would be sent without TLS.
fn tells_password(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else {
        return false;
    };
    let has_tls = url.scheme() == "smtps"
        || url
            .query_pairs()
            .any(|(name, value)| name == "tls" && value == "required");
    url.password().is_some() && !has_tls
}

/// Reads an address. What could begin another line of a mail is in none.
///
/// # Errors
/// Where it is none.
pub(crate) fn parse(address: &str) -> Result<Address, AddressError> {
    if address.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(AddressError::InvalidInput);
    }
    address.parse()
}

fn subject(notice: &IncidentNotice) -> String {
    let event = notice.event.as_str();
    let subject = match &notice.incident {
        Some(incident) => {
            let rule = incident.rule_name.as_ref().unwrap_or(&incident.rule);
            format!("[Rowcast] {event}: {rule} of {}", incident.task_name)
        }
        None => "[Rowcast] test".to_owned(),
    };
    subject.replace(char::is_control, " ")
}

fn text(notice: &IncidentNotice) -> String {
    let Some(incident) = &notice.incident else {
        return "This is a test: incidents are told to this address.\n".to_owned();
    };
    let Incident {
        id,
        task_id,
        task_name,
        rule,
        summary,
        error,
        opened_at,
        resolved_at,
        group_id,
        group_name,
        rule_id: _,
        rule_name,
        severity,
    } = incident;
    let mut text = match notice.event {
        IncidentEvent::Raised | IncidentEvent::Test => format!("{summary}\n\n"),
        IncidentEvent::Repeated => format!("It lasts: {summary}\n\n"),
        IncidentEvent::Resolved => format!("It has ended: {summary}\n\n"),
    };
    if let Some(error) = error {
        text.push_str(&format!(
            "{}: {}\n{}\n\n",
            error.code, error.message, error.advice
        ));
    }
    text.push_str(&format!(
        "Task: {task_name} ({task_id})\nIncident: {id}, {rule}\nSince: {opened_at}\n"
    ));
    if let (Some(name), Some(severity)) = (rule_name, severity) {
        text.push_str(&format!("Rule: {name} ({})\n", severity.as_str()));
    }
    if let (Some(id), Some(name)) = (group_id, group_name) {
        text.push_str(&format!("Group: {name} ({id})\n"));
    }
    if let Some(resolved_at) = resolved_at {
        text.push_str(&format!("Until: {resolved_at}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_begin_another_line_is_no_address() {
        assert!(parse("ops@example.com").is_ok());
        for address in [
            "ops",
            "ops@example.com\r\nBcc: all@example.com",
            "ops@example.com\n",
            "ops@example.com, all@example.com",
            "Ops <ops@example.com>",
        ] {
            assert!(parse(address).is_err(), "{address:?}");
        }
    }

    #[test]
    fn a_subject_is_one_line_whatever_a_task_is_called() {
        let text = r#"{"event": "raised", "incident": {"id": "c000000000000", "task_id": "t000000000000",
            "task_name": "a\r\nBcc: b", "rule": "task_delayed", "summary": "late",
            "opened_at": "2026-11-23T05:33:10Z"}}"#;
        let notice: IncidentNotice = serde_json::from_str(text).unwrap();
        assert_eq!(
            subject(&notice),
            "[Rowcast] raised: task_delayed of a  Bcc: b"
        );
    }
}
