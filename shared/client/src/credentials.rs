//! What a member of a group must know.

use std::path::PathBuf;
use std::time::Duration;

use rowcast_domain::{GroupId, Secret, TaskId};
use rowcast_proto::rest::{
    GroupConnection, GroupDelivery, GroupFormat, GroupMode, PartitionConsumer,
};

use crate::error::Error;

/// For how long a subscription goes on although its logins are refused: longer than a service takes to come back.
const LOGIN_PATIENCE: Duration = Duration::from_mins(15);

/// A certificate that says who a client is, and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// PEM file with the certificate, and those that lead to its authority.
    pub certificate: PathBuf,
    /// PEM file with its key.
    pub key: PathBuf,
}

/// Where a group's changes are, and how to log in.
#[derive(Debug, Clone)]
pub struct GroupCredentials {
    /// NATS URLs.
    pub urls: Vec<String>,
    /// User name: `<account>-<group id>`.
    pub login: String,
    /// The group's password.
    pub password: Secret,
    /// The group.
    pub group_id: GroupId,
    /// Its task.
    pub task_id: TaskId,
    /// JetStream stream.
    pub stream: String,
    /// How its members share the changes.
    pub mode: GroupMode,
    /// How changes come to its clients: the subscription reads groups whose clients pull.
    pub delivery: GroupDelivery,
    /// The group's own format; `None` for that of its task, which the subscription reads whichever it is. Of a format of its
    /// own it reads JSON, `CloudEvents` and protobuf.
    pub format: Option<GroupFormat>,
    /// Durable pull consumer; empty where the group is keyed.
    pub consumer: String,
    /// The durable pull consumers of a keyed group.
    pub consumers: Vec<PartitionConsumer>,
    /// Prefix of the inboxes; the server allows no others.
    pub inbox_prefix: String,
    /// For how long logins may be refused in a row, or the group be without a consumer, before a subscription that was let in
    /// once ends; see
    /// [`with_login_patience`](Self::with_login_patience).
    pub login_patience: Duration,
    /// PEM file with the authorities that may have signed NATS's certificate; `None` for those that the system trusts. See
    /// [`with_root_certificates`](Self::with_root_certificates).
    pub root_certificates: Option<PathBuf>,
    /// What NATS is shown where it asks clients for a certificate.
    pub client_certificate: Option<ClientCertificate>,
}

impl GroupCredentials {
    /// The answer of `GET /tasks/{id}/groups/{gid}/connection`, and the group's password.
    #[must_use]
    pub fn new(connection: GroupConnection, password: Secret) -> Self {
        let GroupConnection {
            urls,
            login,
            stream,
            mode,
            consumer,
            consumers,
            redrive_stream: _,
            redrive_consumer: _,
            inbox_prefix,
            group_id,
            task_id,
            delivery,
            deliver_subject: _,
            deliver_group: _,
            format,
        } = connection;
        Self {
            urls,
            login,
            password,
            group_id,
            task_id,
            stream,
            mode,
            delivery,
            format,
            consumer,
            consumers,
            inbox_prefix,
            login_patience: LOGIN_PATIENCE,
            root_certificates: None,
            client_certificate: None,
        }
    }

    /// Whether the group is told changes in a format that is read here.
    ///
    /// # Errors
    /// [`Error::Unreadable`] where it is not.
    pub(crate) fn refuse_unreadable(&self) -> Result<(), Error> {
        match self.format {
            None | Some(GroupFormat::Json | GroupFormat::Cloudevents | GroupFormat::Protobuf) => {
                Ok(())
            }
            Some(format @ (GroupFormat::Debezium | GroupFormat::Avro)) => Err(Error::Unreadable {
                group: self.group_id.clone(),
                format,
            }),
        }
    }

    /// For how long logins may be refused in a row before a [`Subscription`](crate::Subscription) that was let in once ends
    /// with [`LoginRefused`](crate::Error::LoginRefused). Fifteen minutes where nothing is said.
    ///
    /// NATS refuses every login while nobody is there to check it, which is so when the connection breaks while the service
    /// that checks them is away; it says the same where the password was changed or the group deleted. A subscription that
    /// waits goes on by itself where it stood. The first login of [`connect`](crate::Subscription::connect) is tried once,
    /// whatever this says, and a login that only has expired is no refusal: the client logs in again.
    ///
    /// For as long a subscription waits for a group whose consumer is missing, because its task was reset and is not started
    /// again yet; then it ends with [`GroupDeleted`](crate::Error::GroupDeleted).
    #[must_use]
    pub fn with_login_patience(mut self, patience: Duration) -> Self {
        self.login_patience = patience;
        self
    }

    /// Trusts the authorities in this PEM file, and no others, to have signed NATS's certificate: for a certificate of a
    /// private authority. From then on nothing is sent without TLS, whatever the URLs say.
    #[must_use]
    pub fn with_root_certificates(mut self, file: impl Into<PathBuf>) -> Self {
        self.root_certificates = Some(file.into());
        self
    }

    /// Shows NATS this certificate, with its key, both PEM files: where it lets in nobody without (`verify: true`). From then on
    /// nothing is sent without TLS. Login and password are needed as before.
    #[must_use]
    pub fn with_client_certificate(
        mut self,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        self.client_certificate = Some(ClientCertificate {
            certificate: certificate.into(),
            key: key.into(),
        });
        self
    }
}
