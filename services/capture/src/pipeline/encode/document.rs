//! JSON documents of columns: as they are where every reader takes them, as a string where one of
//! them could make a reader refuse the whole message.

use bytes::BytesMut;
use rowcast_proto::change::DocumentForm;

use super::json;

/// Appends the document, and tells how, where it does not simply stand there.
pub(crate) fn write(out: &mut BytesMut, text: &str) -> Option<DocumentForm> {
    let form = DocumentForm::of(text);
    match form {
        Some(DocumentForm::Text | DocumentForm::Unknown) => json::string(out, text),
        Some(DocumentForm::Null) | None => out.extend_from_slice(text.as_bytes()),
    }
    form
}

/// Its name in a message.
pub(crate) const fn name(form: DocumentForm) -> &'static str {
    match form {
        DocumentForm::Null => "null",
        DocumentForm::Text | DocumentForm::Unknown => "text",
    }
}
