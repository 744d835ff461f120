//! What the parser makes of a script: a tree that knows functions, not yet tables.

use crate::{diagnostic::Span, function::Function};

/// A value or an action, and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) form: Form,
    /// How many nodes lie upon each other, this one counted.
    pub(crate) depth: usize,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Form {
    Null,
    Bool(bool),
    /// Digits, perhaps with a sign and a point.
    Number(String),
    Text(String),
    Column(String),
    Meta(Meta),
    /// The word `NEW`, which only `e_set` knows.
    New,
    Choice(Box<[Node; 3]>),
    Call(&'static Function, Vec<Node>, Vec<Named>),
}

/// An argument with a name, as `days=1`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) span: Span,
    pub(crate) value: Node,
}

/// What a script knows beside the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meta {
    Table,
    Database,
    Schema,
    Operation,
    Insert,
    Update,
    Delete,
    CommitTimestamp,
    Scn,
    RowId,
}

impl Meta {
    /// Each with its name.
    pub(crate) const ALL: [(&'static str, Meta); 10] = [
        ("__TB__", Meta::Table),
        ("__DB__", Meta::Database),
        ("__SCHEMA__", Meta::Schema),
        ("__OPERATION__", Meta::Operation),
        ("__OP_INSERT__", Meta::Insert),
        ("__OP_UPDATE__", Meta::Update),
        ("__OP_DELETE__", Meta::Delete),
        ("__COMMIT_TIMESTAMP__", Meta::CommitTimestamp),
        ("__SCN__", Meta::Scn),
        ("__ROW_ID__", Meta::RowId),
    ];
}

impl Node {
    pub(crate) fn new(span: Span, form: Form) -> Self {
        let below = match &form {
            Form::Choice(parts) => parts.iter().map(|part| part.depth).max(),
            Form::Call(_, arguments, named) => {
                let named = named.iter().map(|named| named.value.depth);
                arguments.iter().map(|node| node.depth).chain(named).max()
            }
            Form::Null
            | Form::Bool(_)
            | Form::Number(_)
            | Form::Text(_)
            | Form::Column(_)
            | Form::Meta(_)
            | Form::New => None,
        };
        Self {
            span,
            form,
            depth: below.unwrap_or(0) + 1,
        }
    }

    /// Whether a column stands anywhere in it.
    pub(crate) fn reads_columns(&self) -> bool {
        match &self.form {
            Form::Column(_) => true,
            Form::Choice(parts) => parts.iter().any(Node::reads_columns),
            Form::Call(_, arguments, named) => {
                let mut named = named.iter();
                arguments.iter().any(Node::reads_columns)
                    || named.any(|named| named.value.reads_columns())
            }
            Form::Null
            | Form::Bool(_)
            | Form::Number(_)
            | Form::Text(_)
            | Form::Meta(_)
            | Form::New => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::function;

    fn node(form: Form) -> Node {
        Node::new(Span::default(), form)
    }

    #[test]
    fn depth_and_columns_are_those_of_the_deepest_part() {
        let column = node(Form::Column("a".to_owned()));
        let named = Named {
            name: "days".to_owned(),
            span: Span::default(),
            value: node(Form::Choice(Box::new([
                node(Form::Null),
                node(Form::Null),
                column,
            ]))),
        };
        let function = function("dt_add").unwrap();
        let call = node(Form::Call(function, vec![node(Form::Null)], vec![named]));
        assert_eq!(call.depth, 3);
        assert!(call.reads_columns());
        assert!(!node(Form::Call(function, vec![node(Form::New)], Vec::new())).reads_columns());
    }
}
