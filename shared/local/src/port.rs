//! Ports on this machine.

use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;

use rand::Rng as _;

use crate::error::Error;

/// Below the range from which systems take the ports of outgoing connections: such a connection must
/// not take the port of a server that restarts.
const CANDIDATES: Range<u16> = 15_000..32_000;

/// Tries before giving up.
const ATTEMPTS: usize = 200;

/// A port on which nothing listens now.
///
/// # Errors
/// Where none was found.
pub fn free() -> Result<u16, Error> {
    let [port] = distinct()?;
    Ok(port)
}

/// Ports on which nothing listens now, each another.
///
/// # Errors
/// Where too few were found.
pub fn distinct<const N: usize>() -> Result<[u16; N], Error> {
    let mut random = rand::rng();
    // Held until all are found: what is listened on is not found again.
    let held: Vec<(u16, TcpListener)> = (0..ATTEMPTS)
        .map(|_attempt| random.random_range(CANDIDATES))
        .filter_map(|port| Some((port, listen(port).ok()?)))
        .take(N)
        .collect();
    let ports: Vec<u16> = held.iter().map(|(port, _)| *port).collect();
    ports.try_into().map_err(|_too_few| Error::NoPort)
}

/// Refuses a port on which something listens.
///
/// # Errors
/// Names the port, and the process that wanted it.
pub fn require_free(port: u16, process: &'static str) -> Result<(), Error> {
    listen(port).map(drop).map_err(|source| Error::PortInUse {
        port,
        process,
        source,
    })
}

fn listen(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_refused_by_name() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let error = require_free(port, "nats-server").unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with(&format!("port {port} of nats-server is in use")),
            "{error}"
        );
    }

    #[test]
    fn ports_found_together_differ() {
        let mut ports = distinct::<20>().unwrap().to_vec();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 20);
    }

    #[test]
    fn a_free_port_can_be_listened_on() {
        TcpListener::bind((Ipv4Addr::LOCALHOST, free().unwrap())).unwrap();
    }
}
