//! `rowcast completion`.

use clap::CommandFactory as _;
use clap_complete::generate;
use clap_complete::shells::{Bash, Fish, Zsh};

use crate::args::{Args, Shell};
use crate::output;

const PROGRAM: &str = "rowcast";

pub(crate) fn run(shell: Shell) -> anyhow::Result<()> {
    let mut command = Args::command();
    let mut script = Vec::new();
    match shell {
        Shell::Bash => generate(Bash, &mut command, PROGRAM, &mut script),
        Shell::Fish => generate(Fish, &mut command, PROGRAM, &mut script),
        Shell::Zsh => generate(Zsh, &mut command, PROGRAM, &mut script),
    }
    output::text(String::from_utf8(script)?)?;
    Ok(())
}
