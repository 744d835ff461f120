//! An ETL policy: whether its script can be read. Whether it fits the tables, the precheck tells.

use rowcast_etl::Script;
use rowcast_proto::rest::Etl;

use super::Issues;

pub(super) fn etl(issues: &mut Issues, etl: &Etl) {
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
