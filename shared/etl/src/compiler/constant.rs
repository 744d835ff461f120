//! Arguments that must be written out in the script: formats, zones, patterns and lists.

use regex::{Regex, RegexBuilder};

use super::Compiler;
use crate::{
    diagnostic::Span,
    expression::Expression,
    function::Callee,
    json,
    kind::Kind,
    moment::{Moment, offset},
    node::{Form, Node},
    pattern::{LETTERS, Pattern},
    value::Value,
};

/// How many bytes a compiled regular expression may take.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// How many regular expressions a script may have.
const REGEXES_MAX: usize = 64;

impl Compiler<'_> {
    /// A text that is written out.
    pub(super) fn text<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n str> {
        if let Form::Text(text) = &node.form {
            return Some(text);
        }
        let message = format!("Write {what} here, as a text in quotes.");
        self.tell(node.span, "arguments", message);
        None
    }

    /// The offset of a zone, or that of UTC if there is none.
    pub(super) fn zone(&mut self, node: Option<&Node>) -> Option<i32> {
        let Some(node) = node else {
            return Some(0);
        };
        let zone = self.text(node, "a time zone")?;
        if matches!(zone, "UTC" | "GMT" | "Z") {
            return Some(0);
        }
        let offset = offset(zone);
        if offset.is_none() {
            let message =
                format!("Time zone '{zone}' is not known: write 'UTC' or an offset as '+08:00'.");
            self.tell(node.span, "value", message);
        }
        offset
    }

    /// A format of datetimes.
    pub(super) fn pattern(&mut self, node: &Node) -> Option<Pattern> {
        let format = self.text(node, "a format, as 'yyyy-MM-dd HH:mm:ss'")?;
        match Pattern::parse(format) {
            Ok(pattern) => Some(pattern),
            Err(letters) => {
                let message = format!(
                    "The format has '{letters}': write {LETTERS}, and other letters in single quotes."
                );
                self.tell(node.span, "value", message);
                None
            }
        }
    }

    /// A date and time that is written out.
    pub(super) fn moment(&mut self, node: &Node) -> Option<Value<'static>> {
        let text = self.text(node, "a date and time, as '2021-01-01 10:10:01'")?;
        let moment = Moment::parse(text).map(Value::Moment);
        if moment.is_none() {
            let message =
                format!("'{text}' is no date and time: write it as '2021-01-01 10:10:01'.");
            self.tell(node.span, "value", message);
        }
        moment
    }

    /// A regular expression.
    pub(super) fn regex(&mut self, node: &Node) -> Option<Regex> {
        let pattern = self.text(node, "a regular expression")?;
        if let Some(regex) = self.regexes.get(pattern) {
            return Some(regex.clone());
        }
        if self.regexes.len() >= REGEXES_MAX {
            let message = format!(
                "The script has more than {REGEXES_MAX} regular expressions: join some of them by '|'."
            );
            self.tell(node.span, "value", message);
            return None;
        }
        let mut builder = RegexBuilder::new(pattern);
        match builder.size_limit(REGEX_BYTES_MAX).build() {
            Ok(regex) => {
                self.regexes.insert(pattern.to_owned(), regex.clone());
                Some(regex)
            }
            Err(regex::Error::CompiledTooBig(_)) => {
                let message = "The regular expression is too large: repeat less in it.";
                self.tell(node.span, "value", message);
                None
            }
            Err(error) => {
                let told = error.to_string();
                let reason = told.lines().last().unwrap_or_default();
                let reason = reason.trim_start_matches("error: ");
                let message = format!("The regular expression is wrong: {reason}.");
                self.tell(node.span, "value", message);
                None
            }
        }
    }

    /// The list of `op_in`, whose values must go with values of a kind.
    pub(super) fn list(&mut self, node: &Node, kind: Kind) -> Option<Vec<Value<'static>>> {
        let written = "json_array('[1, 2]')";
        let array = match &node.form {
            Form::Call(function, arguments, _) if function.callee == Callee::JsonArray => {
                arguments.first()
            }
            Form::Null
            | Form::Bool(_)
            | Form::Number(_)
            | Form::Text(_)
            | Form::Column(_)
            | Form::Meta(_)
            | Form::New
            | Form::Choice(_)
            | Form::Call(..) => None,
        };
        let Some(array) = array else {
            let message = format!("op_in looks into a list: write it as {written}.");
            self.tell(node.span, "arguments", message);
            return None;
        };
        let text = self.text(array, "a JSON array")?;
        let Some(forms) = json::array(text) else {
            let message = format!("This is no JSON array of constants: write one as in {written}.");
            self.tell(array.span, "value", message);
            return None;
        };
        let values = forms
            .into_iter()
            .map(|form| self.listed(form, array.span, kind));
        // All are looked at, so that `wrong` has all.
        let values: Vec<Option<Value<'static>>> = values.collect();
        values.into_iter().collect()
    }

    fn listed(&mut self, form: Form, span: Span, kind: Kind) -> Option<Value<'static>> {
        let Expression { kind: found, .. } = self.value(&Node::new(span, form.clone()))?;
        if found != Kind::Null && !kind.goes_with(found) {
            let message =
                format!("op_in cannot find {kind} in a list with {found}: make both of one type.");
            self.tell(span, "type", message);
            return None;
        }
        let value = self.value(&Node::new(span, form))?;
        value.constant().cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiler() -> Compiler<'static> {
        Compiler::new("", None, super::super::Regexes::new())
    }

    fn text(text: &str) -> Node {
        Node::new(Span::default(), Form::Text(text.to_owned()))
    }

    #[test]
    fn zones_are_utc_or_offsets() {
        let zone = |name| compiler().zone(Some(&text(name)));
        assert_eq!(compiler().zone(None), Some(0));
        assert_eq!(zone("UTC"), Some(0));
        assert_eq!(zone("-03:30"), Some(-12_600));
        assert_eq!(zone("CET"), None);
    }

    #[test]
    fn the_same_regular_expression_is_compiled_once() {
        let mut compiler = compiler();
        assert!(compiler.regex(&text("a+")).is_some());
        assert!(compiler.regex(&text("a+")).is_some());
        assert!(compiler.regex(&text("(")).is_none());
        assert_eq!(compiler.regexes.len(), 1);
    }

    #[test]
    fn a_list_has_values_of_one_kind_and_null() {
        let function = crate::function::function("json_array").unwrap();
        let list = |array| {
            let form = Form::Call(function, vec![text(array)], Vec::new());
            compiler().list(&Node::new(Span::default(), form), Kind::Int)
        };
        let found = Some(vec![Value::Int(1), Value::Null]);
        assert_eq!(list("[1, null]"), found);
        assert_eq!(list("[1, 'a']"), None);
    }
}
