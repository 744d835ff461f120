//! Where sources may be: users name hosts, and what runs Rowcast reaches more than they should.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Word for Unix-domain sockets among networks.
const SOCKETS: &str = "unix";

/// What is no server's address, or that of a cloud's own service for the machine that asks (RFC 3927, RFC
/// 4291): whatever is allowed, no source is there.
const NEVER: [IpNet; 8] = [
    v4([0, 0, 0, 0], 8),
    v4([169, 254, 0, 0], 16),
    v4([224, 0, 0, 0], 4),
    v4([255, 255, 255, 255], 32),
    v6([0, 0, 0, 0, 0, 0, 0, 0], 128),
    v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),
    v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8),
    // As 169.254.169.254.
    v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128),
];

const fn v4(octets: [u8; 4], prefix: u8) -> IpNet {
    let [a, b, c, d] = octets;
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix))
}

const fn v6(segments: [u16; 8], prefix: u8) -> IpNet {
    let [a, b, c, d, e, f, g, h] = segments;
    IpNet::V6(Ipv6Net::new_assert(
        Ipv6Addr::new(a, b, c, d, e, f, g, h),
        prefix,
    ))
}

/// The networks in which sources may be. The default is everywhere, Unix-domain sockets included.
///
/// As text, networks in CIDR notation or single addresses, separated by commas; `!` before one excludes it,
/// `unix` stands for Unix-domain sockets. Where none is named without `!`, all others are allowed.
/// Link-local, multicast and unspecified addresses never are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Networks(Arc<Rules>);

#[derive(Debug, PartialEq, Eq, Default)]
struct Rules {
    /// Empty for all.
    allowed: Vec<IpNet>,
    excluded: Vec<IpNet>,
    /// Whether sockets are spoken of, and how.
    sockets: Option<bool>,
}

/// The text does not name networks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no network: expected addresses or networks as 10.0.0.0/8, !10.9.0.0/16 to exclude one, or unix, separated by commas"
)]
pub struct ParseNetworksError(String);

impl FromStr for Networks {
    type Err = ParseNetworksError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut rules = Rules::default();
        for entry in text.split(',').map(str::trim) {
            let (name, is_allowed) = match entry.strip_prefix('!') {
                Some(name) => (name.trim_start(), false),
                None => (entry, true),
            };
            if name == SOCKETS {
                rules.sockets = Some(is_allowed);
                continue;
            }
            let network = name
                .parse::<IpNet>()
                .or_else(|_no_network| name.parse::<IpAddr>().map(IpNet::from))
                .map_err(|_no_address| ParseNetworksError(entry.to_owned()))?;
            if is_allowed {
                rules.allowed.push(network);
            } else {
                rules.excluded.push(network);
            }
        }
        Ok(Self(Arc::new(rules)))
    }
}

impl Networks {
    /// Whether a source may be at this address.
    #[must_use]
    pub fn allow(&self, address: IpAddr) -> bool {
        // `::ffff:169.254.169.254` leads to the same place.
        let address = address.to_canonical();
        let is_in = |networks: &[IpNet]| networks.iter().any(|network| network.contains(&address));
        let Rules {
            allowed, excluded, ..
        } = &*self.0;
        !is_in(&NEVER) && !is_in(excluded) && (allowed.is_empty() || is_in(allowed))
    }

    /// Whether a source may be behind a Unix-domain socket.
    #[must_use]
    pub fn allow_sockets(&self) -> bool {
        self.0.sockets.unwrap_or(self.0.allowed.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(networks: &str, address: &str) -> bool {
        let networks: Networks = networks.parse().unwrap();
        networks.allow(address.parse().unwrap())
    }

    #[test]
    fn metadata_services_are_no_sources() {
        let anywhere = Networks::default();
        for address in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "fd00:ec2::254",
            "fe80::1",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "255.255.255.255",
        ] {
            assert!(!anywhere.allow(address.parse().unwrap()), "{address}");
            assert!(!allows("0.0.0.0/0,::/0", address), "{address}");
        }
        for address in ["127.0.0.1", "10.1.2.3", "2001:db8::1", "::1"] {
            assert!(anywhere.allow(address.parse().unwrap()), "{address}");
        }
        assert!(anywhere.allow_sockets());
    }

    #[test]
    fn what_is_excluded_is_refused_and_what_is_named_is_all_there_is() {
        assert!(allows("10.0.0.0/8, !10.9.0.0/16", "10.8.0.1"));
        assert!(!allows("10.0.0.0/8, !10.9.0.0/16", "10.9.0.1"));
        assert!(!allows("10.0.0.0/8", "192.168.0.1"));
        assert!(allows("!127.0.0.0/8", "192.168.0.1"));
        assert!(!allows("! 127.0.0.0/8", "127.0.0.1"));
        assert!(allows("2001:db8::7", "2001:db8::7"));
        assert!(!allows("2001:db8::7", "2001:db8::8"));
        let sockets = |text: &str| text.parse::<Networks>().unwrap().allow_sockets();
        assert!(sockets("!127.0.0.0/8"));
        assert!(!sockets("10.0.0.0/8"));
        assert!(sockets("10.0.0.0/8,unix"));
        assert!(!sockets("!unix"));
    }

    #[test]
    fn what_is_no_network_is_named() {
        for text in ["", "10.0.0.0/33", "db.example.com", "10.0.0.0/8,,"] {
            assert!(text.parse::<Networks>().is_err(), "{text:?}");
        }
        let error = "10.0.0.0/8,here".parse::<Networks>().unwrap_err();
        assert!(error.to_string().contains("\"here\""), "{error}");
    }
}
