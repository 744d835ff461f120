//! What a run of the tests is told by its environment.

use std::env::VarError;
use std::fmt::Display;
use std::str::FromStr;

/// The value of this variable; `None` where it is not set.
///
/// # Panics
/// Where it is set to what is no such value: another run than the one that is asked for would say nothing of it.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "a failed run is repeated by its seed, and a long one is asked for"
)]
pub fn variable<T: FromStr<Err: Display>>(name: &str) -> Option<T> {
    match std::env::var(name) {
        Ok(text) => Some(read(name, &text)),
        Err(VarError::NotPresent) => None,
        Err(error @ VarError::NotUnicode(_)) => panic!("{name}: {error}"),
    }
}

fn read<T: FromStr<Err: Display>>(name: &str, text: &str) -> T {
    text.parse()
        .unwrap_or_else(|error| panic!("{name}='{text}': {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read() {
        assert_eq!(read::<u64>("ROWCAST_TEST_SEED", "4711"), 4711);
    }

    #[test]
    #[should_panic(expected = "ROWCAST_TEST_SEED='4711x': invalid digit")]
    fn what_is_no_number_is_told_with_its_name() {
        let _number: u64 = read("ROWCAST_TEST_SEED", "4711x");
    }
}
