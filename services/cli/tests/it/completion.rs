//! Scripts that complete command lines.

use std::io::Write as _;
use std::process::{Command, Stdio};

fn script(shell: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_rowcast"))
        .args(["completion", shell])
        .output()
        .unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_shell_has_one() {
    for (shell, mark) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef rowcast"),
        ("fish", "complete -c rowcast"),
    ] {
        let script = script(shell);
        assert!(script.contains(mark), "{shell}: {script}");
        assert!(script.contains("precheck"), "{shell}: {script}");
    }
}

#[test]
fn bash_completes_what_was_begun() {
    let ask = "COMP_WORDS=(rowcast task prec); COMP_CWORD=2; _rowcast rowcast prec task; echo \"${COMPREPLY[@]}\"";
    let mut bash = Command::new("bash")
        .args(["--norc", "-s"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = format!("{}\n{ask}\n", script("bash"));
    bash.stdin
        .take()
        .unwrap()
        .write_all(lines.as_bytes())
        .unwrap();
    let output = bash.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "precheck\n");
}
