//! Types: what a script knows of a value before it runs, and the types of columns that leave.

use std::fmt::{self, Display, Formatter};

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A column of a table that is not known yet.
    Any,
    /// The word null.
    Null,
    Bool,
    Int,
    Decimal,
    Float,
    Text,
    /// A document or bytes: it can be read as text, and only as that.
    Opaque,
    Moment,
}

pub(crate) const BOOL: u32 = 16;
pub(crate) const INT8: u32 = 20;
pub(crate) const TEXT: u32 = 25;
pub(crate) const FLOAT8: u32 = 701;
pub(crate) const DATE: u32 = 1082;
pub(crate) const TIMESTAMP: u32 = 1114;
pub(crate) const TIMESTAMPTZ: u32 = 1184;
pub(crate) const NUMERIC: u32 = 1700;

/// Types of text that any text fits: name, text, bpchar, varchar.
const STRINGS: [u32; 4] = [19, TEXT, 1042, 1043];

/// Other types whose text form is told as a plain string: "char", xml, cidr, macaddr8, money,
/// macaddr, inet, time, interval, timetz, bit, varbit, uuid, `pg_lsn`.
const PLAIN: [u32; 14] = [
    18, 142, 650, 774, 790, 829, 869, 1083, 1186, 1266, 1560, 1562, 2950, 3220,
];

/// Types that can be read as text only: bytea, json, jsonb.
const OPAQUE: [u32; 3] = [17, 114, 3802];

/// Whether any text fits a column of this type.
pub(crate) fn is_string(oid: u32) -> bool {
    STRINGS.contains(&oid)
}

impl Kind {
    /// What a column of this type is.
    pub(crate) fn of(oid: u32) -> Kind {
        match oid {
            BOOL => Kind::Bool,
            INT8 | 21 | 23 => Kind::Int,
            NUMERIC => Kind::Decimal,
            FLOAT8 | 700 => Kind::Float,
            DATE | TIMESTAMP | TIMESTAMPTZ => Kind::Moment,
            other if OPAQUE.contains(&other) => Kind::Opaque,
            _ => Kind::Text,
        }
    }

    pub(crate) fn is_number(self) -> bool {
        matches!(self, Kind::Any | Kind::Int | Kind::Decimal | Kind::Float)
    }

    pub(crate) fn is_text(self) -> bool {
        matches!(self, Kind::Any | Kind::Text | Kind::Opaque)
    }

    /// Whether values of the two can be compared, or be alternatives of each other.
    pub(crate) fn goes_with(self, other: Kind) -> bool {
        self == other
            || self == Kind::Any
            || other == Kind::Any
            || (self.is_number() && other.is_number())
            || (self.is_text() && other.is_text())
    }

    /// What holds values of both, where they go with each other.
    pub(crate) fn with(self, other: Kind) -> Kind {
        match (self, other) {
            (Kind::Null, kind) | (kind, Kind::Null) => kind,
            (Kind::Any, _) | (_, Kind::Any) => Kind::Any,
            (one, other) if one == other => one,
            (one, other) if one.is_text() && other.is_text() => Kind::Text,
            (Kind::Float, _) | (_, Kind::Float) => Kind::Float,
            (_, _) => Kind::Decimal,
        }
    }
}

impl Display for Kind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Any => "a value",
            Kind::Null => "null",
            Kind::Bool => "a boolean",
            Kind::Int => "an integer",
            Kind::Decimal => "a decimal",
            Kind::Float => "a float",
            Kind::Text => "a text",
            Kind::Opaque => "a document or bytes",
            Kind::Moment => "a datetime",
        })
    }
}

/// The type that a column has after it was set to a value, where it had a type before or none.
pub(crate) fn set_type(before: Option<u32>, value: Kind) -> u32 {
    let kept = before.filter(|oid| match value {
        Kind::Null => true,
        Kind::Text | Kind::Opaque => is_string(*oid),
        Kind::Moment => Kind::of(*oid) == Kind::Moment,
        Kind::Any | Kind::Bool | Kind::Int | Kind::Decimal | Kind::Float => false,
    });
    kept.unwrap_or(match value {
        Kind::Bool => BOOL,
        Kind::Int => INT8,
        Kind::Decimal => NUMERIC,
        Kind::Float => FLOAT8,
        Kind::Moment => TIMESTAMPTZ,
        Kind::Any | Kind::Null | Kind::Text | Kind::Opaque => TEXT,
    })
}

/// The type of a column that may have a value of either type, if there is one.
pub(crate) fn either_type(one: u32, other: u32) -> Option<u32> {
    if one == other {
        return Some(one);
    }
    let (first, second) = (Kind::of(one), Kind::of(other));
    if first.is_number() && second.is_number() {
        return Some(set_type(None, first.with(second)));
    }
    let plain = |oid: u32| is_string(oid) || PLAIN.contains(&oid);
    (plain(one) && plain(other)).then_some(TEXT)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: u32 = 2950;
    const JSONB: u32 = 3802;
    const VARCHAR: u32 = 1043;

    #[test]
    fn a_set_column_takes_the_type_of_the_value_unless_its_own_fits() {
        assert_eq!(set_type(Some(VARCHAR), Kind::Text), VARCHAR);
        assert_eq!(set_type(Some(UUID), Kind::Text), TEXT);
        assert_eq!(set_type(Some(23), Kind::Int), INT8);
        assert_eq!(set_type(Some(DATE), Kind::Moment), DATE);
        assert_eq!(set_type(Some(TEXT), Kind::Moment), TIMESTAMPTZ);
        assert_eq!(set_type(Some(JSONB), Kind::Null), JSONB);
        assert_eq!(set_type(None, Kind::Null), TEXT);
        assert_eq!(set_type(None, Kind::Bool), BOOL);
    }

    #[test]
    fn a_column_of_either_type_is_of_one_that_holds_both() {
        assert_eq!(either_type(21, 23), Some(INT8));
        assert_eq!(either_type(23, NUMERIC), Some(NUMERIC));
        assert_eq!(either_type(700, NUMERIC), Some(FLOAT8));
        assert_eq!(either_type(UUID, TEXT), Some(TEXT));
        assert_eq!(either_type(JSONB, TEXT), None);
        assert_eq!(either_type(BOOL, TEXT), None);
        assert_eq!(either_type(99_999, TEXT), None);
        assert_eq!(either_type(TIMESTAMP, TIMESTAMPTZ), None);
    }
}
