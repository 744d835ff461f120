//! Makes a tree of a script's tokens: operators become calls of the functions they stand for.

use crate::{
    diagnostic::{DIAGNOSTICS_MAX, Diagnostic, Span},
    function::{Callee, Function, function, functions},
    nearest::nearest,
    node::{Form, Meta, Named, Node},
    script::DEPTH_MAX,
    token::{Placed, Token, tokens},
};

/// Operators with their rank, the weakest first, and the function that each stands for.
const OPERATORS: [(&str, usize, &str); 13] = [
    ("||", 1, "op_or"),
    ("&&", 2, "op_and"),
    ("==", 3, "op_eq"),
    ("!=", 3, "op_ne"),
    ("<=", 3, "op_le"),
    (">=", 3, "op_ge"),
    ("<", 3, "op_lt"),
    (">", 3, "op_gt"),
    ("+", 4, "op_sum"),
    ("-", 4, "op_sub"),
    ("*", 5, "op_mul"),
    ("/", 5, "op_div_true"),
    ("%", 5, "op_mod"),
];

/// The statements of a script from a byte of its text on.
pub(crate) fn statements(text: &str, from: usize) -> Result<Vec<Node>, Vec<Diagnostic>> {
    let tokens = tokens(text, from).map_err(|wrong| vec![wrong])?;
    let mut parser = Parser {
        text,
        tokens,
        at: 0,
        nesting: 0,
    };
    let (mut statements, mut wrong) = (Vec::new(), Vec::new());
    loop {
        while parser.peek() == &Token::Separator {
            parser.at += 1;
        }
        if parser.peek() == &Token::End || wrong.len() == DIAGNOSTICS_MAX {
            break;
        }
        match parser.statement() {
            Ok(statement) => statements.push(statement),
            Err(told) => {
                wrong.push(told);
                parser.skip_statement();
            }
        }
    }
    if wrong.is_empty() {
        Ok(statements)
    } else {
        Err(wrong)
    }
}

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<Placed>,
    at: usize,
    nesting: usize,
}

type Parsed<T> = Result<T, Diagnostic>;

