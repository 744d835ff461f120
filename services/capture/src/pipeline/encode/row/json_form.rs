//! A row in JSON.

use bytes::{BufMut as _, BytesMut};
use rowcast_proto::change::BeforeImage;

use super::{Form, Part, Rendered};
use crate::pipeline::change::Kind;
use crate::pipeline::encode::{document, json, value};

#[derive(Default)]
pub(super) struct JsonForm {
    part: &'static str,
    /// A column of the part was written.
    has_column: bool,
    /// Of documents that do not simply stand there: part, number of the column, form.
    documents: Vec<(&'static str, usize, &'static str)>,
}

/// `"<column>":`
pub(super) fn column_name(name: &str) -> Vec<u8> {
    let mut text = BytesMut::new();
    json::string(&mut text, name);
    text.put_u8(b':');
    text.to_vec()
}

impl Form for JsonForm {
    fn begin(&mut self, out: &mut BytesMut, part: Part) {
        self.part = match part {
            Part::Key => "key",
            Part::Before => "before",
            Part::After => "after",
        };
        self.has_column = false;
        out.extend_from_slice(b",\"");
        out.extend_from_slice(self.part.as_bytes());
        out.extend_from_slice(b"\":{");
    }

    fn column(
        &mut self,
        out: &mut BytesMut,
        (number, name): (usize, &[u8]),
        kind: &Kind,
        text: Option<&str>,
    ) {
        if self.has_column {
            out.put_u8(b',');
        }
        self.has_column = true;
        out.extend_from_slice(name);
        match text {
            Some(text) if *kind == Kind::Json => {
                let form = document::write(out, text);
                let form = form.map(|form| (self.part, number, document::name(form)));
                self.documents.extend(form);
            }
            Some(text) => value::write(out, kind, text),
            None => out.extend_from_slice(b"null"),
        }
    }

    fn end(&mut self, out: &mut BytesMut) {
        out.put_u8(b'}');
    }

    fn before_image(&mut self, out: &mut BytesMut, image: BeforeImage) {
        let image = match image {
            BeforeImage::Full => "full",
            BeforeImage::Key => "key",
            BeforeImage::None => "none",
        };
        json::member(out, "before_image", image);
    }

    fn unchanged<'n>(&mut self, out: &mut BytesMut, names: impl Iterator<Item = &'n String>) {
        let mut separator = &b",\"unchanged\":["[..];
        for name in names {
            out.extend_from_slice(separator);
            json::string(out, name);
            separator = b",";
        }
        out.put_u8(b']');
    }

    /// Appends `documents`, where there is something to say: `{"after":{"<column>":"<form>"}}`.
    fn finish(self, out: &mut BytesMut, table: &Rendered) {
        let mut separator = &b",\"documents\":{"[..];
        for documents in self.documents.chunk_by(|a, b| a.0 == b.0) {
            for (index, (part, column, form)) in documents.iter().enumerate() {
                if index == 0 {
                    out.extend_from_slice(separator);
                    json::string(out, part);
                    out.extend_from_slice(b":{");
                    separator = b",";
                } else {
                    out.put_u8(b',');
                }
                // The name as it is written in a row: quoted, and with its colon.
                let name = table.columns.get(*column);
                out.extend_from_slice(name.map_or(&[], Vec::as_slice));
                json::string(out, form);
            }
            out.put_u8(b'}');
        }
        if !self.documents.is_empty() {
            out.put_u8(b'}');
        }
    }
}
