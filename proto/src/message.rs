//! The messages of the control plane, generated from `schema/*.proto`.
//!
//! Their serde form is canonical proto3 JSON (protobuf docs, "`ProtoJSON` Format"): camelCase names,
//! 64-bit numbers as strings, bytes as base64; default values are left out, unknown fields ignored.

mod generated {
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
}

use rowcast_domain::{SchemaSelector, Selector};

use crate::rest;

pub use generated::*;
pub use pbjson_types::Timestamp;

impl From<&ObjectSelection> for Selector {
    fn from(objects: &ObjectSelection) -> Self {
        let schemas = objects.schemas.iter().map(|schema| SchemaSelector {
            name: schema.name.clone(),
            all: schema.all,
            tables: schema.tables.clone(),
            patterns: schema.patterns.clone(),
        });
        Self {
            all: objects.all,
            schema_patterns: objects.schema_patterns.clone(),
            schemas: schemas.collect(),
        }
    }
}

impl From<rest::GroupFormat> for GroupFormat {
    fn from(format: rest::GroupFormat) -> Self {
        match format {
            rest::GroupFormat::Json => Self::Json,
            rest::GroupFormat::Debezium => Self::Debezium,
            rest::GroupFormat::Cloudevents => Self::Cloudevents,
            rest::GroupFormat::Protobuf => Self::Protobuf,
            rest::GroupFormat::Avro => Self::Avro,
        }
    }
}

impl GroupFormat {
    /// As users name it; `None` for that of the task.
    #[must_use]
    pub const fn named(self) -> Option<rest::GroupFormat> {
        match self {
            Self::Unspecified => None,
            Self::Json => Some(rest::GroupFormat::Json),
            Self::Debezium => Some(rest::GroupFormat::Debezium),
            Self::Cloudevents => Some(rest::GroupFormat::Cloudevents),
            Self::Protobuf => Some(rest::GroupFormat::Protobuf),
            Self::Avro => Some(rest::GroupFormat::Avro),
        }
    }
}

impl From<rest::GroupDelivery> for GroupDelivery {
    fn from(delivery: rest::GroupDelivery) -> Self {
        match delivery {
            rest::GroupDelivery::Pull => Self::Pull,
            rest::GroupDelivery::Push => Self::Push,
        }
    }
}

impl From<GroupDelivery> for rest::GroupDelivery {
    fn from(delivery: GroupDelivery) -> Self {
        match delivery {
            GroupDelivery::Unspecified | GroupDelivery::Pull => Self::Pull,
            GroupDelivery::Push => Self::Push,
        }
    }
}

impl From<rest::OnExhausted> for OnExhausted {
    fn from(on_exhausted: rest::OnExhausted) -> Self {
        match on_exhausted {
            rest::OnExhausted::Block => Self::Block,
            rest::OnExhausted::DeadLetter => Self::DeadLetter,
        }
    }
}

impl OnExhausted {
    /// As users name it; `None` where nothing is said.
    #[must_use]
    pub const fn named(self) -> Option<rest::OnExhausted> {
        match self {
            Self::Unspecified => None,
            Self::Block => Some(rest::OnExhausted::Block),
            Self::DeadLetter => Some(rest::OnExhausted::DeadLetter),
        }
    }
}

impl From<rest::GroupMode> for GroupMode {
    fn from(mode: rest::GroupMode) -> Self {
        match mode {
            rest::GroupMode::Ordered => Self::Ordered,
            rest::GroupMode::Keyed => Self::Keyed,
            rest::GroupMode::Shared => Self::Shared,
        }
    }
}

impl From<GroupMode> for rest::GroupMode {
    fn from(mode: GroupMode) -> Self {
        match mode {
            GroupMode::Unspecified | GroupMode::Ordered => Self::Ordered,
            GroupMode::Keyed => Self::Keyed,
            GroupMode::Shared => Self::Shared,
        }
    }
}

impl From<rest::DeadLetterCause> for DeadLetterCause {
    fn from(cause: rest::DeadLetterCause) -> Self {
        match cause {
            rest::DeadLetterCause::Exhausted => Self::Exhausted,
            rest::DeadLetterCause::GivenUp => Self::GivenUp,
            rest::DeadLetterCause::Skipped => Self::Skipped,
        }
    }
}

impl From<DeadLetterCause> for rest::DeadLetterCause {
    fn from(cause: DeadLetterCause) -> Self {
        match cause {
            DeadLetterCause::Unspecified | DeadLetterCause::Exhausted => Self::Exhausted,
            DeadLetterCause::GivenUp => Self::GivenUp,
            DeadLetterCause::Skipped => Self::Skipped,
        }
    }
}
