//! Which field a JSON parser stopped at.

/// Where the parser was after these bytes, as `objects.schemas[0].name`; empty for the whole body.
///
/// Follows well-formed JSON. On the rest it stops where it can, and the path is a hint only.
pub(crate) fn path_at(text: &[u8]) -> String {
    // The parser reads an object's end before it tells what is wrong inside.
    let text = text.trim_ascii_end();
    let text = text.strip_suffix(b"}").unwrap_or(text);
    let mut open: Vec<Container> = Vec::new();
    let mut rest = text.iter().copied();
    while let Some(byte) = rest.next() {
        match byte {
            b'{' => open.push(Container::Object {
                key: String::new(),
                at_key: true,
            }),
            b'[' => open.push(Container::Array { index: 0 }),
            b'}' | b']' => {
                open.pop();
            }
            b'"' => {
                let read = string(&mut rest);
                if let Some(Container::Object { key, at_key: true }) = open.last_mut() {
                    *key = read;
                }
            }
            b':' => {
                if let Some(Container::Object { at_key, .. }) = open.last_mut() {
                    *at_key = false;
                }
            }
            b',' => match open.last_mut() {
                Some(Container::Object { at_key, .. }) => *at_key = true,
                Some(Container::Array { index }) => *index += 1,
                None => {}
            },
            _ => {}
        }
    }
    let mut path = String::new();
    for container in &open {
        container.append(&mut path);
    }
    path
}

/// The path of the object around the place where the parser stopped.
pub(crate) fn object_at(text: &[u8]) -> String {
    match path_at(text).rsplit_once('.') {
        Some((object, _)) => object.to_owned(),
        None => String::new(),
    }
}

enum Container {
    Object { key: String, at_key: bool },
    Array { index: usize },
}

impl Container {
    fn append(&self, path: &mut String) {
        match self {
            Self::Object { key, .. } => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(key);
            }
            Self::Array { index } => {
                path.push('[');
                path.push_str(&index.to_string());
                path.push(']');
            }
        }
    }
}

/// Reads up to the closing quote; escapes are kept as they are.
fn string(rest: &mut impl Iterator<Item = u8>) -> String {
    let mut bytes = Vec::new();
    while let Some(byte) = rest.next() {
        match byte {
            b'"' => break,
            b'\\' => {
                bytes.push(byte);
                bytes.extend(rest.next());
            }
            _ => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_leads_to_the_value_being_read() {
        for (text, path) in [
            (r#"{"port": "x""#, "port"),
            (r#"{"a": {"b": 1, "c": tru"#, "a.c"),
            (r#"{"a": [{"b": 1}, {"b": 2"#, "a[1].b"),
            (r#"{"a": {"b": 1}"#, "a.b"),
            (r#"{"a,{\"": [1, 2], "b": 3"#, "b"),
            ("[1", "[0]"),
            ("", ""),
        ] {
            assert_eq!(path_at(text.as_bytes()), path, "{text}");
        }
    }

    #[test]
    fn the_object_is_found_though_its_end_was_read() {
        assert_eq!(object_at(br#"{"a": {"b": 1}"#), "a");
        assert_eq!(object_at(br#"{"a": [{"b": 1}"#), "a[0]");
        assert_eq!(object_at(br#"{"a": 1}"#), "");
    }
}
