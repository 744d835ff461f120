//! The text of arrays and composites, taken apart (PostgreSQL docs, "Array Input and Output Syntax"
//! and "Composite Type Input and Output Syntax").

use std::borrow::Cow;

/// A piece of an array's text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ArrayPart<'a> {
    /// `{`
    Open,
    /// `}`
    Close,
    /// `NULL`
    Null,
    /// An element.
    Element(Cow<'a, str>),
}

/// An array's text, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Array<'a> {
    /// Its pieces, in order.
    pub(crate) parts: Vec<ArrayPart<'a>>,
    /// Number of its dimensions; 1 for an empty one.
    pub(crate) dimensions: usize,
}

/// Splits an array's text; `None` for what is no array in the plain form, as one with bounds of its
/// own (`[0:1]={…}`), which stays text so that nothing is lost.
pub(crate) fn array(text: &str) -> Option<Array<'_>> {
    let bytes = text.as_bytes();
    let mut parts = Vec::new();
    let (mut at, mut depth, mut dimensions) = (0_usize, 0_usize, 0_usize);
    // Whether an element or an array must come next, and not what stands behind one.
    let mut value_next = true;
    loop {
        let byte = *bytes.get(at)?;
        match byte {
            b'{' if value_next => {
                depth += 1;
                dimensions = dimensions.max(depth);
                parts.push(ArrayPart::Open);
                at += 1;
            }
            b'}' if !value_next || parts == [ArrayPart::Open] => {
                depth = depth.checked_sub(1)?;
                parts.push(ArrayPart::Close);
                at += 1;
                value_next = false;
                if depth == 0 {
                    return (at == bytes.len()).then_some(Array { parts, dimensions });
                }
            }
            b',' if !value_next => {
                at += 1;
                value_next = true;
            }
            b'"' if value_next && depth > 0 => {
                let (element, end) = quoted(text, at)?;
                parts.push(ArrayPart::Element(element));
                at = end;
                value_next = false;
            }
            _ if value_next && depth > 0 => {
                let length = bytes
                    .get(at..)?
                    .iter()
                    .position(|byte| matches!(byte, b',' | b'}'))?;
                let element = text.get(at..at + length).filter(|text| !text.is_empty())?;
                parts.push(if element == "NULL" {
                    ArrayPart::Null
                } else {
                    ArrayPart::Element(Cow::Borrowed(element))
                });
                at += length;
                value_next = false;
            }
            _ => return None,
        }
    }
}

/// Splits a composite's text into its fields; `None` for what is no composite.
pub(crate) fn composite(text: &str) -> Option<Vec<Option<Cow<'_, str>>>> {
    let bytes = text.as_bytes();
    if bytes.first() != Some(&b'(') {
        return None;
    }
    let mut fields = Vec::new();
    let mut at = 1;
    loop {
        let (field, end) = match bytes.get(at)? {
            b',' | b')' => (None, at),
            b'"' => {
                let (field, end) = quoted(text, at)?;
                (Some(field), end)
            }
            _ => {
                let length = bytes
                    .get(at..)?
                    .iter()
                    .position(|byte| matches!(byte, b',' | b')'))?;
                (Some(Cow::Borrowed(text.get(at..at + length)?)), at + length)
            }
        };
        fields.push(field);
        at = end + 1;
        match bytes.get(end)? {
            b',' => {}
            b')' => return (at == bytes.len()).then_some(fields),
            _ => return None,
        }
    }
}

/// Reads a quoted piece that starts at `start`; gives it and where it ends. Within it, a backslash
/// takes the next character literally and, in composites, `""` is a quote.
fn quoted(text: &str, start: usize) -> Option<(Cow<'_, str>, usize)> {
    let bytes = text.as_bytes();
    let inner = start + 1;
    let plain = bytes
        .get(inner..)?
        .iter()
        .position(|byte| matches!(byte, b'"' | b'\\'))?;
    let mut at = inner + plain;
    if bytes.get(at) == Some(&b'"') && bytes.get(at + 1) != Some(&b'"') {
        return Some((Cow::Borrowed(text.get(inner..at)?), at + 1));
    }
    let mut piece = text.get(inner..at)?.to_owned();
    loop {
        let rest = text.get(at..)?;
        let mut characters = rest.chars();
        match characters.next()? {
            '\\' => {
                let literal = characters.next()?;
                piece.push(literal);
                at += 1 + literal.len_utf8();
            }
            '"' if rest.as_bytes().get(1) == Some(&b'"') => {
                piece.push('"');
                at += 2;
            }
            '"' => return Some((Cow::Owned(piece), at + 1)),
            character => {
                piece.push(character);
                at += character.len_utf8();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn arrays_of_any_depth_are_taken_apart() {
        use ArrayPart::{Close, Element, Null, Open};
        let parts = |text| array(text).map(|array| (array.dimensions, array.parts));
        assert_eq!(parts("{}"), Some((1, vec![Open, Close])));
        assert_eq!(
            parts(r#"{{a,NULL},{"NULL","x,\"y\\}"}}"#),
            Some((
                2,
                vec![
                    Open,
                    Open,
                    Element("a".into()),
                    Null,
                    Close,
                    Open,
                    Element("NULL".into()),
                    Element("x,\"y\\}".into()),
                    Close,
                    Close,
                ]
            ))
        );
    }

    #[test]
    fn what_is_no_plain_array_is_left_alone() {
        for text in [
            "",
            "a",
            "[0:1]={1,2}",
            "{",
            "{a",
            "{a}}",
            "{\"a}",
            "1 2 3",
            "}{",
            "{,a}",
            "{a,}",
            "{\"a\"b}",
            "{a{b}}",
            "{{a}b}",
            "{{}}",
        ] {
            assert_eq!(array(text), None, "{text:?}");
        }
    }

    #[test]
    fn composites_are_taken_apart() {
        assert_eq!(
            composite(r#"(1,,"a ""b"" \\c",)"#),
            Some(vec![
                Some("1".into()),
                None,
                Some("a \"b\" \\c".into()),
                None
            ])
        );
        assert_eq!(
            composite(r#"("",x)"#),
            Some(vec![Some("".into()), Some("x".into())])
        );
        for text in ["", "a", "(", "(1", "(1)2", "(\"a)", "(\"a\"b)"] {
            assert_eq!(composite(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_them_panic(text: String) {
            let _array = array(&text);
            let _composite = composite(&text);
        }

        #[test]
        fn a_quoted_element_comes_back(element: String) {
            let escaped = element.replace('\\', "\\\\").replace('"', "\\\"");
            let text = format!("{{\"{escaped}\"}}");
            let parts = array(&text).unwrap();
            prop_assert_eq!(&parts.parts[1], &ArrayPart::Element(element.into()));
        }
    }
}
