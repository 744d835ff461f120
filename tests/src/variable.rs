//! What a run of the tests is told by its environment.

/// The value of this variable; `None` where it is not set, or says nothing of the kind.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "a failed run is repeated by its seed, and a long one is asked for"
)]
pub fn variable<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}
