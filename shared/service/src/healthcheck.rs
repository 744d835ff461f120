//! `<service> healthcheck`: asks the running process of the same configuration whether it is ready.
//!
//! A container runs this as its health check, so that its image needs no HTTP client.

use std::io::{Error, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// How long connecting, and each read and write, may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Most bytes of the answer that are read: the names of what a process waits for fit.
const ANSWER_BYTES_MAX: u64 = 8 * 1024;

/// Asks `/ready` of the admin endpoints that listen on `address`.
pub(crate) fn ask(address: SocketAddr) -> Result<(), Error> {
    let mut stream = TcpStream::connect_timeout(&reachable(address), TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.write_all(b"GET /ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    judge(&String::from_utf8_lossy(&answer))
}

/// Where a listener is found: one on all addresses answers on the loopback address too.
const fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn judge(answer: &str) -> Result<(), Error> {
    let status = answer.split(' ').nth(1);
    if answer.starts_with("HTTP/1.1 ") && status == Some("200") {
        return Ok(());
    }
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let status = status.unwrap_or("nothing");
    let problem = format!("not ready: answered {status}: {}", body.trim());
    Err(Error::other(problem))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Answers one question with `answer`; returns what `ask` makes of it.
    fn asked(answer: &'static str) -> Result<(), Error> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut question = [0; 256];
            let length = stream.read(&mut question).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&question[..length]).into_owned()
        });
        let result = ask(SocketAddr::from(([0, 0, 0, 0], address.port())));
        assert!(
            server
                .join()
                .unwrap()
                .starts_with("GET /ready HTTP/1.1\r\n")
        );
        result
    }

    #[test]
    fn a_ready_process_is_healthy() {
        asked("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nready\n").unwrap();
    }

    #[test]
    fn a_process_that_waits_tells_for_what() {
        let error = asked("HTTP/1.1 503 Unavailable\r\n\r\nwaiting for nats\n").unwrap_err();
        assert!(error.to_string().ends_with("503: waiting for nats"));
    }

    #[test]
    fn anything_else_is_no_health() {
        asked("").unwrap_err();
        asked("SSH-2.0-x 200\r\n").unwrap_err();
        asked("HTTP/1.1 2000 OK\r\n\r\n").unwrap_err();
    }

    #[test]
    fn nobody_listening_is_no_health() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        ask(address).unwrap_err();
    }
}
