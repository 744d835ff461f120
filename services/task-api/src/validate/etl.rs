//! An ETL policy: whether its script can be read. Whether it fits the tables, the precheck tells.

use rowcast_etl::Script;
use rowcast_proto::rest::Etl;

use super::Issues;

/// The wish holds it beside certificates and objects, escaped, and a value of its bucket 256 KiB in all.
const SCRIPT_BYTES_MAX: usize = 16 * 1024;

/// Characters that take more room on the way.
const LINES_MAX: usize = 1024;

pub(super) fn etl(issues: &mut Issues, etl: &Etl) {
    if etl.script.len() > SCRIPT_BYTES_MAX
        || etl.script.chars().filter(|c| c.is_control()).count() > LINES_MAX
    {
        let detail = format!("has more than {SCRIPT_BYTES_MAX} bytes, or {LINES_MAX} lines");
        issues.note("etl.script", detail, "Shorten it, or make two tasks.");
        return;
    }
    let Err(problems) = Script::parse(&etl.script) else {
        return;
    };
    for problem in problems {
        issues.note(
            "etl.script",
            problem.to_string(),
            "Correct the script; docs/etl.md tells what there is.",
        );
    }
}
