//! Type OIDs to JSON kinds.

use std::collections::HashMap;

use rowcast_pg::catalog::TypeInfo;
use tokio_postgres::types::{Kind as BuiltIn, Type};

use crate::pipeline::change::Kind;

/// Types nest no deeper than this in practice; a catalog that says otherwise is not followed.
const MAX_DEPTH: usize = 16;

/// Types of a database that are not built in, or that we do not know: `initdb` gives the domains of
/// `information_schema` other OIDs in each version, and a new version has new types.
#[derive(Debug, Default)]
pub(crate) struct TypeCatalog {
    types: HashMap<u32, TypeInfo>,
}

impl TypeCatalog {
    /// Which of `oids` must be looked up before [`TypeCatalog::kind`] knows them.
    ///
    /// An enum may get values and a domain keeps its base, but a composite may get columns: every
    /// new shape of a table looks its types up again.
    pub(crate) fn to_look_up(oids: impl Iterator<Item = u32>) -> Vec<u32> {
        let mut wanted: Vec<u32> = oids.filter(|&oid| Type::from_oid(oid).is_none()).collect();
        wanted.sort_unstable();
        wanted.dedup();
        wanted
    }

    /// Takes what was looked up.
    pub(crate) fn add(&mut self, types: Vec<TypeInfo>) {
        self.types
            .extend(types.into_iter().map(|info| (info.oid, info)));
    }

    /// How the type's text becomes JSON; what is unknown stays text.
    pub(crate) fn kind(&self, oid: u32) -> Kind {
        self.kind_at(oid, 0)
    }

    /// The type's name, `oid:<number>` where unknown.
    pub(crate) fn name(&self, oid: u32) -> String {
        if let Some(built_in) = Type::from_oid(oid) {
            return built_in.name().to_owned();
        }
        self.types
            .get(&oid)
            .map_or_else(|| format!("oid:{oid}"), |info| info.name.clone())
    }

    fn kind_at(&self, oid: u32, depth: usize) -> Kind {
        if depth > MAX_DEPTH {
            return Kind::Text;
        }
        if let Some(built_in) = Type::from_oid(oid) {
            return built_in_kind(&built_in);
        }
        let Some(info) = self.types.get(&oid) else {
            return Kind::Text;
        };
        if let Some(element) = info.element.filter(|_| info.delimiter == ',') {
            return Kind::Array(Box::new(self.kind_at(element, depth + 1)));
        }
        if let Some((base, _modifier)) = info.base {
            return self.kind_at(base, depth + 1);
        }
        if info.fields.is_empty() {
            return Kind::Text;
        }
        let fields = info
            .fields
            .iter()
            .map(|(name, oid)| (name.clone(), self.kind_at(*oid, depth + 1)));
        Kind::Composite(fields.collect::<Vec<_>>().into())
    }
}

fn built_in_kind(built_in: &Type) -> Kind {
    match *built_in {
        Type::BOOL => Kind::Bool,
        Type::INT2 | Type::INT4 | Type::OID | Type::XID | Type::CID => Kind::Int,
        Type::INT8 => Kind::BigInt,
        Type::FLOAT4 | Type::FLOAT8 => Kind::Float,
        Type::JSON | Type::JSONB => Kind::Json,
        Type::BYTEA => Kind::Bytea,
        Type::TIMESTAMP => Kind::Timestamp,
        Type::TIMESTAMPTZ => Kind::TimestampTz,
        // Written without braces, and with ';' between the elements.
        Type::INT2_VECTOR | Type::OID_VECTOR | Type::BOX_ARRAY => Kind::Text,
        _ => match built_in.kind() {
            BuiltIn::Array(element) => Kind::Array(Box::new(built_in_kind(element))),
            BuiltIn::Simple
            | BuiltIn::Enum(_)
            | BuiltIn::Pseudo
            | BuiltIn::Range(_)
            | BuiltIn::Multirange(_)
            | BuiltIn::Domain(_)
            | BuiltIn::Composite(_)
            | _ => Kind::Text,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_types_have_their_json_form() {
        let catalog = TypeCatalog::default();
        assert_eq!(catalog.kind(20), Kind::BigInt);
        assert_eq!(catalog.kind(1700), Kind::Text);
        assert_eq!(catalog.kind(1007), Kind::Array(Box::new(Kind::Int)));
        assert_eq!(catalog.kind(22), Kind::Text);
        assert_eq!(catalog.kind(999_999), Kind::Text);
        assert_eq!(catalog.name(1184), "timestamptz");
        assert_eq!(catalog.name(999_999), "oid:999999");
        let wanted = TypeCatalog::to_look_up([20, 13_000, 999_999, 13_000].into_iter());
        assert_eq!(wanted, [13_000, 999_999]);
    }
}
