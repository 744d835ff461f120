//! Computes compiled values for one row.
//!
//! Logic has three values as in SQL; null and what was not sent are both the third, and are kept
//! apart, because a value made of what was not sent is not known either.

use crate::{
    arithmetic::{compute, holds, order},
    expression::{Expression, Op, Part, Strict},
    function::Unit,
    kind::Kind,
    moment::{EPOCH_2000, Moment, Point, Style, within_reach},
    program::{Cell, Failure},
    strings,
    table::Event,
    value::{Fault, Value},
};

/// A row while a script runs over it.
pub(crate) struct Row<'r, 'a> {
    pub(crate) cells: &'r [Cell<'a>],
    pub(crate) event: &'r Event,
}

type Evaluated<'a> = Result<Value<'a>, Failure<'a>>;

impl Expression {
    /// The value for a row.
    pub(crate) fn evaluate<'a>(&'a self, row: &Row<'_, 'a>) -> Evaluated<'a> {
        match &self.op {
            Op::Constant(value) => Ok(value.borrowed()),
            Op::Slot { slot, read, .. } => match row.cells.get(*slot) {
                Some(Cell::Text(text)) => {
                    let text = text.clone();
                    self.checked(Value::read(text, read.unwrap_or(Kind::Text)))
                }
                Some(Cell::Null) => Ok(Value::Null),
                Some(Cell::Unchanged) | None => Ok(Value::Unknown),
            },
            Op::Operation => Ok(Value::text(row.event.operation.as_str())),
            Op::CommittedAt => {
                let micros = i128::from(row.event.committed_at) + EPOCH_2000;
                Ok(Value::Moment(Moment::utc(micros)))
            }
            Op::Scn => Ok(Value::text(lsn(row.event.commit_lsn))),
            Op::RowId => {
                let (lsn, ordinal) = (lsn(row.event.commit_lsn), row.event.ordinal);
                Ok(Value::text(format!("{lsn}.{ordinal}")))
            }
            Op::All(parts) => joined(parts, row, false),
            Op::Some(parts) => joined(parts, row, true),
            Op::Not(part) => {
                let value = part.evaluate(row)?;
                Ok(if let Value::Bool(value) = value {
                    Value::Bool(!value)
                } else {
                    value
                })
            }
            Op::IsNull(part) => null(part, row, true),
            Op::IsNotNull(part) => null(part, row, false),
            Op::IsText(part) => {
                let value = part.evaluate(row)?;
                let known = !value.is_unknown() && !value.is_null();
                let text = Value::Bool(part.kind == Kind::Text);
                Ok(if known { text } else { value })
            }
            Op::Choice(parts) => {
                let [condition, yes, no] = parts.as_ref();
                let condition = condition.evaluate(row)?;
                if condition.is_unknown() {
                    return Ok(Value::Unknown);
                }
                if condition.is_true() { yes } else { no }.evaluate(row)
            }
            Op::Among(part, list) => Ok(among(part.evaluate(row)?, list)),
            Op::Join(parts) => self.join(parts, row),
            Op::Shift(part, added) => self.shift(part, added, row),
            Op::Strict(strict, parts) => self.strict(strict, parts, row),
        }
    }

    fn checked<'a>(&'a self, result: Result<Value<'a>, Fault>) -> Evaluated<'a> {
        result.map_err(|fault| Failure {
            span: self.span,
            name: self.first_column(),
            fault,
        })
    }

    fn join<'a>(&'a self, parts: &'a [Expression], row: &Row<'_, 'a>) -> Evaluated<'a> {
        let mut texts = Vec::with_capacity(parts.len());
        let mut null = false;
        for part in parts {
            let value = part.evaluate(row)?;
            if value.is_unknown() {
                return Ok(Value::Unknown);
            }
            null |= value.is_null();
            texts.push(strings::text(value));
        }
        if null {
            return Ok(Value::Null);
        }
        self.checked(strings::join(&texts))
    }

    fn shift<'a>(
        &'a self,
        part: &'a Expression,
        added: &'a [(Part, Expression)],
        row: &Row<'_, 'a>,
    ) -> Evaluated<'a> {
        let start = part.evaluate(row)?;
        let (mut months, mut micros) = (0_i64, 0_i128);
        let mut missing = None;
        for (part, count) in added {
            match (count.evaluate(row)?, part) {
                (Value::Int(count), Part::Months(unit)) => {
                    months = months.saturating_add(count.saturating_mul(*unit));
                }
                (Value::Int(count), Part::Micros(unit)) => {
                    micros = micros.saturating_add(i128::from(count).saturating_mul(*unit));
                }
                (Value::Unknown, _) => missing = Some(Value::Unknown),
                (_, _) => missing = missing.or(Some(Value::Null)),
            }
        }
        match (start, missing) {
            (Value::Unknown, _) => Ok(Value::Unknown),
            (_, Some(missing)) => Ok(missing),
            (Value::Moment(start), None) => {
                let later = start.later(months, micros).map(Value::Moment);
                self.checked(later.ok_or(Fault::OutOfReach))
            }
            (other, None) => Ok(other),
        }
    }

    fn strict<'a>(
        &'a self,
        strict: &'a Strict,
        parts: &'a [Expression],
        row: &Row<'_, 'a>,
    ) -> Evaluated<'a> {
        let mut values = [const { Value::Null }; 4];
        let (mut unknown, mut null) = (false, false);
        for (part, value) in parts.iter().zip(&mut values) {
            *value = part.evaluate(row)?;
            unknown |= value.is_unknown();
            null |= value.is_null();
        }
        if unknown {
            return Ok(Value::Unknown);
        }
        if null {
            return Ok(Value::Null);
        }
        self.checked(apply(strict, values))
    }
}

