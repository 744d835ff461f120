//! How often one host may fail to log in, before any more of its passwords are hashed.
//!
//! Only failures count, so that hundreds of members that come back at once hinder nobody; and only those that were hashed,
//! so that a client which tries one wrong password for ever does not use up what its neighbours behind one address have.
//! Counted by each copy for itself.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};

use governor::clock::Clock as _;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use tokio::time::Instant;

/// Failures that may come at once; each of them costs a hash.
const AT_ONCE: NonZeroU32 = NonZeroU32::MIN.saturating_add(19);

/// And so many in each second after that.
const A_SECOND: NonZeroU32 = NonZeroU32::MIN;

/// Most hosts that are counted, some 10 MB. Failures of further ones are not, until some are forgotten.
const HOSTS_MAX: usize = 100_000;

/// Of an address of IPv6, what tells one customer of a provider from another.
const PREFIX_BITS: u32 = 64;

/// Counts failed logins by host.
#[derive(Debug)]
pub(crate) struct Door {
    failed: DefaultKeyedRateLimiter<IpAddr>,
    /// Until when those hosts wait that have failed too often.
    closed: Mutex<HashMap<IpAddr, Instant>>,
}

impl Door {
    /// That is open for all.
    pub(crate) fn new() -> Self {
        let quota = Quota::per_second(A_SECOND).allow_burst(AT_ONCE);
        Self {
            failed: RateLimiter::keyed(quota),
            closed: Mutex::default(),
        }
    }

    /// Whether a password that comes from there is looked at.
    pub(crate) fn is_open(&self, host: &str) -> bool {
        let closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        closed
            .get(&counted_as(host))
            .is_none_or(|until| *until <= Instant::now())
    }

    /// Counts that a password was looked at, and was wrong.
    pub(crate) fn count_failure(&self, host: &str) {
        if self.failed.len() >= HOSTS_MAX {
            return;
        }
        let host = counted_as(host);
        if let Err(early) = self.failed.check_key(&host) {
            let wait = early.wait_time_from(self.failed.clock().now());
            let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
            closed.insert(host, Instant::now() + wait);
        }
    }

    /// Forgets hosts that have not failed for a while.
    pub(crate) fn forget(&self) {
        self.failed.retain_recent();
        let now = Instant::now();
        let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        closed.retain(|_host, until| *until > now);
    }
}

/// What has no address, as a connection within the server's own process, counts as one.
fn counted_as(host: &str) -> IpAddr {
    let nowhere = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    let address: IpAddr = host.parse().unwrap_or(nowhere);
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let prefix = u128::MAX << (u128::BITS - PREFIX_BITS);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & prefix))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_fails_too_often_waits_and_no_other_does() {
        let door = Door::new();
        for _ in 0..AT_ONCE.get() {
            door.count_failure("2001:db8::1");
            assert!(door.is_open("2001:db8::1"));
        }
        door.count_failure("2001:db8::1");
        // The same customer.
        assert!(!door.is_open("2001:db8::2:1"));
        assert!(door.is_open("2001:db8:0:1::1"));
        assert!(door.is_open("192.0.2.1"));
        door.forget();
        assert!(!door.is_open("2001:db8::1"));
    }

    #[test]
    fn one_address_is_one_host_however_it_is_written() {
        assert_eq!(counted_as("192.0.2.1"), counted_as("::ffff:192.0.2.1"));
        assert_eq!(counted_as("pipe"), counted_as(""));
    }
}
