//! Values: their kinds are checked, columns become positions, and what is constant is computed.

use super::Compiler;
use crate::{
    diagnostic::Span,
    evaluation::Row,
    expression::{Expression, Op},
    kind::Kind,
    nearest::nearest,
    node::{Form, Meta, Node},
    table::{Event, Operation},
    value::Value,
};

/// What constants are computed with: they do not look at it.
const NO_EVENT: Event = Event {
    operation: Operation::Insert,
    committed_at: 0,
    commit_lsn: 0,
    ordinal: 0,
};

impl Compiler<'_> {
    /// Compiles a condition.
    pub(super) fn condition(&mut self, node: &Node) -> Option<Expression> {
        let condition = self.value(node)?;
        if matches!(condition.kind, Kind::Bool | Kind::Null | Kind::Any) {
            return Some(condition);
        }
        let message = format!(
            "This is {} where a condition is needed: compare it with something.",
            condition.kind
        );
        self.tell(node.span, "type", message);
        None
    }

    /// Compiles a value that is taken as the text that PostgreSQL writes it in.
    pub(super) fn raw_value(&mut self, node: &Node) -> Option<Expression> {
        let mut value = self.value(node)?;
        if let Op::Slot { read, .. } = &mut value.op {
            *read = None;
        }
        Some(value)
    }

    /// Compiles a value.
    pub(super) fn value(&mut self, node: &Node) -> Option<Expression> {
        let span = node.span;
        let (kind, op) = match &node.form {
            Form::Null => (Kind::Null, Op::Constant(Value::Null)),
            Form::Bool(value) => (Kind::Bool, Op::Constant(Value::Bool(*value))),
            Form::Text(text) => (Kind::Text, Op::Constant(Value::text(text.clone()))),
            Form::Number(digits) => return self.number(digits, span),
            Form::Meta(meta) => self.meta(*meta),
            Form::Column(name) => return self.column(name, span),
            Form::Choice(parts) => return self.choice(parts, span),
            Form::Call(function, arguments, named) => {
                return self.call(function, arguments, named, span);
            }
            Form::New => {
                let message = "NEW is a mark of e_set: write a value here.";
                self.tell(span, "place", message);
                return None;
            }
        };
        Some(self.expression(kind, op, span))
    }

    /// A number of the script: an integer if it is one and fits, else a decimal.
    pub(super) fn number(&mut self, digits: &str, span: Span) -> Option<Expression> {
        let kind = match digits.parse::<i64>() {
            Ok(_) => Kind::Int,
            Err(_) => Kind::Decimal,
        };
        match Value::read(digits.to_owned().into(), kind) {
            Ok(value) => Some(self.expression(kind, Op::Constant(value), span)),
            Err(fault) => {
                let message = format!("This is no number, for {fault}: write a shorter one.");
                self.tell(span, "value", message);
                None
            }
        }
    }

    pub(super) fn expression(&self, kind: Kind, op: Op, span: Span) -> Expression {
        Expression { kind, op, span }
    }

    /// Makes a value of others, at once if these are constant.
    pub(super) fn made(&mut self, kind: Kind, op: Op, span: Span) -> Option<Expression> {
        let expression = self.expression(kind, op, span);
        let operands = expression.operands();
        if operands.is_empty() || operands.iter().any(|one| one.constant().is_none()) {
            return Some(expression);
        }
        let row = Row {
            cells: &[],
            event: &NO_EVENT,
        };
        match expression.evaluate(&row).map(Value::into_owned) {
            Ok(value) => Some(self.expression(kind, Op::Constant(value), span)),
            Err(failure) => {
                let message = format!("This has no value, for {}: correct it.", failure.fault);
                self.tell(span, "value", message);
                None
            }
        }
    }

    fn meta(&self, meta: Meta) -> (Kind, Op) {
        let constant = |text: &str| Op::Constant(Value::text(text.to_owned()));
        let of_table = |name: fn(&crate::table::Table<'_>) -> String| {
            // For any table it is some text, which decides nothing yet.
            self.table.map_or(Op::Scn, |table| constant(&name(table)))
        };
        let op = match meta {
            Meta::Table => of_table(|table| table.table.to_owned()),
            Meta::Database => of_table(|table| table.database.to_owned()),
            Meta::Schema => of_table(|table| table.schema.to_owned()),
            Meta::Operation => Op::Operation,
            Meta::Insert => constant(Operation::Insert.as_str()),
            Meta::Update => constant(Operation::Update.as_str()),
            Meta::Delete => constant(Operation::Delete.as_str()),
            Meta::Scn => Op::Scn,
            Meta::RowId => Op::RowId,
            Meta::CommitTimestamp => return (Kind::Moment, Op::CommittedAt),
        };
        (Kind::Text, op)
    }

    fn column(&mut self, name: &str, span: Span) -> Option<Expression> {
        let slot = |slot, kind| Op::Slot {
            slot,
            read: Some(kind),
            name: name.to_owned(),
        };
        if self.table.is_none() {
            return Some(self.expression(Kind::Any, slot(0, Kind::Any), span));
        }
        let Some(live) = self.columns.get(name) else {
            self.tell_unknown_column(name, span);
            return None;
        };
        let kind = live.oid.map_or(Kind::Text, Kind::of);
        let op = slot(live.slot, kind);
        let reads = live.original && !live.key && self.target != Some(live.slot);
        if let Some(source) = live.source.filter(|_| reads)
            && let Some(read) = self.read.get_mut(source)
        {
            *read = true;
        }
        Some(self.expression(kind, op, span))
    }

    pub(super) fn tell_unknown_column(&mut self, name: &str, span: Span) {
        let table = self.table_name();
        let message = if self.gone.iter().any(|gone| gone == name) {
            format!("Column `{name}` of {table} was dropped or renamed before: use it before that.")
        } else {
            let names = self.columns.iter().map(|live| live.name.as_ref());
            let near = nearest(name, names);
            let near = near.map_or(String::new(), |near| format!(", but there is `{near}`"));
            format!(
                "There is no column `{name}` in {table}{near}: correct the name, or put what is for another table under a condition of __TB__."
            )
        };
        self.tell(span, "unknown_column", message);
    }

    fn choice(&mut self, parts: &[Node; 3], span: Span) -> Option<Expression> {
        let [condition, yes, no] = parts;
        let condition = self.condition(condition);
        if self.table.is_some()
            && let Some(value) = condition.as_ref().and_then(Expression::constant)
        {
            return self.value(if value.is_true() { yes } else { no });
        }
        let (yes, no) = (self.value(yes), self.value(no));
        let (condition, yes, no) = (condition?, yes?, no?);
        let fits = yes.kind == Kind::Null || no.kind == Kind::Null || yes.kind.goes_with(no.kind);
        if !fits {
            let message = format!(
                "The two values of '? :' are {} and {}: make both of one type.",
                yes.kind, no.kind
            );
            self.tell(span, "type", message);
            return None;
        }
        let kind = yes.kind.with(no.kind);
        self.made(kind, Op::Choice(Box::new([condition, yes, no])), span)
    }

    /// Compiles conditions of `op_and` and `op_or`. One that is `decisive` for the table leaves the
    /// others out.
    pub(super) fn joined(
        &mut self,
        nodes: &[Node],
        decisive: bool,
        span: Span,
    ) -> Option<Expression> {
        let mut parts: Vec<Option<Expression>> = nodes.iter().map(|_| None).collect();
        let mut wrong = false;
        // Those without columns come first: they may say that the others are for another table.
        for with_columns in [false, true] {
            for (node, part) in nodes.iter().zip(&mut parts) {
                if node.reads_columns() != with_columns {
                    continue;
                }
                *part = self.condition(node);
                wrong |= part.is_none();
                let constant = part.as_ref().and_then(Expression::constant);
                if self.table.is_some() && constant == Some(&Value::Bool(decisive)) {
                    let op = Op::Constant(Value::Bool(decisive));
                    return Some(self.expression(Kind::Bool, op, span));
                }
            }
        }
        if wrong {
            return None;
        }
        let undecided = Value::Bool(!decisive);
        let parts = parts.into_iter().flatten();
        let mut parts: Vec<Expression> = parts
            .filter(|part| self.table.is_none() || part.constant() != Some(&undecided))
            .collect();
        match parts.len() {
            0 => Some(self.expression(Kind::Bool, Op::Constant(undecided), span)),
            1 => parts.pop(),
            _ if decisive => self.made(Kind::Bool, Op::Some(parts), span),
            _ => self.made(Kind::Bool, Op::All(parts), span),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{compiler::trial::compiled, program::Action};

    /// The constant that a statement sets a column to.
    fn constant(value: &str) -> Option<Value<'static>> {
        let program = compiled(&format!("e_set(`x`, {value})"));
        match program.actions.as_slice() {
            [Action::Set { value, .. }] => value.constant().cloned(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_the_same_for_every_row_is_computed_once() {
        for (value, expected) in [
            ("1 + 2 * 3", Value::Int(7)),
            ("str_upper(__TB__)", Value::text("T")),
            ("__TB__ == 't' && 1 < 2", Value::Bool(true)),
            ("__TB__ == 'x' && `n` < 2", Value::Bool(false)),
            ("__TB__ == 't' ? 1 : `n`", Value::Int(1)),
            (
                "op_in(__SCHEMA__, json_array('[\"s\"]'))",
                Value::Bool(true),
            ),
            ("op_add('a', null)", Value::Null),
        ] {
            assert_eq!(constant(value), Some(expected), "{value}");
        }
        for value in [
            "`n` + 1",
            "dt_now()",
            "__OPERATION__ == 'x'",
            "op_add(`a`, 'x')",
        ] {
            assert_eq!(constant(value), None, "{value}");
        }
    }
}
