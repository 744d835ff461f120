//! The messages of the first version of the contract, compiled from its own `.proto` sources: a service of then knows
//! these fields and no others.

#![expect(
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::map_err_ignore,
    clippy::too_many_lines,
    clippy::doc_markdown,
    reason = "generated code"
)]
include!(concat!(env!("OUT_DIR"), "/rowcast.v1.rs"));
include!(concat!(env!("OUT_DIR"), "/rowcast.v1.serde.rs"));
