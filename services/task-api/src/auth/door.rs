//! How fast one address may ask, whoever it says it is: counted in front of everything that costs the database something.
//! Counted by each process for itself.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use governor::clock::Clock as _;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use ipnet::IpNet;

use crate::error::ApiError;
use crate::state::App;

/// How many seconds' worth of requests may come at once.
const BURST_SECONDS: u32 = 5;

/// Most addresses that are counted one by one, some 10 MB; all further ones count as one until some are forgotten.
const ADDRESSES_MAX: usize = 100_000;

/// What a request without a token, or with a wrong one, counts beside itself: who guesses tokens asks a twentieth as often.
const REFUSED_COUNTS: u32 = 19;

/// Of an address of IPv6, what tells one customer of a provider from another.
const PREFIX_BITS: u32 = 64;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// From where a request comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RemoteAddress(pub(crate) IpAddr);

/// Counts requests by address.
#[derive(Debug)]
pub(crate) struct Door {
    a_second: NonZeroU32,
    asked: DefaultKeyedRateLimiter<IpAddr>,
    proxies: TrustedProxies,
}

impl Door {
    /// Of so many requests a second from each address.
    pub(crate) fn new(a_second: NonZeroU32, proxies: TrustedProxies) -> Self {
        let burst = a_second.saturating_mul(NonZeroU32::MIN.saturating_add(BURST_SECONDS - 1));
        let quota = Quota::per_second(a_second).allow_burst(burst);
        Self {
            a_second,
            asked: RateLimiter::keyed(quota),
            proxies,
        }
    }

    /// Counts a request; the time to wait where it is one too many.
    fn count(&self, address: IpAddr) -> Result<(), Duration> {
        let counted = if self.has_room() {
            counted_as(address)
        } else {
            IpAddr::V6(Ipv6Addr::UNSPECIFIED)
        };
        self.asked
            .check_key(&counted)
            .map_err(|early| early.wait_time_from(self.asked.clock().now()))
    }

    fn has_room(&self) -> bool {
        self.asked.len() < ADDRESSES_MAX
    }

    /// Counts that a request was refused for its token. Where addresses are counted together, guesses of one do not hinder
    /// the others.
    fn count_refused(&self, address: IpAddr) {
        if !self.has_room() {
            return;
        }
        for _ in 0..REFUSED_COUNTS {
            if self.count(address).is_err() {
                break;
            }
        }
    }

    /// Forgets addresses that have not asked for a while.
    pub(crate) fn forget(&self) {
        self.asked.retain_recent();
    }
}

fn counted_as(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let prefix = u128::MAX << (u128::BITS - PREFIX_BITS);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & prefix))
        }
    }
}

/// Refuses what comes too fast from one address, and notes the address for what comes behind.
pub(crate) async fn keep_door(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let door = app.door();
    let address = door.proxies.origin(peer.ip(), request.headers());
    door.count(address).map_err(|wait| {
        let detail = format!(
            "more than {} requests a second from {address}",
            door.a_second
        );
        ApiError::refused(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail)
            .retry_after(wait)
            .repair("Wait as long as Retry-After says, and ask less often.")
    })?;
    request.extensions_mut().insert(RemoteAddress(address));
    let response = next.run(request).await;
    if response.status() == StatusCode::UNAUTHORIZED {
        door.count_refused(address);
    }
    Ok(response)
}

/// Proxies whose word on where a request comes from is taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// From where a request comes: what the last proxy that is trusted says of it, each of them having added its peer at
    /// the end of `X-Forwarded-For`. Where nobody is trusted, from whoever is connected.
    fn origin(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut origin = peer;
        let values = headers.get_all(FORWARDED_FOR).iter();
        let text: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
        let said = text.iter().flat_map(|value| value.split(','));
        let said: Vec<&str> = said.map(str::trim).collect();
        let mut said = said.into_iter().rev();
        while self.trusts(origin) {
            let Some(Ok(before)) = said.next().map(str::parse) else {
                break;
            };
            origin = before;
        }
        origin.to_canonical()
    }

    fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// The text is no list of networks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither an address nor a network as 10.0.0.0/8")]
pub struct ParseProxiesError(String);

impl FromStr for TrustedProxies {
    type Err = ParseProxiesError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = |entry: &str| {
            let network = entry.parse().ok();
            let network = network.or_else(|| entry.parse().ok().map(|one: IpAddr| one.into()));
            network.ok_or_else(|| ParseProxiesError(entry.to_owned()))
        };
        let networks: Result<Vec<IpNet>, _> = text.split(',').map(str::trim).map(read).collect();
        networks.map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_that_asks_too_fast_waits_and_no_other_does() {
        let door = Door::new(NonZeroU32::MIN, TrustedProxies::default());
        for _ in 0..BURST_SECONDS {
            assert_eq!(door.count(ip("2001:db8::1")), Ok(()));
        }
        // The same customer.
        assert!(door.count(ip("2001:db8::2:1")).is_err());
        assert_eq!(door.count(ip("2001:db8:0:1::1")), Ok(()));
        assert_eq!(door.count(ip("192.0.2.1")), Ok(()));
        door.count_refused(ip("192.0.2.1"));
        assert!(door.count(ip("::ffff:192.0.2.1")).is_err());
    }

    #[test]
    fn only_a_trusted_proxy_says_where_a_request_comes_from() {
        let mut headers = HeaderMap::new();
        headers.append(FORWARDED_FOR, "6.6.6.6, 198.51.100.7".parse().unwrap());
        headers.append(FORWARDED_FOR, "10.0.0.2".parse().unwrap());
        let nobody = TrustedProxies::default();
        assert_eq!(nobody.origin(ip("10.0.0.1"), &headers), ip("10.0.0.1"));
        let ours: TrustedProxies = "10.0.0.0/8, 192.0.2.1".parse().unwrap();
        // What the client itself wrote in front does not count.
        assert_eq!(ours.origin(ip("10.0.0.1"), &headers), ip("198.51.100.7"));
        assert_eq!(ours.origin(ip("203.0.113.9"), &headers), ip("203.0.113.9"));
        assert_eq!(
            ours.origin(ip("192.0.2.1"), &HeaderMap::new()),
            ip("192.0.2.1")
        );
        headers.insert(FORWARDED_FOR, "unknown".parse().unwrap());
        assert_eq!(ours.origin(ip("10.0.0.1"), &headers), ip("10.0.0.1"));
        assert!("10.0.0.0/8, x".parse::<TrustedProxies>().is_err());
    }
}
