//! Passwords and tokens: from a file, standard input, the environment or a prompt, and never from the
//! command line, which every user of the machine can read.

use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rowcast_domain::Secret;

use crate::failure::{Exit, Failure};

/// The variable that holds a password where no file is named.
const PASSWORD: &str = "ROWCAST_PASSWORD";

/// Where a password comes from.
#[derive(Debug, clap::Args)]
pub(crate) struct PasswordArgs {
    /// File that holds the password, `-` for standard input [otherwise: `ROWCAST_PASSWORD`, or a prompt]
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
}

impl PasswordArgs {
    /// Whether it is said without asking.
    pub(crate) fn is_given(&self) -> bool {
        self.password_file.is_some() || from_environment(PASSWORD).is_some()
    }

    /// The password of `whom`, as "the role tracker".
    pub(crate) fn read(&self, whom: &str) -> anyhow::Result<Secret> {
        let given = match &self.password_file {
            Some(file) => Some(from_file(file)?),
            None => from_environment(PASSWORD),
        };
        given.map_or_else(
            || ask(&format!("Password of {whom}: "), "--password-file"),
            Ok,
        )
    }
}

/// The content of a file, or of standard input where it is `-`, without the end of its line.
pub(crate) fn from_file(file: &Path) -> anyhow::Result<Secret> {
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin()
            .read_to_string(&mut text)
            .context("cannot read the secret from standard input")?;
    } else {
        text = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read {}", file.display()))?;
    }
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        let sentence = format!("{} holds no secret", file.display());
        return Err(Failure::of(Exit::Failed, sentence));
    }
    Ok(Secret::new(secret))
}

/// What a variable holds, if anything.
pub(crate) fn from_environment(variable: &str) -> Option<Secret> {
    std::env::var_os(variable)
        .and_then(|text| text.into_string().ok())
        .filter(|text| !text.is_empty())
        .map(Secret::new)
}

/// Asks at the terminal; what is typed is not shown. `option` is what a script must say instead.
pub(crate) fn ask(question: &str, option: &str) -> anyhow::Result<Secret> {
    if !std::io::stdin().is_terminal() {
        let sentence = format!("say {option}: nobody can be asked here");
        return Err(Failure::of(Exit::Usage, sentence));
    }
    let typed = rpassword::prompt_password(question).context("cannot read from the terminal")?;
    Ok(Secret::new(typed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_line_is_no_part_of_a_secret() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        for (text, secret) in [("a b\n", "a b"), ("x\r\n", "x"), (" y", " y")] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(from_file(&file).unwrap().expose(), secret);
        }
        std::fs::write(&file, "\n").unwrap();
        assert!(from_file(&file).is_err());
    }
}
