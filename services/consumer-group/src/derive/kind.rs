//! What a column's type says of its JSON in a message, for formats that have more types than JSON.

use std::borrow::Cow;
use std::str::FromStr;

use data_encoding::BASE64;
use rowcast_proto::change::Column;

use super::text;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One value.
    One(Scalar),
    /// An array of them.
    Array(Scalar),
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scalar {
    /// boolean.
    Bool,
    /// smallint, integer.
    Int,
    /// bigint, and the types without a sign, as oid.
    Long,
    /// real.
    Float,
    /// double precision.
    Double,
    /// bytea.
    Bytes,
    /// json, jsonb.
    Document,
    /// Everything else: text mostly, and of types that users make whatever its JSON is.
    Other,
}

impl Kind {
    /// By OIDs of built-in types (PostgreSQL, `pg_type.dat`). Others are only known by their name: PostgreSQL gives one of
    /// an array a `_` in front.
    pub(super) fn of(column: &Column) -> Self {
        match column.type_oid {
            16 => Self::One(Scalar::Bool),
            21 | 23 => Self::One(Scalar::Int),
            20 | 26 | 28 | 29 => Self::One(Scalar::Long),
            700 => Self::One(Scalar::Float),
            701 => Self::One(Scalar::Double),
            17 => Self::One(Scalar::Bytes),
            114 | 3802 => Self::One(Scalar::Document),
            1000 => Self::Array(Scalar::Bool),
            1005 | 1007 => Self::Array(Scalar::Int),
            1016 | 1028 | 1011 | 1012 => Self::Array(Scalar::Long),
            1021 => Self::Array(Scalar::Float),
            1022 => Self::Array(Scalar::Double),
            1001 => Self::Array(Scalar::Bytes),
            199 | 3807 => Self::Array(Scalar::Document),
            _ if column.type_name.starts_with('_') => Self::Array(Scalar::Other),
            _ => Self::One(Scalar::Other),
        }
    }

    /// Of the column with this name, which is likely to have this number.
    pub(super) fn of_column(columns: &[Column], number: usize, name: &str) -> Self {
        let is_it = |column: &&Column| column.name == name;
        let found = columns.get(number).filter(is_it);
        let found = found.or_else(|| columns.iter().find(is_it));
        found.map_or(Self::One(Scalar::Other), Self::of)
    }
}

/// An integer, which is text where it is too large for a reader of JSON. `None` for what is none, and for one that is
/// written in another way than PostgreSQL does.
pub(super) fn integer(json: &str) -> Option<i64> {
    let digits = plain(json);
    let number: i64 = digits.parse().ok()?;
    (number.to_string() == digits).then_some(number)
}

/// A floating-point number, which is text where it is none that JSON has.
pub(super) fn float<F: FromStr>(json: &str) -> Option<F> {
    match json {
        "\"NaN\"" | "\"Infinity\"" | "\"-Infinity\"" => json.trim_matches('"').parse().ok(),
        _ => json.parse().ok(),
    }
}

/// Bytes, which are base64 in JSON.
pub(super) fn bytes(json: &str) -> Option<Vec<u8>> {
    if !json.starts_with('"') {
        return None;
    }
    BASE64.decode(text::string(json).as_bytes()).ok()
}

/// A string's text, and of anything else its JSON.
pub(super) fn plain(json: &str) -> Cow<'_, str> {
    if json.starts_with('"') {
        text::string(json)
    } else {
        json.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(type_oid: u32, type_name: &str) -> Column {
        Column {
            name: "c".to_owned(),
            type_oid,
            type_name: type_name.to_owned(),
            modifier: -1,
            key: false,
        }
    }

    #[test]
    fn types_are_known_by_their_oid_and_arrays_of_others_by_their_name() {
        for (oid, name, kind) in [
            (20, "int8", Kind::One(Scalar::Long)),
            (1007, "_int4", Kind::Array(Scalar::Int)),
            (1009, "_text", Kind::Array(Scalar::Other)),
            (1700, "numeric", Kind::One(Scalar::Other)),
            (17_000, "_mood", Kind::Array(Scalar::Other)),
            (17_001, "mood", Kind::One(Scalar::Other)),
        ] {
            assert_eq!(Kind::of(&column(oid, name)), kind, "{name}");
        }
        let columns = [column(23, "int4")];
        let of = |number, name| Kind::of_column(&columns, number, name);
        assert_eq!(of(7, "c"), Kind::One(Scalar::Int));
        assert_eq!(of(0, "d"), Kind::One(Scalar::Other));
    }

    #[test]
    fn a_value_is_only_what_is_wholly_one() {
        assert_eq!(integer("-42"), Some(-42));
        assert_eq!(integer("\"9223372036854775807\""), Some(i64::MAX));
        for json in ["\"9223372036854775808\"", "1.0", "\"+1\"", "\"01\"", "true"] {
            assert_eq!(integer(json), None, "{json}");
        }
        assert_eq!(float("1e+300"), Some(1e300));
        assert_eq!(float("\"-Infinity\""), Some(f64::NEG_INFINITY));
        assert_eq!(float::<f64>("\"1\""), None);
        assert_eq!(bytes("\"AAH/\""), Some(vec![0, 1, 255]));
        assert_eq!((bytes("\"\\\\x\""), bytes("1")), (None, None));
        assert_eq!(plain(r#""a\"b""#), "a\"b");
        assert_eq!(plain("[1]"), "[1]");
    }
}