/// Applies a function to what it needs.
fn apply<'a>(strict: &Strict, values: [Value<'a>; 4]) -> Result<Value<'a>, Fault> {
    let [first, second, ..] = &values;
    match (strict, first) {
        (Strict::Arithmetic(arithmetic), _) => compute(*arithmetic, first, second),
        (Strict::Comparison(comparison), _) => Ok(Value::Bool(holds(*comparison, first, second))),
        (Strict::Plain(plain), _) => strings::apply(*plain, values),
        (Strict::Matches(regex), Value::Text(text)) => Ok(Value::Bool(regex.is_match(text))),
        (Strict::FromNumber(unit, offset), Value::Int(number)) => {
            let micros = i128::from(*number) * unit.micros();
            let moment = Moment {
                at: Point::At(micros),
                offset: Some(*offset),
            };
            let reached = within_reach(micros).then_some(Value::Moment(moment));
            reached.ok_or(Fault::OutOfReach)
        }
        (Strict::ToNumber(unit, offset), Value::Moment(moment)) => {
            since_1970(*moment, *unit, *offset)
        }
        (Strict::WriteMoment(pattern), Value::Moment(moment)) => {
            Ok(Value::text(pattern.write(*moment)))
        }
        (Strict::ReadMoment(pattern), Value::Text(text)) => {
            let moment = pattern.read(text).map(Value::Moment);
            moment.ok_or(Fault::NotOfFormat)
        }
        // The compiler lets no other kinds through.
        (
            Strict::Matches(_)
            | Strict::FromNumber(..)
            | Strict::ToNumber(..)
            | Strict::WriteMoment(_)
            | Strict::ReadMoment(_),
            _,
        ) => Ok(Value::Null),
    }
}

/// Seconds or milliseconds since 1970 of a moment; one without a zone was shown by a clock of
/// this offset.
fn since_1970<'a>(moment: Moment, unit: Unit, offset: i32) -> Result<Value<'a>, Fault> {
    let Point::At(micros) = moment.at else {
        return Err(Fault::OutOfReach);
    };
    let micros = match moment.offset {
        Some(_) => micros,
        None => micros - i128::from(offset) * Unit::Second.micros(),
    };
    let number = i64::try_from(micros.div_euclid(unit.micros())).ok();
    number.map(Value::Int).ok_or(Fault::OutOfReach)
}

