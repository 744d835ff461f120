//! Cuts a script into words, texts, numbers and signs.

use crate::diagnostic::{Diagnostic, Span};

/// One piece of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// A function, a constant or the name of an argument.
    Name(String),
    /// What stands in backticks.
    Column(String),
    /// What stands in quotes, without its escapes.
    Text(String),
    /// Digits, perhaps with a point.
    Number(String),
    /// An operator or a bracket.
    Sign(&'static str),
    /// The end of a statement: a newline outside brackets, or `;`.
    Separator,
    /// The end of the script.
    End,
}

/// A token and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    pub(crate) token: Token,
    pub(crate) span: Span,
}

// Longer ones first: the first that fits is taken.
const SIGNS: [&str; 24] = [
    "==", "!=", "<=", ">=", "&&", "||", "(", ")", "[", "]", ",", "=", "<", ">", "+", "-", "*", "/",
    "%", "!", "?", ":", "{", "}",
];

/// The tokens from a byte of the text on. The last one is [`Token::End`].
pub(crate) fn tokens(text: &str, from: usize) -> Result<Vec<Placed>, Diagnostic> {
    let mut lexer = Lexer {
        text,
        at: from,
        brackets: 0,
    };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_blanks();
        let start = lexer.at;
        let token = lexer.token()?;
        let ended = token == Token::End;
        let span = Span {
            from: start,
            to: lexer.at,
        };
        tokens.push(Placed { token, span });
        if ended {
            return Ok(tokens);
        }
    }
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    brackets: usize,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    /// Takes characters as long as they fit.
    fn take(&mut self, fits: impl Fn(char) -> bool) -> String {
        let mut taken = String::new();
        while let Some(next) = self.peek().filter(|next| fits(*next)) {
            taken.push(next);
            self.at += next.len_utf8();
        }
        taken
    }

    fn skip_blanks(&mut self) {
        let within = self.brackets > 0;
        loop {
            self.take(|next| next.is_whitespace() && (within || next != '\n'));
            if self.peek() != Some('#') {
                return;
            }
            self.take(|next| next != '\n');
        }
    }

    fn token(&mut self) -> Result<Token, Diagnostic> {
        let start = self.at;
        let Some(next) = self.peek() else {
            return Ok(Token::End);
        };
        match next {
            '\n' | ';' => {
                self.bump();
                Ok(Token::Separator)
            }
            '`' => self.column(),
            '"' | '\'' => self.quoted(next),
            '0'..='9' => Ok(Token::Number(self.number())),
            'a'..='z' | 'A'..='Z' | '_' => {
                let fits = |next: char| next.is_ascii_alphanumeric() || next == '_';
                Ok(Token::Name(self.take(fits)))
            }
            other => self.sign().ok_or_else(|| {
                self.bump();
                let message = format!("'{other}' means nothing here: take it away.");
                self.wrong(start, message)
            }),
        }
    }

    fn sign(&mut self) -> Option<Token> {
        let rest = self.rest();
        let sign = SIGNS.into_iter().find(|sign| rest.starts_with(sign))?;
        self.at += sign.len();
        if sign == "(" {
            self.brackets += 1;
        } else if sign == ")" {
            self.brackets = self.brackets.saturating_sub(1);
        }
        Some(Token::Sign(sign))
    }

    fn number(&mut self) -> String {
        let mut number = self.take(|next| next.is_ascii_digit());
        let mut rest = self.rest().chars();
        if rest.next() == Some('.') && rest.next().is_some_and(|next| next.is_ascii_digit()) {
            self.bump();
            number.push('.');
            number.push_str(&self.take(|next| next.is_ascii_digit()));
        }
        number
    }

    fn column(&mut self) -> Result<Token, Diagnostic> {
        let start = self.at;
        self.bump();
        let mut name = String::new();
        loop {
            match self.bump() {
                Some('`') if self.peek() == Some('`') => {
                    self.bump();
                    name.push('`');
                }
                Some('`') if name.is_empty() => {
                    let message = "A column has no name: write one between the backticks.";
                    return Err(self.wrong(start, message.to_owned()));
                }
                Some('`') => return Ok(Token::Column(name)),
                Some(other) => name.push(other),
                None => {
                    let message = "A column's name does not end: close it by a backtick.";
                    return Err(self.wrong(start, message.to_owned()));
                }
            }
        }
    }

    fn quoted(&mut self, quote: char) -> Result<Token, Diagnostic> {
        let start = self.at;
        self.bump();
        let mut quoted = String::new();
        loop {
            let at = self.at;
            match self.bump() {
                Some('\\') => match self.escaped() {
                    Some(escaped) => quoted.push(escaped),
                    None => {
                        let message = r#"An unknown escape: write \\ for a backslash; \", \', \n, \t, \r and \u0041 are the others."#;
                        return Err(self.wrong(at, message.to_owned()));
                    }
                },
                Some(next) if next == quote => return Ok(Token::Text(quoted)),
                Some(next) => quoted.push(next),
                None => {
                    let message = format!("A text does not end: close it by {quote}.");
                    return Err(self.wrong(start, message));
                }
            }
        }
    }

    /// The character that stands behind a backslash.
    fn escaped(&mut self) -> Option<char> {
        match self.bump()? {
            'n' => Some('\n'),
            't' => Some('\t'),
            'r' => Some('\r'),
            same @ ('\\' | '"' | '\'' | '/') => Some(same),
            'u' => {
                let digits = self.rest().get(..4)?;
                if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                    return None;
                }
                let code = u32::from_str_radix(digits, 16).ok()?;
                self.at += 4;
                char::from_u32(code)
            }
            _ => None,
        }
    }

    fn wrong(&self, from: usize, message: String) -> Diagnostic {
        let span = Span { from, to: self.at };
        Diagnostic::new(self.text, span, "syntax", message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<Token> {
        let placed = tokens(text, 0).unwrap();
        placed.into_iter().map(|placed| placed.token).collect()
    }

    #[test]
    fn a_script_is_cut_into_its_tokens() {
        assert_eq!(
            cut("f(`a``b`, 1.5) # why\n<='x\\'y\\u0041'"),
            [
                Token::Name("f".to_owned()),
                Token::Sign("("),
                Token::Column("a`b".to_owned()),
                Token::Sign(","),
                Token::Number("1.5".to_owned()),
                Token::Sign(")"),
                Token::Separator,
                Token::Sign("<="),
                Token::Text("x'yA".to_owned()),
                Token::End,
            ]
        );
    }

    #[test]
    fn newlines_within_brackets_end_nothing() {
        assert!(!cut("f(\n1\n)").contains(&Token::Separator));
        assert!(cut("f\n(1)").contains(&Token::Separator));
    }

    #[test]
    fn what_does_not_end_is_told_with_its_start() {
        let told = |text| tokens(text, 0).unwrap_err().to_string();
        assert_eq!(
            told("f('x"),
            "line 1, column 3: A text does not end: close it by '."
        );
        assert_eq!(
            told(" `x"),
            "line 1, column 2: A column's name does not end: close it by a backtick."
        );
        assert_eq!(
            told("``"),
            "line 1, column 1: A column has no name: write one between the backticks."
        );
        assert_eq!(
            told("a @"),
            "line 1, column 3: '@' means nothing here: take it away."
        );
        assert!(told(r"'\d'").contains("An unknown escape"));
        assert!(told(r"'\uD800'").contains("An unknown escape"));
    }
}
