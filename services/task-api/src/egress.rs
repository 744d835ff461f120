//! From where sources are connected to.

use std::str::FromStr;

use ipnet::IpNet;

/// What to heed where addresses are let in.
pub(crate) const ADVICE: &str = "Let these addresses in, and no others: only to the port of PostgreSQL, only for the role and the \
     database that are tracked. Where they are public, ask for TLS (hostssl in pg_hba.conf) with a long random password or a \
     client certificate, and prefer a private way there (VPN, VPC peering, private link). Look now and then whether all \
     entries are still needed, and take them out with the last task.";

/// Addresses and networks, as whoever runs the platform has said them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EgressAddresses(Vec<String>);

impl EgressAddresses {
    pub(crate) fn to_vec(&self) -> Vec<String> {
        self.0.clone()
    }
}

/// The text is no list of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither an address nor a network as 203.0.113.0/28")]
pub struct ParseEgressError(String);

impl FromStr for EgressAddresses {
    type Err = ParseEgressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = |entry: &str| {
            let is_network = entry.parse::<IpNet>().is_ok();
            let is_one = is_network || entry.parse::<std::net::IpAddr>().is_ok();
            is_one
                .then(|| entry.to_owned())
                .ok_or_else(|| ParseEgressError(entry.to_owned()))
        };
        let entries: Result<Vec<String>, _> = text.split(',').map(str::trim).map(read).collect();
        Ok(Self(entries?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_networks_are_kept_as_they_were_said() {
        let said: EgressAddresses = "203.0.113.7, 2001:db8::/48".parse().unwrap();
        assert_eq!(said.to_vec(), ["203.0.113.7", "2001:db8::/48"]);
        for bad in ["", "nat.example.com", "203.0.113.7/40"] {
            assert!(bad.parse::<EgressAddresses>().is_err(), "{bad:?}");
        }
    }
}
