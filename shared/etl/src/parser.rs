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
