//! Values and conditions as they are compiled: columns are positions, constants are computed.

use regex::Regex;

use crate::{
    diagnostic::Span,
    function::{Arithmetic, Comparison, Plain, Unit},
    kind::Kind,
    pattern::Pattern,
    value::Value,
};

/// A compiled value.
#[derive(Debug)]
pub(crate) struct Expression {
    pub(crate) kind: Kind,
    pub(crate) op: Op,
    /// Where in the script it stands.
    pub(crate) span: Span,
}

/// What a value is made of.
#[derive(Debug)]
pub(crate) enum Op {
    Constant(Value<'static>),
    /// A column of the row; as text if it is not read as anything else.
    Slot {
        slot: usize,
        read: Option<Kind>,
        name: String,
    },
    Operation,
    CommittedAt,
    Scn,
    RowId,
    All(Vec<Expression>),
    Some(Vec<Expression>),
    Not(Box<Expression>),
    IsNull(Box<Expression>),
    IsNotNull(Box<Expression>),
    IsText(Box<Expression>),
    Choice(Box<[Expression; 3]>),
    Among(Box<Expression>, Vec<Value<'static>>),
    /// Texts between and around values.
    Join(Vec<Expression>),
    Shift(Box<Expression>, Vec<(Part, Expression)>),
    /// A function that needs all its arguments: it is null, or unknown, if one of them is.
    Strict(Strict, Vec<Expression>),
}

/// A function that needs all its arguments, four at most.
#[derive(Debug)]
pub(crate) enum Strict {
    Arithmetic(Arithmetic),
    Comparison(Comparison),
    Plain(Plain),
    Matches(Regex),
    FromNumber(Unit, i32),
    ToNumber(Unit, i32),
    WriteMoment(Pattern),
    ReadMoment(Pattern),
}

/// What is added to a datetime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Months(i64),
    Micros(i128),
}

impl Expression {
    /// The value, if it is the same for every row.
    pub(crate) fn constant(&self) -> Option<&Value<'static>> {
        if let Op::Constant(value) = &self.op {
            Some(value)
        } else {
            None
        }
    }

    /// What it is made of.
    pub(crate) fn operands(&self) -> Vec<&Expression> {
        match &self.op {
            Op::Constant(_)
            | Op::Slot { .. }
            | Op::Operation
            | Op::CommittedAt
            | Op::Scn
            | Op::RowId => Vec::new(),
            Op::All(parts) | Op::Some(parts) | Op::Join(parts) | Op::Strict(_, parts) => {
                parts.iter().collect()
            }
            Op::Not(part) | Op::IsNull(part) | Op::IsNotNull(part) | Op::IsText(part) => {
                vec![part]
            }
            Op::Among(part, _) => vec![part],
            Op::Choice(parts) => parts.iter().collect(),
            Op::Shift(part, added) => {
                let added = added.iter().map(|(_, added)| added);
                std::iter::once(part.as_ref()).chain(added).collect()
            }
        }
    }

    /// The first column in it: an error names it.
    pub(crate) fn first_column(&self) -> Option<&str> {
        if let Op::Slot { name, .. } = &self.op {
            return Some(name);
        }
        self.operands().into_iter().find_map(Self::first_column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expression(op: Op) -> Expression {
        Expression {
            kind: Kind::Any,
            op,
            span: Span::default(),
        }
    }

    fn column(name: &str) -> Expression {
        expression(Op::Slot {
            slot: 0,
            read: None,
            name: name.to_owned(),
        })
    }

    #[test]
    fn the_first_column_is_found_at_any_depth() {
        let one = || expression(Op::Constant(Value::Int(1)));
        let joined = expression(Op::Join(vec![one(), column("b")]));
        let added = vec![(Part::Months(1), column("c"))];
        let shifted = expression(Op::Shift(Box::new(joined), added));
        let chosen = expression(Op::Choice(Box::new([one(), shifted, one()])));
        assert_eq!(chosen.first_column(), Some("b"));
        assert_eq!(one().first_column(), None);
    }

    #[test]
    fn only_what_is_computed_is_constant() {
        let constant = expression(Op::Constant(Value::Null));
        assert_eq!(constant.constant(), Some(&Value::Null));
        assert_eq!(column("a").constant(), None);
    }
}
