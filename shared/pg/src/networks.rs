//! Where sources may be: users name hosts, and what runs Rowcast reaches more than they should.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Word for Unix-domain sockets among networks.
const SOCKETS: &str = "unix";

/// What is no server's address, or that of a cloud's own service for the machine that asks (RFC 3927, RFC
/// 4291): whatever is allowed, no source is there.
const NEVER: [IpNet; 12] = [
    v4([0, 0, 0, 0], 8),
    v4([169, 254, 0, 0], 16),
    v4([224, 0, 0, 0], 4),
    v4([255, 255, 255, 255], 32),
    v6([0, 0, 0, 0, 0, 0, 0, 0], 128),
    v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),
    v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8),
    // NAT64 of a place's own choice (RFC 8215): where it leads to cannot be read off it.
    v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48),
    // The same services under other addresses: AWS, GCP, Alibaba Cloud, Azure.
    v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128),
    v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128),
    v4([100, 100, 100, 200], 32),
    v4([168, 63, 129, 16], 32),
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
            if network.addr().to_canonical() != network.addr() {
                // Addresses are judged as the IPv4 address that they mean.
                return Err(ParseNetworksError(entry.to_owned()));
            }
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
        let inner = embedded(address).map(IpAddr::V4);
        let is_excluded =
            |address: IpAddr| is_in(&NEVER, address) || is_in(&self.0.excluded, address);
        let allowed = &self.0.allowed;
        !is_excluded(address)
            && !inner.is_some_and(is_excluded)
            && (allowed.is_empty() || is_in(allowed, address))
    }

    /// Whether a source may be behind a Unix-domain socket.
    #[must_use]
    pub fn allow_sockets(&self) -> bool {
        self.0.sockets.unwrap_or(self.0.allowed.is_empty())
    }
}

fn is_in(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

/// The IPv4 address to which a gateway may lead: by NAT64 (RFC 6052), 6to4 (RFC 3056), or as compatible (RFC
/// 4291, section 2.5.5.1).
fn embedded(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(address) = address else {
        return None;
    };
    let [a, b, c, d, e, f, g, h] = address.segments();
    let (high, low) = match (a, b, c, d, e, f) {
        (0x64, 0xff9b, 0, 0, 0, 0) | (0, 0, 0, 0, 0, 0) => (g, h),
        (0x2002, ..) => (b, c),
        _ => return None,
    };
    let bits = u32::from(high) << 16 | u32::from(low);
    // Of `::1` and `::` it is no address.
    (bits > 1).then(|| Ipv4Addr::from_bits(bits))
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
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1:a9fe:a9:fe00::",
            "2002:a9fe:a9fe::1",
            "::169.254.169.254",
            "100.100.100.200",
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
        assert!(!allows("!10.9.0.0/16", "64:ff9b::a09:5"));
        assert!(allows("64:ff9b::/96", "64:ff9b::a09:5"));
        assert!(!allows("!10.9.0.0/16", "::ffff:10.9.0.5"));
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
        for text in [
            "",
            "::ffff:10.0.0.0/104",
            "10.0.0.0/33",
            "db.example.com",
            "10.0.0.0/8,,",
        ] {
            assert!(text.parse::<Networks>().is_err(), "{text:?}");
        }
        let error = "10.0.0.0/8,here".parse::<Networks>().unwrap_err();
        assert!(error.to_string().contains("\"here\""), "{error}");
    }
}
