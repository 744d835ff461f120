//! What the formats of groups have, and have not. Each question is answered for every format in one place, so that none is
//! forgotten where another one is added.

use rowcast_proto::change::is_json;
use rowcast_proto::message::GroupFormat;

/// Which rows a message of the format can hold together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packs {
    /// Any that follow each other.
    Any,
    /// Those that follow each other and have one shape.
    OfOneShape,
    /// None: each row is a message.
    None,
}

/// How a message that is too large for the broker is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pieces {
    /// Into JSON that has its bytes in base64.
    Base64,
    /// Into protobuf that has its bytes as they are.
    Raw,
}

/// Which rows stand together.
pub(super) const fn packs(format: GroupFormat) -> Packs {
    match format {
        GroupFormat::Unspecified
        | GroupFormat::Json
        | GroupFormat::Cloudevents
        | GroupFormat::Protobuf => Packs::Any,
        // A container file has one schema.
        GroupFormat::Avro => Packs::OfOneShape,
        GroupFormat::Debezium => Packs::None,
    }
}

/// How a message is cut; `None` where it cannot be.
pub(super) const fn pieces(format: GroupFormat) -> Option<Pieces> {
    match format {
        GroupFormat::Unspecified | GroupFormat::Json | GroupFormat::Cloudevents => {
            Some(Pieces::Base64)
        }
        GroupFormat::Protobuf => Some(Pieces::Raw),
        GroupFormat::Debezium | GroupFormat::Avro => None,
    }
}

/// Whether a table's shape is told in a message of its own.
pub(super) const fn tells_shapes(format: GroupFormat) -> bool {
    match format {
        GroupFormat::Unspecified
        | GroupFormat::Json
        | GroupFormat::Cloudevents
        | GroupFormat::Protobuf => true,
        // Debezium's JSON has no place for it; of Avro, each message has its schema.
        GroupFormat::Debezium | GroupFormat::Avro => false,
    }
}

/// Whether commands that change the schema are told.
pub(super) const fn tells_ddl(format: GroupFormat) -> bool {
    match format {
        GroupFormat::Unspecified
        | GroupFormat::Json
        | GroupFormat::Cloudevents
        | GroupFormat::Protobuf
        | GroupFormat::Avro => true,
        GroupFormat::Debezium => false,
    }
}

/// Whether the types of a row's columns must be known where it is written.
pub(super) const fn needs_shapes(format: GroupFormat) -> bool {
    match format {
        GroupFormat::Unspecified | GroupFormat::Json | GroupFormat::Cloudevents => false,
        GroupFormat::Debezium | GroupFormat::Protobuf | GroupFormat::Avro => true,
    }
}

/// Whether this message of a task's stream can leave as it came, where nothing is changed.
pub(super) fn leaves_as_it_came(format: GroupFormat, payload: &[u8]) -> bool {
    match format {
        GroupFormat::Unspecified | GroupFormat::Json | GroupFormat::Cloudevents => is_json(payload),
        GroupFormat::Protobuf => !is_json(payload),
        GroupFormat::Debezium | GroupFormat::Avro => false,
    }
}

/// Whether time and transaction are told in headers, for the service cannot read them from the body.
pub(super) const fn has_place_in_headers(format: GroupFormat) -> bool {
    match format {
        GroupFormat::Unspecified
        | GroupFormat::Json
        | GroupFormat::Cloudevents
        | GroupFormat::Protobuf => false,
        GroupFormat::Debezium | GroupFormat::Avro => true,
    }
}

/// The media type that a header names; `None` where there is no such header.
pub(super) const fn content_type(format: GroupFormat) -> Option<&'static str> {
    match format {
        // CloudEvents has a header of its own for it.
        GroupFormat::Unspecified | GroupFormat::Json | GroupFormat::Cloudevents => None,
        GroupFormat::Debezium => Some("application/json"),
        GroupFormat::Protobuf => Some("application/protobuf"),
        GroupFormat::Avro => Some("application/avro"),
    }
}