/// Joins conditions: one that is `decisive` decides.
fn joined<'a>(parts: &'a [Expression], row: &Row<'_, 'a>, decisive: bool) -> Evaluated<'a> {
    let mut result = Value::Bool(!decisive);
    for part in parts {
        let value = part.evaluate(row)?;
        if value == Value::Bool(decisive) {
            return Ok(value);
        }
        if value.is_unknown() || (value.is_null() && !result.is_unknown()) {
            result = value;
        }
    }
    Ok(result)
}

fn null<'a>(part: &'a Expression, row: &Row<'_, 'a>, wanted: bool) -> Evaluated<'a> {
    let value = part.evaluate(row)?;
    if value.is_unknown() {
        return Ok(value);
    }
    Ok(Value::Bool(value.is_null() == wanted))
}

/// Whether a value is in a list. If it is not but null is, nobody knows.
fn among<'a>(value: Value<'a>, list: &[Value<'static>]) -> Value<'a> {
    if value.is_unknown() || value.is_null() {
        return value;
    }
    let equals = |one: &Value<'_>| order(&value, one).is_some_and(std::cmp::Ordering::is_eq);
    if list.iter().any(equals) {
        return Value::Bool(true);
    }
    if list.iter().any(Value::is_null) {
        return Value::Null;
    }
    Value::Bool(false)
}

/// A place in the log as PostgreSQL writes it.
fn lsn(lsn: u64) -> String {
    format!("{:X}/{:X}", lsn >> 32, lsn & 0xFFFF_FFFF)
}

/// What a column is set to.
pub(crate) fn cell(value: Value<'_>, style: Style) -> Cell<'_> {
    if value.is_unknown() {
        return Cell::Unchanged;
    }
    value.write(style).map_or(Cell::Null, Cell::Text)
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::{diagnostic::Span, table::Operation};

    fn slot(slot: usize) -> Expression {
        Expression {
            kind: Kind::Bool,
            op: Op::Slot {
                slot,
                read: Some(Kind::Bool),
                name: "a".to_owned(),
            },
            span: Span::default(),
        }
    }

    fn evaluated(op: Op) -> Value<'static> {
        let text = |text| Cell::Text(Cow::Borrowed(text));
        let cells = [text("t"), text("f"), Cell::Null, Cell::Unchanged];
        let event = Event {
            operation: Operation::Delete,
            committed_at: -1,
            commit_lsn: 0x16_B374_8000,
            ordinal: 0,
        };
        let row = Row {
            cells: &cells,
            event: &event,
        };
        let expression = Expression { op, ..slot(0) };
        expression.evaluate(&row).unwrap().into_owned()
    }

    #[test]
    fn conditions_are_joined_as_in_sql() {
        let [yes, no, null, unknown] = [0, 1, 2, 3];
        for (slots, all, some) in [
            ([yes, yes], Value::Bool(true), Value::Bool(true)),
            ([yes, no], Value::Bool(false), Value::Bool(true)),
            ([yes, null], Value::Null, Value::Bool(true)),
            ([null, no], Value::Bool(false), Value::Null),
            ([unknown, no], Value::Bool(false), Value::Unknown),
            ([unknown, yes], Value::Unknown, Value::Bool(true)),
            ([unknown, null], Value::Unknown, Value::Unknown),
            ([null, unknown], Value::Unknown, Value::Unknown),
        ] {
            assert_eq!(evaluated(Op::All(slots.map(slot).into())), all, "{slots:?}");
            assert_eq!(
                evaluated(Op::Some(slots.map(slot).into())),
                some,
                "{slots:?}"
            );
        }
    }

    #[test]
    fn an_event_is_shown_as_postgresql_would() {
        assert_eq!(evaluated(Op::Scn), Value::text("16/B3748000"));
        assert_eq!(evaluated(Op::RowId), Value::text("16/B3748000.0"));
        assert_eq!(evaluated(Op::Operation), Value::text("DELETE"));
        let before_2000 = evaluated(Op::CommittedAt).write(Style::Timestamptz);
        assert_eq!(before_2000.unwrap(), "1999-12-31 23:59:59.999999+00");
    }
}
