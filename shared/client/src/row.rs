//! Rows as types of the caller.

use rowcast_proto::change::{Change, Row};
use serde::de::DeserializeOwned;
use serde::de::value::MapDeserializer;

/// Reads a change's rows as `T`.
///
/// `None` where the change has no such row. A column that PostgreSQL did not send (see
/// [`Change::unchanged`]) is absent from the row: its field in `T` needs `#[serde(default)]`.
pub trait TypedRows {
    /// The row after the change.
    ///
    /// # Errors
    /// Where the row is no `T`.
    fn after_as<T: DeserializeOwned>(&self) -> Result<Option<T>, serde_json::Error>;

    /// The row before the change, as far as [`Change::before_image`] says.
    ///
    /// # Errors
    /// Where the row is no `T`.
    fn before_as<T: DeserializeOwned>(&self) -> Result<Option<T>, serde_json::Error>;

    /// The key of the row.
    ///
    /// # Errors
    /// Where the key is no `T`.
    fn key_as<T: DeserializeOwned>(&self) -> Result<Option<T>, serde_json::Error>;
}

impl TypedRows for Change {
    fn after_as<T: DeserializeOwned>(&self) -> Result<Option<T>, serde_json::Error> {
        read(self.after.as_ref())
    }

    fn before_as<T: DeserializeOwned>(&self) -> Result<Option<T>, serde_json::Error> {
        read(self.before.as_ref())
    }

    fn key_as<T: DeserializeOwned>(&self) -> Result<Option<T>, serde_json::Error> {
        read(self.key.as_ref())
    }
}

fn read<T: DeserializeOwned>(row: Option<&Row>) -> Result<Option<T>, serde_json::Error> {
    row.map(|row| {
        let columns = row.iter().map(|(name, value)| (name.as_str(), value));
        T::deserialize(MapDeserializer::new(columns))
    })
    .transpose()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Order {
        id: i64,
        total: Option<String>,
        #[serde(default)]
        note: Option<String>,
    }

    fn change() -> Change {
        serde_json::from_str(
            r#"{"id":"0/10.1","op":"update","database":"shop","schema":"public","table":"orders",
                "lsn":"0/10","ordinal":1,"committed_at":"2026-11-23T05:33:10.123456Z",
                "key":{"id":42},"after":{"id":42,"total":null},"unchanged":["note"]}"#,
        )
        .unwrap()
    }

    #[test]
    fn a_row_is_read_as_a_type() {
        let expected = Order {
            id: 42,
            total: None,
            note: None,
        };
        assert_eq!(change().after_as::<Order>().unwrap(), Some(expected));
        assert_eq!(change().before_as::<Order>().unwrap(), None);
    }

    #[test]
    fn a_row_that_does_not_fit_is_an_error() {
        assert!(change().key_as::<Order>().unwrap().is_some());
        assert!(change().after_as::<Vec<u8>>().is_err());
    }
}
