//! Rows as types of the caller.

use rowcast_proto::change::{Change, Row};
use serde::de::DeserializeOwned;

use crate::typed::Columns;

/// Reads a change's rows as `T`.
///
/// `None` where the change has no such row. A column that PostgreSQL did not send (see
/// [`Change::unchanged`]) is absent from the row: its field in `T` needs `#[serde(default)]`.
///
/// What JSON cannot hold exactly is a string in a row: a `bigint` beyond ±2^53, every `numeric`, and the `NaN` and the
/// infinities of floats. A field that is an integer or a float reads them all the same, also within `Option`, `Vec`, nested
/// structs and newtypes; a `String` gets the text. Fields that are flattened or untagged see what the JSON has.
///
/// ```
/// use rowcast_client::{Change, TypedRows as _};
///
/// #[derive(serde::Deserialize)]
/// struct Order {
///     id: i64,
///     total: Option<f64>,
/// }
///
/// # fn main() -> Result<(), serde_json::Error> {
/// let change: Change = serde_json::from_str(
///     r#"{"id":"0/10.1","op":"insert","database":"shop","schema":"public","table":"orders",
///         "lsn":"0/10","ordinal":1,"committed_at":"2026-11-23T05:33:10.123456Z",
///         "after":{"id":"9007199254740993","total":"19.90"}}"#,
/// )?;
/// let order: Option<Order> = change.after_as()?;
/// let order = order.map(|order| (order.id, order.total));
/// assert_eq!(order, Some((9_007_199_254_740_993, Some(19.9))));
/// # Ok(())
/// # }
/// ```
pub trait TypedRows {
    /// The row after the change.
    ///
    /// # Errors
    /// Where the row is no `T`: with the column that does not fit.
    fn after_as<T: DeserializeOwned>(&self) -> Result<Option<T>, serde_json::Error>;

    /// The row before the change, as far as [`Change::before_image`] says.
    ///
    /// # Errors
    /// Where the row is no `T`: with the column that does not fit.
    fn before_as<T: DeserializeOwned>(&self) -> Result<Option<T>, serde_json::Error>;

    /// The key of the row.
    ///
    /// # Errors
    /// Where the key is no `T`: with the column that does not fit.
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
    row.map(|row| T::deserialize(Columns(row))).transpose()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::Value;

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

    /// A change with this row.
    fn after(row: &str) -> Change {
        let mut change = change();
        change.after = Some(serde_json::from_str(row).unwrap());
        change
    }

    fn read_as<T: DeserializeOwned>(row: &str) -> T {
        after(row).after_as().unwrap().unwrap()
    }

    fn error_of<T: DeserializeOwned + std::fmt::Debug>(row: &str) -> String {
        after(row).after_as::<T>().unwrap_err().to_string()
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Number(i64);

    #[derive(Debug, PartialEq, Deserialize)]
    struct Inner {
        n: u64,
        of: BTreeMap<i32, i64>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Wide {
        least: i64,
        most: i64,
        small: i32,
        unsigned: u64,
        wide: i128,
        some: Option<i64>,
        none: Option<i64>,
        newtype: Number,
        list: Vec<i64>,
        pairs: Vec<(i64, Option<u64>)>,
        inner: Inner,
    }

    #[test]
    fn an_integer_in_a_string_is_an_integer_however_deep() {
        let wide: Wide = read_as(
            r#"{"least":"-9223372036854775808","most":"9223372036854775807","small":7,
                "unsigned":"18446744073709551615","wide":"-170141183460469231731687303715884105728",
                "some":"9007199254740993","none":null,"newtype":"9007199254740993",
                "list":[1,"9007199254740993"],"pairs":[["-9007199254740993","5"],[1,null]],
                "inner":{"n":"9007199254740993","of":{"3":"4"}},"unknown":"x"}"#,
        );
        let expected = Wide {
            least: i64::MIN,
            most: i64::MAX,
            small: 7,
            unsigned: u64::MAX,
            wide: i128::MIN,
            some: Some(9_007_199_254_740_993),
            none: None,
            newtype: Number(9_007_199_254_740_993),
            list: vec![1, 9_007_199_254_740_993],
            pairs: vec![(-9_007_199_254_740_993, Some(5)), (1, None)],
            inner: Inner {
                n: 9_007_199_254_740_993,
                of: BTreeMap::from([(3, 4)]),
            },
        };
        assert_eq!(wide, expected);
    }

    #[test]
    fn floats_that_json_does_not_have_are_floats() {
        #[derive(Deserialize)]
        struct Floats {
            a: f64,
            b: f64,
            c: f32,
            d: Option<f64>,
            e: f64,
            list: Vec<f64>,
        }
        let floats: Floats = read_as(
            r#"{"a":"NaN","b":"-Infinity","c":"Infinity","d":"NaN","e":2,"list":["NaN",1.5]}"#,
        );
        assert!(floats.a.is_nan() && floats.d.unwrap().is_nan() && floats.list[0].is_nan());
        assert_eq!((floats.b, floats.c), (f64::NEG_INFINITY, f32::INFINITY));
        assert_eq!((floats.e, floats.list[1]), (2.0, 1.5));
    }

    #[test]
    fn a_document_is_read_as_it_stands() {
        #[derive(Deserialize)]
        struct Documents {
            doc: Box<serde_json::value::RawValue>,
            none: Option<Box<serde_json::value::RawValue>>,
        }
        let documents: Documents = read_as(r#"{"doc":{"a":[1,"2"]},"none":null}"#);
        assert_eq!(documents.doc.get(), r#"{"a":[1,"2"]}"#);
        assert!(documents.none.is_none());
    }

    #[test]
    fn a_text_stays_a_text() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct Texts {
            a: String,
            b: Option<String>,
            c: Value,
            d: Mood,
        }
        #[derive(Debug, PartialEq, Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum Mood {
            Happy,
        }
        let texts: Texts = read_as(r#"{"a":"9007199254740993","b":"12","c":"13","d":"happy"}"#);
        let expected = Texts {
            a: "9007199254740993".to_owned(),
            b: Some("12".to_owned()),
            c: Value::from("13"),
            d: Mood::Happy,
        };
        assert_eq!(texts, expected);
        let whole: Row = read_as(r#"{"a":"1","b":[2,"3"]}"#);
        assert_eq!(whole["b"], serde_json::json!([2, "3"]));
    }

    #[test]
    fn what_does_not_fit_is_told_with_its_column() {
        assert_eq!(
            error_of::<Order>(r#"{"id":"a lot","total":null}"#),
            r#"column id: invalid type: string "a lot", expected i64"#
        );
        let error = error_of::<Order>(r#"{"id":"9223372036854775808","total":null}"#);
        assert!(
            error.starts_with("column id: ") && error.contains("expected i64"),
            "{error}"
        );
        let error = error_of::<BTreeMap<String, Vec<u8>>>(r#"{"bytes":[1,"256"]}"#);
        assert!(error.starts_with("column bytes: "), "{error}");
        let error = error_of::<Order>(r#"{"id":1,"total":2}"#);
        assert!(error.starts_with("column total: "), "{error}");
    }
}
