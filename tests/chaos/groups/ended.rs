//! Who ends without having been killed, and whether that may be.
//!
//! A program may end with an error where NATS, or who lets it in there, was hit: whatever runs it starts it again. Each such
//! error is named here, and counted. Anything else that a process ends with fails the run, a panic and success among it.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::bail;
use tempfile::NamedTempFile;

use super::COPIES;
use super::trouble::Victim;

/// For so long after it was hit, somebody may be missed: logging in alone may take 10 s.
pub(super) const MISSED_FOR: Duration = Duration::from_secs(30);

/// Characters of what a process has said that are shown.
const SHOWN: usize = 2000;

/// What the processes in one place have said on standard error, one after another.
#[derive(Debug)]
pub(super) struct Said {
    file: NamedTempFile,
    /// Where what the last one says begins.
    begun: u64,
}

impl Said {
    pub(super) fn nothing() -> anyhow::Result<Self> {
        Ok(Self {
            file: NamedTempFile::new()?,
            begun: 0,
        })
    }

    /// Where the next process speaks.
    pub(super) fn next(&mut self) -> anyhow::Result<Stdio> {
        let file = OpenOptions::new().append(true).open(self.path())?;
        self.begun = file.metadata()?.len();
        Ok(file.into())
    }

    /// What the last process has said.
    pub(super) fn last(&self) -> anyhow::Result<String> {
        let all = std::fs::read(self.path())?;
        let last = all.get(usize::try_from(self.begun)?..).unwrap_or_default();
        Ok(String::from_utf8_lossy(last).into_owned())
    }

    /// Whether none of them has panicked, also where it went on.
    pub(super) fn check(&self, who: &str) -> anyhow::Result<()> {
        let all = String::from_utf8_lossy(&std::fs::read(self.path())?).into_owned();
        anyhow::ensure!(!all.contains("panicked at"), "{who} has panicked: {all}");
        Ok(())
    }

    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }
}

/// An error that a process may end with.
struct Expected {
    /// Its name in what is counted.
    name: &'static str,
    /// In what it says at its end; of a service nothing is asked, for each says it in its own words.
    says: &'static str,
    /// Who may end with it.
    by: fn(Victim) -> bool,
    /// Whether it is no wonder where this one, the second, was hit.
    where_hit: fn(Victim, Victim) -> bool,
}

static EXPECTED: [Expected; 3] = [
    Expected {
        name: "NATS was away when a program began",
        says: "NATS cannot be reached",
        by: is_program,
        where_hit: |_who, hit| hit == Victim::Broker,
    },
    Expected {
        name: "nobody was there to let a program in",
        says: "NATS refuses the login",
        by: is_program,
        where_hit: |_who, hit| hit == Victim::Broker || lets_in(hit),
    },
    Expected {
        name: "NATS was away from a service",
        says: "",
        by: is_service,
        where_hit: |_who, hit| hit == Victim::Broker,
    },
];

const fn is_program(who: Victim) -> bool {
    match who {
        Victim::Member(..) | Victim::Applier(_) => true,
        Victim::Service(_) | Victim::Broker => false,
    }
}

const fn is_service(who: Victim) -> bool {
    match who {
        Victim::Service(_) => true,
        Victim::Member(..) | Victim::Applier(_) | Victim::Broker => false,
    }
}

/// Whether it answers for logins, and says who holds what.
fn lets_in(hit: Victim) -> bool {
    match hit {
        Victim::Service(name) => name == "consumer-group" || COPIES.contains(&name),
        Victim::Member(..) | Victim::Applier(_) | Victim::Broker => false,
    }
}

/// How often each error was seen that a process may end with.
#[derive(Debug, Default)]
pub(super) struct Ends {
    counted: BTreeMap<&'static str, u32>,
}

impl Ends {
    /// Counts that a process has ended, which nobody had killed. `hit` are those that may be missed.
    ///
    /// # Errors
    /// Where it may not end so.
    pub(super) fn count(
        &mut self,
        who: Victim,
        status: ExitStatus,
        said: &str,
        hit: &[Victim],
    ) -> anyhow::Result<()> {
        // What a program's error is comes last, and its causes behind it.
        let error = said
            .lines()
            .rev()
            .find_map(|one| one.strip_prefix("Error: "));
        let expected = EXPECTED.iter().find(|expected| {
            (expected.by)(who)
                && status.code() == Some(1)
                && error.unwrap_or_default().contains(expected.says)
                && hit.iter().any(|hit| (expected.where_hit)(who, *hit))
        });
        let Some(expected) = expected else {
            let skipped = said.chars().count().saturating_sub(SHOWN);
            let said: String = said.chars().skip(skipped).collect();
            bail!("{who:?} has ended by itself, {status}, with {hit:?} hit; it said: {said}");
        };
        *self.counted.entry(expected.name).or_default() += 1;
        Ok(())
    }

    /// Each with its number.
    pub(super) const fn counted(&self) -> &BTreeMap<&'static str, u32> {
        &self.counted
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    /// Ends with this code, with these hit.
    fn ends(who: Victim, code: i32, said: &str, hit: &[Victim]) -> anyhow::Result<Ends> {
        let mut ends = Ends::default();
        let status = ExitStatus::from_raw(code << 8);
        ends.count(who, status, said, hit)?;
        Ok(ends)
    }

    #[test]
    fn an_end_that_nobody_has_brought_about_is_counted_or_found() {
        let away = "a line\nError: NATS cannot be reached\n\nCaused by:\n    IO error\n";
        let member = Victim::Member(0, 1);
        let counted = ends(member, 1, away, &[Victim::Applier(0), Victim::Broker]).unwrap();
        assert_eq!(counted.counted().values().sum::<u32>(), 1);
        for (code, said, hit) in [
            // Nobody had been hit that it would miss.
            (1, away, vec![Victim::Member(0, 0)]),
            (0, "", vec![Victim::Broker]),
            (
                101,
                "thread 'main' panicked at src/main.rs:1",
                vec![Victim::Broker],
            ),
            (
                1,
                "Error: the subscription has failed\n",
                vec![Victim::Broker],
            ),
            // Every program takes these for what they are, and goes on.
            (
                1,
                "Error: the acknowledgement was not confirmed\n",
                vec![Victim::Broker],
            ),
            (
                1,
                "Error: the change 0/10.1 is not held any more by this member\n",
                vec![Victim::Broker],
            ),
        ] {
            for who in [member, Victim::Applier(0)] {
                let found = ends(who, code, said, &hit).unwrap_err().to_string();
                let named = format!("{who:?} has ended by itself");
                assert!(found.starts_with(&named), "{found}");
            }
        }
    }

    #[test]
    fn what_the_last_process_says_is_told_apart() {
        use std::io::Write as _;

        let mut said = Said::nothing().unwrap();
        let speak = |said: &mut Said, what: &str| {
            drop(said.next().unwrap());
            let file = OpenOptions::new().append(true).open(said.path());
            file.unwrap().write_all(what.as_bytes()).unwrap();
        };
        speak(&mut said, "first\n");
        said.check("it").unwrap();
        speak(&mut said, "second, panicked at a line\n");
        assert_eq!(said.last().unwrap(), "second, panicked at a line\n");
        speak(&mut said, "third\n");
        assert_eq!(said.last().unwrap(), "third\n");
        assert!(said.check("it").is_err());
    }
}
