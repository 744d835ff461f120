//! A value of the stream as PostgreSQL's input text, by the rules of the README's table of types and
//! nothing else.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use rowcast_proto::change::{DocumentForm, Documents};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio_postgres::Client;

/// Column name to JSON, to the letter: a number read as a double would not be the same any more.
pub(crate) type Row = BTreeMap<String, Box<RawValue>>;

/// The row of a change, and what is said of its documents.
#[derive(Deserialize)]
pub(crate) struct Images {
    pub(crate) after: Option<Row>,
    #[serde(default)]
    pub(crate) documents: Documents,
}

/// What a reader must know of a type.
#[derive(Debug)]
pub(crate) enum Form {
    /// A string, a number or a boolean: the input text, or a word for it.
    Plain,
    /// A document.
    Document,
    /// Base64.
    Bytes,
    /// An array of elements.
    Array(Box<Form>),
    /// An object of fields.
    Composite(Vec<(String, Form)>),
}

impl Form {
    /// Of the type with this OID, as the catalog describes it.
    pub(crate) async fn of(sql: &Client, oid: u32) -> Self {
        let row = sql
            .query_one(
                "SELECT t.typname::text, t.typtype::text, t.typbasetype,
                        CASE WHEN t.typoutput = 'array_out'::regproc AND t.typdelim = ',' THEN t.typelem END,
                        (SELECT array_agg(a.attname::text ORDER BY a.attnum)
                         FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped),
                        (SELECT array_agg(a.atttypid ORDER BY a.attnum)
                         FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped)
                 FROM pg_type t WHERE t.oid = $1",
                &[&oid],
            )
            .await
            .unwrap();
        let (name, kind): (&str, &str) = (row.get(0), row.get(1));
        if kind == "d" {
            return Box::pin(Self::of(sql, row.get(2))).await;
        }
        if let Some(element) = row.get::<_, Option<u32>>(3) {
            return Self::Array(Box::new(Box::pin(Self::of(sql, element)).await));
        }
        if kind == "c" {
            let names: Option<Vec<String>> = row.get(4);
            let oids: Option<Vec<u32>> = row.get(5);
            let mut fields = Vec::new();
            for (name, oid) in names
                .unwrap_or_default()
                .into_iter()
                .zip(oids.unwrap_or_default())
            {
                fields.push((name, Box::pin(Self::of(sql, oid)).await));
            }
            return Self::Composite(fields);
        }
        match name {
            "json" | "jsonb" => Self::Document,
            "bytea" => Self::Bytes,
            _ => Self::Plain,
        }
    }

    /// The input text of a column; `None` for NULL.
    pub(crate) fn read(&self, value: &RawValue, document: Option<DocumentForm>) -> Option<String> {
        let told = value.get();
        match (self, document) {
            (Self::Document, Some(DocumentForm::Text)) => Some(serde_json::from_str(told).unwrap()),
            (Self::Document, Some(DocumentForm::Null)) => Some(told.to_owned()),
            (Self::Document, Some(DocumentForm::Unknown)) => panic!("{told}"),
            (_, Some(form)) => panic!("{told} is told to be {form:?}"),
            (_, None) if told == "null" => None,
            (Self::Document, None) => Some(told.to_owned()),
            (Self::Bytes, None) => {
                let bytes = BASE64
                    .decode(serde_json::from_str::<String>(told).unwrap().as_bytes())
                    .unwrap();
                Some(format!("\\x{}", data_encoding::HEXLOWER.encode(&bytes)))
            }
            (Self::Plain | Self::Array(_) | Self::Composite(_), None) if told.starts_with('"') => {
                Some(serde_json::from_str(told).unwrap())
            }
            (Self::Plain, None) => Some(told.to_owned()),
            (Self::Array(element), None) => Some(Self::array(element, value)),
            (Self::Composite(fields), None) => {
                let values: Row = serde_json::from_str(told).unwrap();
                assert_eq!(values.len(), fields.len(), "{told}");
                let values = fields.iter().map(|(name, form)| {
                    let text = form.read(&values[name], None);
                    text.as_deref().map(quoted).unwrap_or_default()
                });
                Some(format!("({})", values.collect::<Vec<_>>().join(",")))
            }
        }
    }

    fn array(element: &Self, value: &RawValue) -> String {
        let items: Vec<Box<RawValue>> = serde_json::from_str(value.get()).unwrap();
        // What is an array itself can only be an element of the one dimension there is.
        let nests = matches!(element, Self::Array(_) | Self::Document);
        let items = items.iter().map(|item| {
            if item.get().starts_with('[') && !nests {
                return Self::array(element, item);
            }
            let text = element.read(item, None);
            text.as_deref().map_or("NULL".to_owned(), quoted)
        });
        format!("{{{}}}", items.collect::<Vec<_>>().join(","))
    }
}

/// As arrays and composites both take it.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
