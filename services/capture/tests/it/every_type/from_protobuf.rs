//! The values of a row of protobuf, as a message of JSON has them.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use prost::Message as _;
use rowcast_proto::change::protobuf::value::Kind;
use rowcast_proto::change::protobuf::{Change, Value};
use rowcast_proto::change::{DocumentForm, Documents};
use serde_json::value::RawValue;

use super::reading::Images;

/// What a message says of the row after the change.
pub(super) fn images(payload: &[u8]) -> Images {
    let change = Change::decode(payload).unwrap();
    let mut documents = Documents::default();
    let after = change.after.map(|row| {
        let columns = row.columns.into_iter().map(|column| {
            let value = column.value.unwrap_or_default();
            if let Some(Kind::JsonValue(text)) = &value.kind
                && let Some(form) = DocumentForm::of(text)
            {
                documents.after.insert(column.name.clone(), form);
            }
            (column.name, RawValue::from_string(json(value)).unwrap())
        });
        columns.collect::<BTreeMap<_, _>>()
    });
    Images { after, documents }
}

fn json(value: Value) -> String {
    let string = |text: String| serde_json::to_string(&text).unwrap();
    match value.kind {
        None => "null".to_owned(),
        Some(Kind::BoolValue(value)) => value.to_string(),
        Some(Kind::IntValue(value)) => value.to_string(),
        Some(Kind::DoubleValue(value)) if value.is_finite() => value.to_string(),
        Some(Kind::DoubleValue(value)) if value.is_nan() => string("NaN".to_owned()),
        Some(Kind::DoubleValue(value)) => {
            string(if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned())
        }
        Some(Kind::TextValue(text)) => string(text),
        Some(Kind::BytesValue(bytes)) => string(BASE64.encode(&bytes)),
        Some(Kind::JsonValue(text)) => match DocumentForm::of(&text) {
            Some(DocumentForm::Text | DocumentForm::Unknown) => string(text),
            Some(DocumentForm::Null) | None => text,
        },
        Some(Kind::ListValue(list)) => {
            let values: Vec<String> = list.values.into_iter().map(json).collect();
            format!("[{}]", values.join(","))
        }
        Some(Kind::RowValue(row)) => {
            let fields = row.columns.into_iter().map(|column| {
                let value = json(column.value.unwrap_or_default());
                format!("{}:{value}", string(column.name))
            });
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
    }
}
