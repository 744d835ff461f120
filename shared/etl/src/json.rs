//! Reads the list of `json_array`: constants of JSON in one array.

use crate::{
    node::Form,
    token::{Token, tokens},
};

/// The constants of an array, or `None` if the text is not an array of constants.
pub(crate) fn array(text: &str) -> Option<Vec<Form>> {
    let placed = tokens(text, 0).ok()?;
    let tokens = placed.into_iter().map(|placed| placed.token);
    let tokens: Vec<Token> = tokens
        .filter(|token| *token != Token::Separator && *token != Token::End)
        .collect();
    let [Token::Sign("["), inner @ .., Token::Sign("]")] = tokens.as_slice() else {
        return None;
    };
    if inner.is_empty() {
        return Some(Vec::new());
    }
    inner
        .split(|token| *token == Token::Sign(","))
        .map(constant)
        .collect()
}

fn constant(tokens: &[Token]) -> Option<Form> {
    match tokens {
        [Token::Sign("-"), Token::Number(digits)] => Some(Form::Number(format!("-{digits}"))),
        [Token::Number(digits)] => Some(Form::Number(digits.clone())),
        [Token::Text(text)] => Some(Form::Text(text.clone())),
        [Token::Name(name)] => match name.as_str() {
            "true" => Some(Form::Bool(true)),
            "false" => Some(Form::Bool(false)),
            "null" => Some(Form::Null),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_of_constants_is_read() {
        let read = array(r#"[1, -2.5, "a\u0041", true, null]"#).unwrap();
        assert_eq!(read.len(), 5);
        assert_eq!(read[1], Form::Number("-2.5".to_owned()));
        assert_eq!(read[2], Form::Text("aA".to_owned()));
        assert_eq!(array(" [ ] "), Some(Vec::new()));
    }

    #[test]
    fn what_is_no_array_of_constants_is_refused() {
        for text in [
            "", "1", "[1,]", "[[1]]", "[1", "[1] 2", "[-\"a\"]", "[1e5]", "{}",
        ] {
            assert_eq!(array(text), None, "{text}");
        }
    }
}
