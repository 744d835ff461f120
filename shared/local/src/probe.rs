//! One HTTP question to a process on this machine.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A health endpoint that does not answer within this time is not healthy.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Says why `path` does not answer 200; `Ok` where it does.
pub(crate) async fn healthy(port: u16, path: &str) -> Result<(), String> {
    match tokio::time::timeout(TIMEOUT, get(port, path)).await {
        Ok(Ok(answer)) => verdict(&answer),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_elapsed) => Err(format!("{path} does not answer")),
    }
}

async fn get(port: u16, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn verdict(answer: &str) -> Result<(), String> {
    let status = answer.split_whitespace().nth(1);
    if status == Some("200") {
        return Ok(());
    }
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Err(body.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_200_is_healthy_and_the_body_tells_why_not() {
        assert_eq!(verdict("HTTP/1.0 200 OK\r\n\r\nready\n"), Ok(()));
        assert_eq!(
            verdict("HTTP/1.1 503 Service Unavailable\r\na: b\r\n\r\nwaiting for nats\n"),
            Err("waiting for nats".to_owned())
        );
    }
}
