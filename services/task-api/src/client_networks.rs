//! Where clients of consumer groups reach NATS: its listeners, by name.

use std::collections::HashSet;
use std::str::FromStr;

use rowcast_proto::rest::ClientNetwork;

/// Longest name.
const NAME_BYTES_MAX: usize = 32;

/// Schemes of a NATS URL (NATS docs, "Connecting").
const SCHEMES: [&str; 4] = ["nats://", "tls://", "ws://", "wss://"];

/// Networks, as whoever runs the platform has said them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientNetworks(Vec<ClientNetwork>);

impl ClientNetworks {
    pub(crate) fn to_vec(&self) -> Vec<ClientNetwork> {
        self.0.clone()
    }

    /// The network of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&ClientNetwork> {
        self.0.iter().find(|network| network.name == name)
    }

    /// Their names, for a sentence.
    pub(crate) fn names(&self) -> String {
        let names: Vec<&str> = self.0.iter().map(|network| &*network.name).collect();
        names.join(", ")
    }
}

/// The text is no list of networks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseNetworksError {
    /// An entry has another form.
    #[error("{0:?} is not of the form NAME=URL,URL with a name of a-z, 0-9 and -")]
    Form(String),
    /// An address is no NATS URL.
    #[error("{0:?} is no NATS URL such as nats://10.0.0.5:4222 or tls://nats.example.com:4222")]
    Url(String),
    /// A name stands there twice.
    #[error("the network {0:?} is said twice")]
    Twice(String),
}

impl FromStr for ClientNetworks {
    type Err = ParseNetworksError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut names = HashSet::new();
        let mut networks = Vec::new();
        for entry in text
            .split(';')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
        {
            let form = || ParseNetworksError::Form(entry.to_owned());
            let (name, urls) = entry.split_once('=').ok_or_else(form)?;
            let name = name.trim();
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            if !(1..=NAME_BYTES_MAX).contains(&name.len()) || !name.chars().all(plain) {
                return Err(form());
            }
            let urls: Vec<String> = urls.split(',').map(|url| url.trim().to_owned()).collect();
            let is_url = |url: &&String| {
                SCHEMES
                    .iter()
                    .any(|scheme| url.len() > scheme.len() && url.starts_with(scheme))
            };
            if let Some(bad) = urls.iter().find(|url| !is_url(url)) {
                return Err(ParseNetworksError::Url(bad.clone()));
            }
            if !names.insert(name.to_owned()) {
                return Err(ParseNetworksError::Twice(name.to_owned()));
            }
            networks.push(ClientNetwork {
                name: name.to_owned(),
                urls,
            });
        }
        Ok(Self(networks))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_and_found_by_name() {
        let text = "internal=nats://10.0.0.5:4222,nats://10.0.0.6:4222; public=tls://nats.example.com:4222";
        let networks: ClientNetworks = text.parse().unwrap();
        assert_eq!(networks.names(), "internal, public");
        let internal = networks.get("internal").unwrap();
        assert_eq!(
            internal.urls,
            ["nats://10.0.0.5:4222", "nats://10.0.0.6:4222"]
        );
        assert_eq!(networks.get("other"), None);
        assert_eq!("".parse(), Ok(ClientNetworks::default()));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        let read = |text: &str| text.parse::<ClientNetworks>().unwrap_err();
        assert!(matches!(read("nats://a:1"), ParseNetworksError::Form(_)));
        assert!(matches!(read("A=nats://a:1"), ParseNetworksError::Form(_)));
        assert!(matches!(read("=nats://a:1"), ParseNetworksError::Form(_)));
        for bad in ["a=", "a=http://a", "a=nats://", "a=nats://a:1,"] {
            assert!(matches!(read(bad), ParseNetworksError::Url(_)), "{bad}");
        }
        let twice = read("a=nats://a:1;a=nats://b:1");
        assert_eq!(twice, ParseNetworksError::Twice("a".to_owned()));
    }
}