impl Parser<'_> {
    fn peek(&self) -> &Token {
        let placed = self.tokens.get(self.at).or(self.tokens.last());
        placed.map_or(&Token::End, |placed| &placed.token)
    }

    fn span(&self) -> Span {
        let placed = self.tokens.get(self.at).or(self.tokens.last());
        placed.map(|placed| placed.span).unwrap_or_default()
    }

    /// The end of what was read last.
    fn last_span(&self) -> Span {
        let placed = self.at.checked_sub(1).and_then(|at| self.tokens.get(at));
        placed.map(|placed| placed.span).unwrap_or_default()
    }

    fn eat(&mut self, sign: &'static str) -> bool {
        let fits = self.peek() == &Token::Sign(sign);
        self.at += usize::from(fits);
        fits
    }

    fn expect(&mut self, sign: &'static str, why: &str) -> Parsed<()> {
        if self.eat(sign) {
            return Ok(());
        }
        let found = described(self.peek());
        Err(self.wrong(
            self.span(),
            format!("Write '{sign}' {why} instead of {found}."),
        ))
    }

    fn wrong(&self, span: Span, message: String) -> Diagnostic {
        Diagnostic::new(self.text, span, "syntax", message)
    }

    fn too_deep(&self, span: Span) -> Diagnostic {
        let message = format!(
            "Something lies more than {DEPTH_MAX} levels deep: write it as several statements."
        );
        Diagnostic::new(self.text, span, "too_deep", message)
    }

    fn node(&self, span: Span, form: Form) -> Parsed<Node> {
        let node = Node::new(span, form);
        if node.depth > DEPTH_MAX {
            return Err(self.too_deep(span));
        }
        Ok(node)
    }

    fn call(&self, span: Span, name: &str, arguments: Vec<Node>) -> Parsed<Node> {
        let function = self.known(name, span)?;
        self.node(span, Form::Call(function, arguments, Vec::new()))
    }

    fn skip_statement(&mut self) {
        self.nesting = 0;
        while !matches!(self.peek(), Token::Separator | Token::End) {
            self.at += 1;
        }
    }

    fn statement(&mut self) -> Parsed<Node> {
        let statement = self.expression()?;
        let next = self.peek();
        if matches!(next, Token::Separator | Token::End) {
            return Ok(statement);
        }
        let message = format!(
            "A statement ends before {}: put ';' or a new line between statements.",
            described(next)
        );
        Err(self.wrong(self.span(), message))
    }

    /// Reads something that lies one level deeper.
    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.nesting >= DEPTH_MAX {
            return Err(self.too_deep(self.span()));
        }
        self.nesting += 1;
        let result = read(self);
        self.nesting = self.nesting.saturating_sub(1);
        result
    }

    fn expression(&mut self) -> Parsed<Node> {
        self.deeper(|parser| {
            let condition = parser.binary(1)?;
            if !parser.eat("?") {
                return Ok(condition);
            }
            let yes = parser.expression()?;
            parser.expect(":", "between the two values of '? :'")?;
            let no = parser.expression()?;
            let span = condition.span.to(no.span);
            parser.node(span, Form::Choice(Box::new([condition, yes, no])))
        })
    }

    fn binary(&mut self, rank_min: usize) -> Parsed<Node> {
        let mut left = self.unary()?;
        // The function of a chain of `&&` or `||` that the left side is, to make one call of it.
        let mut chain = "";
        while let Some((rank, name)) = self.operator(rank_min) {
            self.at += 1;
            let right = self.binary(rank + 1)?;
            let span = left.span.to(right.span);
            left = match left {
                Node {
                    form: Form::Call(function, mut parts, named),
                    ..
                } if rank < 3 && chain == name => {
                    parts.push(right);
                    self.node(span, Form::Call(function, parts, named))?
                }
                left => self.call(span, name, vec![left, right])?,
            };
            chain = name;
        }
        Ok(left)
    }

    fn operator(&self, rank_min: usize) -> Option<(usize, &'static str)> {
        let Token::Sign(sign) = self.peek() else {
            return None;
        };
        let mut operators = OPERATORS.iter();
        let (_, rank, name) = operators.find(|(operator, _, _)| operator == sign)?;
        (*rank >= rank_min).then_some((*rank, *name))
    }

    fn unary(&mut self) -> Parsed<Node> {
        let start = self.span();
        if self.eat("!") {
            let part = self.deeper(Self::unary)?;
            return self.call(start.to(part.span), "op_not", vec![part]);
        }
        if !self.eat("-") {
            return self.primary();
        }
        if let Token::Number(digits) = self.peek() {
            let form = Form::Number(format!("-{digits}"));
            self.at += 1;
            return self.node(start.to(self.last_span()), form);
        }
        let part = self.deeper(Self::unary)?;
        let zero = self.node(start, Form::Number("0".to_owned()))?;
        self.call(start.to(part.span), "op_sub", vec![zero, part])
    }

    fn primary(&mut self) -> Parsed<Node> {
        let span = self.span();
        let token = self.peek().clone();
        self.at += 1;
        let form = match token {
            Token::Name(name) if self.peek() == &Token::Sign("(") => {
                return self.arguments(&name, span);
            }
            Token::Name(name) => self.constant(&name, span)?,
            Token::Column(name) => Form::Column(name),
            Token::Text(text) => Form::Text(text),
            Token::Number(digits) => Form::Number(digits),
            Token::Sign("(") => {
                let inner = self.expression()?;
                self.expect(")", "at the end of what is in brackets")?;
                return Ok(inner);
            }
            token @ (Token::Sign(_) | Token::Separator | Token::End) => {
                let found = described(&token);
                let message = format!("Write a value or an action instead of {found}.");
                self.at -= 1;
                return Err(self.wrong(span, message));
            }
        };
        self.node(span, form)
    }

    fn constant(&self, name: &str, span: Span) -> Parsed<Form> {
        let meta = Meta::ALL.iter().find(|(known, _)| *known == name);
        match (name, meta) {
            ("true", _) => Ok(Form::Bool(true)),
            ("false", _) => Ok(Form::Bool(false)),
            ("null", _) => Ok(Form::Null),
            ("NEW", _) => Ok(Form::New),
            (_, Some((_, meta))) => Ok(Form::Meta(*meta)),
            (_, None) if function(name).is_some() => {
                let message = format!("{name} is a function: write its arguments in brackets.");
                Err(self.wrong(span, message))
            }
            (_, None) => {
                let metas = Meta::ALL.iter().map(|(known, _)| *known);
                let hint = nearest(name, metas.chain(["true", "false", "null", "NEW"]));
                let message = match hint {
                    Some(near) => format!("{name} is not known: did you mean {near}?"),
                    None => format!(
                        "{name} is not known: write a column in backticks, a text in quotes."
                    ),
                };
                Err(Diagnostic::new(self.text, span, "unknown_name", message))
            }
        }
    }

    fn known(&self, name: &str, span: Span) -> Parsed<&'static Function> {
        if let Some(function) = function(name) {
            return Ok(function);
        }
        let hint = match nearest(name, functions().iter().map(|function| function.name)) {
            Some(near) => format!("did you mean {near}?"),
            None => "the documentation lists those that are.".to_owned(),
        };
        let message = format!("There is no function {name}: {hint}");
        let code = "unknown_function";
        Err(Diagnostic::new(self.text, span, code, message))
    }

    /// A call from its bracket on.
    fn arguments(&mut self, name: &str, start: Span) -> Parsed<Node> {
        let function = self.known(name, start)?;
        self.eat("(");
        let (mut arguments, mut named) = (Vec::new(), Vec::new());
        while !self.eat(")") {
            match self.argument_name() {
                Some((name, span)) => {
                    let value = self.expression()?;
                    named.push(Named { name, span, value });
                }
                None if named.is_empty() => arguments.push(self.expression()?),
                None => {
                    let message = "Put arguments with a name behind those without one.";
                    return Err(self.wrong(self.span(), message.to_owned()));
                }
            }
            if self.peek() != &Token::Sign(")") {
                self.expect(",", &format!("or ')' behind an argument of {name}"))?;
            }
        }
        let span = start.to(self.last_span());
        self.fits(function, span, &arguments, &named)?;
        self.node(span, Form::Call(function, arguments, named))
    }

    fn argument_name(&mut self) -> Option<(String, Span)> {
        let next = self.tokens.get(self.at + 1);
        let (Token::Name(name), Some(Token::Sign("="))) =
            (self.peek(), next.map(|placed| &placed.token))
        else {
            return None;
        };
        let found = (name.clone(), self.span());
        self.at += 2;
        Some(found)
    }

    /// Whether a function takes so many arguments, of these names.
    fn fits(&self, function: &Function, span: Span, given: &[Node], named: &[Named]) -> Parsed<()> {
        let (least, most) = function.callee.arity();
        let wrong = |span, message| Err(Diagnostic::new(self.text, span, "arguments", message));
        if !(least..=most).contains(&given.len()) {
            let count = match (least, most) {
                (0, 0) => "no arguments".to_owned(),
                (1, 1) => "1 argument".to_owned(),
                (least, usize::MAX) => format!("{least} or more arguments"),
                (least, most) if least == most => format!("{least} arguments"),
                (least, most) => format!("{least} to {most} arguments"),
            };
            let message = format!(
                "{} takes {count} and has {}: write {}.",
                function.name,
                given.len(),
                function.signature
            );
            return wrong(span, message);
        }
        let names = function.callee.names();
        for (index, argument) in named.iter().enumerate() {
            let twice = named
                .iter()
                .take(index)
                .any(|one| one.name == argument.name);
            if twice || !names.contains(&argument.name.as_str()) {
                let what = if twice { "only one" } else { "no" };
                let message = format!(
                    "{} takes {what} argument {}: write {}.",
                    function.name, argument.name, function.signature
                );
                return wrong(argument.span, message);
            }
        }
        if function.callee == Callee::Shift && named.is_empty() {
            let message = "dt_add adds nothing: name what it adds, as days=1.".to_owned();
            return wrong(span, message);
        }
        Ok(())
    }
}

