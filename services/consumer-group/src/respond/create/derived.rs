//! A policy and a format of a group's own, as they are asked for.

use rowcast_bus::refuse;
use rowcast_bus::refuse::Refusal as _;
use rowcast_etl::Script;
use rowcast_proto::message::{
    CreateGroupRequest, EtlPolicy, GroupFormat, RowErrorAction, RpcError,
};

use crate::store::group::Derived;

/// Problems of a script that a refusal names.
const PROBLEMS_SHOWN: usize = 3;

/// What is asked for; `None` where the group is to read its task's stream.
pub(super) fn check(question: &CreateGroupRequest) -> Result<Option<Derived>, RpcError> {
    let format = GroupFormat::try_from(question.format).map_err(|_unknown| {
        refuse::invalid("format_unknown", "this version does not know that format")
            .field("format")
            .repair("choose json, debezium, cloudevents, protobuf or avro")
    })?;
    let etl = question.etl.as_ref().map(policy).transpose()?;
    let is_own = etl.is_some() || format != GroupFormat::Unspecified;
    Ok(is_own.then_some(Derived {
        etl,
        format,
        version: 0,
    }))
}

/// A policy that is asked for, where its script can be read.
pub(in crate::respond) fn policy(etl: &EtlPolicy) -> Result<EtlPolicy, RpcError> {
    if let Err(problems) = Script::parse(&etl.script) {
        let shown = problems.iter().take(PROBLEMS_SHOWN);
        let words: Vec<String> = shown.map(ToString::to_string).collect();
        return Err(refuse::invalid("etl_malformed", words.join("; "))
            .field("etl.script")
            .repair("correct the script; docs/etl.md tells what there is"));
    }
    let on_error = match etl.on_error() {
        RowErrorAction::Unspecified => RowErrorAction::Park,
        said @ (RowErrorAction::Park | RowErrorAction::Drop | RowErrorAction::Stop) => said,
    };
    Ok(EtlPolicy {
        script: etl.script.clone(),
        on_error: on_error.into(),
    })
}
