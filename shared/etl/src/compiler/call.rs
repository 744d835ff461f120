//! Calls of functions that give values.

use super::Compiler;
use crate::{
    diagnostic::Span,
    expression::{Expression, Op, Part, Strict},
    function::{Callee, Comparison, Function, Plain, Unit, Want},
    kind::Kind,
    node::{Form, Named, Node},
    value::Value,
};

impl Compiler<'_> {
    /// Compiles a call where a value is needed.
    pub(super) fn call(
        &mut self,
        function: &Function,
        arguments: &[Node],
        named: &[Named],
        span: Span,
    ) -> Option<Expression> {
        let name = function.name;
        match (function.callee, arguments) {
            (Callee::Arithmetic(arithmetic), [one, other]) => {
                self.arithmetic(name, Strict::Arithmetic(arithmetic), [one, other], span)
            }
            (Callee::Comparison(comparison), [one, other]) => {
                self.comparison(name, comparison, [one, other], span)
            }
            (Callee::And, parts) => self.joined(parts, false, span),
            (Callee::Or, parts) => self.joined(parts, true, span),
            (Callee::Not, [part]) => {
                let part = Box::new(self.condition(part)?);
                self.made(Kind::Bool, Op::Not(part), span)
            }
            (Callee::IsNull, [part]) => {
                let part = Box::new(self.raw_value(part)?);
                self.made(Kind::Bool, Op::IsNull(part), span)
            }
            (Callee::IsNotNull, [part]) => {
                let part = Box::new(self.raw_value(part)?);
                self.made(Kind::Bool, Op::IsNotNull(part), span)
            }
            (Callee::IsText, [part]) => {
                let part = Box::new(self.raw_value(part)?);
                self.made(Kind::Bool, Op::IsText(part), span)
            }
            (Callee::Among, [part, list]) => self.among(part, list, span),
            (Callee::Concat, parts) => self.join(parts, span),
            (Callee::Format, [format, parts @ ..]) => self.format(format, parts, span),
            (Callee::Matches, [text, pattern]) => {
                let text = self.wanted(name, text, Want::Text);
                let regex = self.regex(pattern);
                let op = Op::Strict(Strict::Matches(regex?), vec![text?]);
                self.made(Kind::Bool, op, span)
            }
            (Callee::Plain(plain), arguments) => self.plain(name, plain, arguments, span),
            (Callee::Act(_), _) => {
                let message = format!(
                    "{name} is an action where a value is needed: put it alone, or as an action of e_if."
                );
                self.tell(span, "place", message);
                None
            }
            (Callee::JsonArray, _) => {
                let message =
                    "json_array is the list of op_in: write op_in(`column`, json_array('[1, 2]')).";
                self.tell(span, "place", message);
                None
            }
            (Callee::BsonValue, _) => {
                let message = "bson_value reads documents of MongoDB, and this is PostgreSQL: read a text column, or leave it out.";
                self.tell(span, "unknown_function", message);
                None
            }
            (callee, arguments) => self.time(name, callee, arguments, named, span),
        }
    }

    fn time(
        &mut self,
        name: &str,
        callee: Callee,
        arguments: &[Node],
        named: &[Named],
        span: Span,
    ) -> Option<Expression> {
        match (callee, arguments) {
            (Callee::Moment, [text]) => {
                let moment = self.moment(text)?;
                Some(self.expression(Kind::Moment, Op::Constant(moment), span))
            }
            (Callee::Now, _) => Some(self.expression(Kind::Moment, Op::CommittedAt, span)),
            (Callee::FromNumber(unit), [number, zone @ ..]) => {
                let number = self.wanted(name, number, Want::Int);
                let strict = Strict::FromNumber(unit, self.zone(zone.first())?);
                self.made(Kind::Moment, Op::Strict(strict, vec![number?]), span)
            }
            (Callee::ToNumber(unit), [moment, zone @ ..]) => {
                let moment = self.wanted_moment(name, moment);
                let strict = Strict::ToNumber(unit, self.zone(zone.first())?);
                self.made(Kind::Int, Op::Strict(strict, vec![moment?]), span)
            }
            (Callee::WriteMoment, [moment, format]) => {
                let moment = self.wanted_moment(name, moment);
                let strict = Strict::WriteMoment(self.pattern(format)?);
                self.made(Kind::Text, Op::Strict(strict, vec![moment?]), span)
            }
            (Callee::ReadMoment, [text, format]) => {
                let text = self.wanted(name, text, Want::Text);
                let strict = Strict::ReadMoment(self.pattern(format)?);
                self.made(Kind::Moment, Op::Strict(strict, vec![text?]), span)
            }
            (Callee::Shift, [moment]) => self.shift(name, moment, named, span),
            // The parser has counted the arguments, and `call` knows the other functions.
            (_, _) => None,
        }
    }

    fn arithmetic(
        &mut self,
        name: &str,
        strict: Strict,
        nodes: [&Node; 2],
        span: Span,
    ) -> Option<Expression> {
        let [one, other] = nodes.map(|node| self.wanted(name, node, Want::Number));
        let (one, other) = (one?, other?);
        let kind = one.kind.with(other.kind);
        self.made(kind, Op::Strict(strict, vec![one, other]), span)
    }

    fn comparison(
        &mut self,
        name: &str,
        comparison: Comparison,
        nodes: [&Node; 2],
        span: Span,
    ) -> Option<Expression> {
        if nodes.iter().any(|node| node.form == Form::Null) {
            let message = "Nothing is equal to null, or less, or greater: ask with op_is_null or op_is_not_null.";
            self.tell(span, "type", message);
            return None;
        }
        let [one, other] = nodes.map(|node| self.value(node));
        let (one, other) = (one?, other?);
        let equality = matches!(comparison, Comparison::Equal | Comparison::NotEqual);
        if one.kind == Kind::Bool && other.kind == Kind::Bool && !equality {
            let message = format!("{name} cannot order two booleans: compare them by == or !=.");
            self.tell(span, "type", message);
            return None;
        }
        let null = one.kind == Kind::Null || other.kind == Kind::Null;
        if !null && !one.kind.goes_with(other.kind) {
            let kinds = [one.kind, other.kind];
            let advice = if kinds.contains(&Kind::Moment) && kinds.contains(&Kind::Text) {
                "write the text as DATETIME('2021-01-01 10:10:01')"
            } else {
                "make both of one type"
            };
            let message = format!(
                "{name} cannot compare {} with {}: {advice}.",
                one.kind, other.kind
            );
            self.tell(span, "type", message);
            return None;
        }
        let op = Op::Strict(Strict::Comparison(comparison), vec![one, other]);
        self.made(Kind::Bool, op, span)
    }

    fn among(&mut self, part: &Node, list: &Node, span: Span) -> Option<Expression> {
        let part = self.value(part)?;
        let list = self.list(list, part.kind)?;
        self.made(Kind::Bool, Op::Among(Box::new(part), list), span)
    }

    fn join(&mut self, nodes: &[Node], span: Span) -> Option<Expression> {
        let parts: Vec<Option<Expression>> =
            nodes.iter().map(|node| self.raw_value(node)).collect();
        let parts: Option<Vec<Expression>> = parts.into_iter().collect();
        self.made(Kind::Text, Op::Join(parts?), span)
    }

    fn format(&mut self, format: &Node, nodes: &[Node], span: Span) -> Option<Expression> {
        let pieces = self.text(format, "a format, as '{}-{}'").map(pieces)?;
        let Some(pieces) = pieces else {
            let message =
                "The format has a brace alone: write {} for a value, {{ and }} for braces.";
            self.tell(format.span, "value", message);
            return None;
        };
        if pieces.len() != nodes.len() + 1 {
            let message = format!(
                "The format has {} times {{}} for {} values: write one for each value.",
                pieces.len().saturating_sub(1),
                nodes.len()
            );
            self.tell(span, "arguments", message);
            return None;
        }
        let mut parts = Vec::new();
        let mut values = nodes.iter();
        for piece in pieces {
            if !piece.is_empty() || nodes.is_empty() {
                let op = Op::Constant(Value::text(piece));
                parts.push(self.expression(Kind::Text, op, span));
            }
            if let Some(node) = values.next() {
                parts.push(self.raw_value(node)?);
            }
        }
        self.made(Kind::Text, Op::Join(parts), span)
    }

    fn plain(
        &mut self,
        name: &str,
        plain: Plain,
        nodes: &[Node],
        span: Span,
    ) -> Option<Expression> {
        let (wants, _, kind) = plain.shape();
        let parts = nodes.iter().zip(wants);
        let parts: Vec<Option<Expression>> = parts
            .map(|(node, want)| self.wanted(name, node, *want))
            .collect();
        let parts: Option<Vec<Expression>> = parts.into_iter().collect();
        self.made(kind, Op::Strict(Strict::Plain(plain), parts?), span)
    }

    fn shift(
        &mut self,
        name: &str,
        moment: &Node,
        named: &[Named],
        span: Span,
    ) -> Option<Expression> {
        let moment = self.wanted_moment(name, moment);
        let second = Unit::Second.micros();
        let mut added = Vec::new();
        for Named {
            name: unit, value, ..
        } in named
        {
            let part = match unit.as_str() {
                "years" => Part::Months(12),
                "months" => Part::Months(1),
                "days" => Part::Micros(86_400 * second),
                "hours" => Part::Micros(3_600 * second),
                "minutes" => Part::Micros(60 * second),
                _ => Part::Micros(second),
            };
            added.push((part, self.wanted(name, value, Want::Int)?));
        }
        self.made(Kind::Moment, Op::Shift(Box::new(moment?), added), span)
    }

    /// Compiles an argument that must be something.
    fn wanted(&mut self, name: &str, node: &Node, want: Want) -> Option<Expression> {
        let value = match want {
            Want::Text => self.raw_value(node)?,
            Want::Int | Want::Number | Want::Character => self.value(node)?,
        };
        let kind = value.kind;
        let (fits, wanted) = match want {
            Want::Text => (kind.is_text(), "a text"),
            Want::Int => (matches!(kind, Kind::Int | Kind::Any), "an integer"),
            Want::Number => (kind.is_number(), "a number"),
            Want::Character => {
                let one = match value.constant() {
                    Some(Value::Text(text)) => text.chars().count() == 1,
                    Some(_) | None => false,
                };
                (one, "a text of one character, written out")
            }
        };
        if fits || (kind == Kind::Null && want != Want::Character) {
            return Some(value);
        }
        let advice = match (want, kind) {
            (Want::Text, Kind::Int | Kind::Decimal | Kind::Float) => {
                "make a text of it by cast_long_to_string"
            }
            (Want::Text, Kind::Moment) => "make a text of it by dt_str",
            (Want::Int | Want::Number, Kind::Text) => {
                "make an integer of it by cast_string_to_long"
            }
            (_, _) => "give it something else",
        };
        let message = format!("{name} needs {wanted}, and this is {kind}: {advice}.");
        self.tell(node.span, "type", message);
        None
    }

    fn wanted_moment(&mut self, name: &str, node: &Node) -> Option<Expression> {
        let value = self.value(node)?;
        if matches!(value.kind, Kind::Moment | Kind::Any | Kind::Null) {
            return Some(value);
        }
        let message = format!(
            "{name} needs a datetime, and this is {}: make one by DATETIME, dt_strptime or dt_fromtimestamp.",
            value.kind
        );
        self.tell(node.span, "type", message);
        None
    }
}

/// What stands before, between and after the `{}` of a format, unless a brace stands alone.
fn pieces(format: &str) -> Option<Vec<String>> {
    let mut pieces = Vec::new();
    let mut piece = String::new();
    let mut rest = format.chars();
    while let Some(next) = rest.next() {
        match (next, rest.clone().next()) {
            ('{', Some('}')) => {
                pieces.push(std::mem::take(&mut piece));
                rest.next();
            }
            ('{', Some('{')) | ('}', Some('}')) => {
                piece.push(next);
                rest.next();
            }
            ('{' | '}', _) => return None,
            (other, _) => piece.push(other),
        }
    }
    pieces.push(piece);
    Some(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_cut_at_its_braces() {
        let cut = |format| pieces(format).map(|pieces| pieces.join("|"));
        assert_eq!(cut("a{}b{}").as_deref(), Some("a|b|"));
        assert_eq!(cut("{{{}}}").as_deref(), Some("{|}"));
        assert_eq!(cut("{a}"), None);
        assert_eq!(cut("}"), None);
    }
}