/// A token as a message names it.
fn described(token: &Token) -> String {
    match token {
        Token::Name(name) => name.clone(),
        Token::Column(name) => format!("column `{name}`"),
        Token::Text(_) => "a text".to_owned(),
        Token::Number(digits) => digits.clone(),
        Token::Sign(sign) => format!("'{sign}'"),
        Token::Separator => "the end of the statement".to_owned(),
        Token::End => "the end of the script".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A tree as its functions are called, which the parser reads as the same tree.
    fn printed(node: &Node) -> String {
        match &node.form {
            Form::Null => "null".to_owned(),
            Form::Bool(value) => value.to_string(),
            Form::Number(digits) => digits.clone(),
            Form::Text(text) => {
                format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"))
            }
            Form::Column(name) => format!("`{}`", name.replace('`', "``")),
            Form::Meta(meta) => {
                let mut names = Meta::ALL.iter();
                names.find(|(_, known)| known == meta).unwrap().0.to_owned()
            }
            Form::New => "NEW".to_owned(),
            Form::Choice(parts) => {
                let [condition, yes, no] = parts.as_ref();
                format!(
                    "({} ? {} : {})",
                    printed(condition),
                    printed(yes),
                    printed(no)
                )
            }
            Form::Call(function, arguments, named) => {
                let arguments = arguments.iter().map(printed);
                let named = named
                    .iter()
                    .map(|one| format!("{}={}", one.name, printed(&one.value)));
                let all: Vec<String> = arguments.chain(named).collect();
                format!("{}({})", function.name, all.join(", "))
            }
        }
    }

    /// The same tree without its places.
    fn bare(node: &Node) -> Node {
        let form = match &node.form {
            Form::Choice(parts) => Form::Choice(Box::new(parts.each_ref().map(bare))),
            Form::Call(function, arguments, named) => {
                let named = named.iter().map(|one| Named {
                    name: one.name.clone(),
                    span: Span::default(),
                    value: bare(&one.value),
                });
                Form::Call(
                    function,
                    arguments.iter().map(bare).collect(),
                    named.collect(),
                )
            }
            Form::Null
            | Form::Bool(_)
            | Form::Number(_)
            | Form::Text(_)
            | Form::Column(_)
            | Form::Meta(_)
            | Form::New => node.form.clone(),
        };
        Node::new(Span::default(), form)
    }

    fn parsed(text: &str) -> Node {
        let statements = statements(text, 0).unwrap();
        bare(statements.first().unwrap())
    }

    fn node(form: Form) -> Node {
        Node::new(Span::default(), form)
    }

    fn call(name: &str, arguments: Vec<Node>) -> Node {
        node(Form::Call(function(name).unwrap(), arguments, Vec::new()))
    }

    fn texts() -> impl Strategy<Value = Node> {
        let leaf = prop_oneof![
            any::<String>().prop_map(|text| node(Form::Text(text))),
            "[^`]+".prop_map(|name| node(Form::Column(name))),
            Just(node(Form::Meta(Meta::Table))),
            Just(node(Form::Null)),
        ];
        leaf.prop_recursive(3, 20, 3, |inner| {
            prop_oneof![
                inner.clone().prop_map(|one| call("str_lower", vec![one])),
                proptest::collection::vec(inner.clone(), 1..4)
                    .prop_map(|parts| call("op_add", parts)),
                (inner.clone(), inner.clone(), inner)
                    .prop_map(|(one, old, new)| call("str_replace", vec![one, old, new])),
            ]
        })
    }

    fn numbers() -> impl Strategy<Value = Node> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(|number| node(Form::Number(number.to_string()))),
            "-?[0-9]{1,30}\\.[0-9]{1,30}".prop_map(|digits| node(Form::Number(digits))),
            Just(node(Form::Column("a`b".to_owned()))),
        ];
        let names = ["op_sum", "op_sub", "op_mul", "op_div_true", "op_mod"];
        leaf.prop_recursive(3, 20, 2, move |inner| {
            let names = proptest::sample::select(names.to_vec());
            (names, inner.clone(), inner)
                .prop_map(|(name, one, other)| call(name, vec![one, other]))
        })
    }

    fn conditions() -> impl Strategy<Value = Node> {
        let names = proptest::sample::select(vec!["op_eq", "op_ne", "op_lt", "op_ge"]);
        let leaf = prop_oneof![
            any::<bool>().prop_map(|value| node(Form::Bool(value))),
            (names.clone(), numbers(), numbers())
                .prop_map(|(name, one, other)| call(name, vec![one, other])),
            (names, texts(), texts()).prop_map(|(name, one, other)| call(name, vec![one, other])),
        ];
        leaf.prop_recursive(3, 20, 3, |inner| {
            prop_oneof![
                inner.clone().prop_map(|one| call("op_not", vec![one])),
                proptest::collection::vec(inner.clone(), 2..4)
                    .prop_map(|parts| call("op_and", parts)),
                [inner.clone(), inner.clone(), inner]
                    .prop_map(|parts| node(Form::Choice(Box::new(parts)))),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_printed_expression_is_read_as_the_same(condition in conditions()) {
            prop_assert_eq!(parsed(&printed(&condition)), condition);
        }
    }

    #[test]
    fn operators_bind_as_in_c() {
        for (text, same) in [
            ("1 + 2 * 3", "op_sum(1, op_mul(2, 3))"),
            ("(1 + 2) * 3", "op_mul(op_sum(1, 2), 3)"),
            ("1 - 2 - -3", "op_sub(op_sub(1, 2), -3)"),
            ("- `a` % 2", "op_mod(op_sub(0, `a`), 2)"),
            ("!`a` && `b` || `c`", "op_or(op_and(op_not(`a`), `b`), `c`)"),
            ("`a` && `b` && `c`", "op_and(`a`, `b`, `c`)"),
            ("`a` && (`b` && `c`)", "op_and(`a`, op_and(`b`, `c`))"),
            (
                "`a` + 1 < `b` == true",
                "op_eq(op_lt(op_sum(`a`, 1), `b`), true)",
            ),
            ("`a` ? 1 : `b` ? 2 : 3", "(`a` ? 1 : (`b` ? 2 : 3))"),
            ("`a` == 1 ? 'x' : 'y'", "(op_eq(`a`, 1) ? 'x' : 'y')"),
        ] {
            assert_eq!(printed(&parsed(text)), same, "{text}");
        }
    }

    #[test]
    fn a_node_knows_its_place() {
        let text = "e_keep( `a` > 1 )";
        let read = statements(text, 0).unwrap();
        let Form::Call(_, arguments, _) = &read[0].form else {
            panic!("{read:?}");
        };
        let Span { from, to } = arguments[0].span;
        assert_eq!(&text.get(from..to), &Some("`a` > 1"));
    }

    #[test]
    fn arguments_have_their_names_once_and_at_the_end() {
        let told = |text| statements(text, 0).unwrap_err()[0].message.clone();
        assert!(told("dt_add(`a`, days=1, days=2)").starts_with("dt_add takes only one argument"));
        assert_eq!(
            told("dt_add(days=1, `a`)"),
            "Put arguments with a name behind those without one."
        );
    }
}
