//! The platform itself.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /system`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct System {
    /// Of the service that answers.
    pub version: String,
    /// Addresses and networks from which sources are connected to, for their firewalls, security groups and
    /// `pg_hba.conf`; empty where whoever runs the platform has not said.
    pub egress_addresses: Vec<String>,
    /// What to heed where they are let in.
    pub egress_advice: String,
    /// Networks that clients of a task can use; empty where there is one way for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub client_networks: Vec<ClientNetwork>,
}

/// A way for clients of consumer groups to reach NATS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClientNetwork {
    /// What a task calls it, as `internal` or `public`.
    pub name: String,
    /// NATS URLs.
    pub urls: Vec<String>,
}
