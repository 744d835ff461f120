//! Certificates of a test's own.

use std::path::Path;
use std::process::Command;

/// Runs openssl in a folder, with arguments that white space separates.
///
/// # Panics
/// Where it is missing or fails.
#[track_caller]
pub fn openssl(folder: &Path, arguments: &str) {
    let mut command = Command::new("openssl");
    command.args(arguments.split_whitespace());
    match command.current_dir(folder).output() {
        Ok(output) => assert!(output.status.success(), "{output:?}"),
        Err(error) => panic!("openssl does not run: {error}"),
    }
}
