//! A row in protobuf.

use bytes::BytesMut;
use prost::encoding::{WireType, encode_key, encode_varint};
use rowcast_proto::change::{BeforeImage, protobuf as pb};

use super::{Form, Part, Rendered};
use crate::pipeline::change::Kind;
use crate::pipeline::encode::protobuf::{self, field};

#[derive(Default)]
pub(super) struct ProtobufForm {
    /// Where the content of the part begins.
    start: usize,
}

impl Form for ProtobufForm {
    fn begin(&mut self, out: &mut BytesMut, part: Part) {
        let tag = match part {
            Part::Key => field::KEY,
            Part::Before => field::BEFORE,
            Part::After => field::AFTER,
        };
        self.start = protobuf::open(out, tag);
    }

    fn column(
        &mut self,
        out: &mut BytesMut,
        (_number, name): (usize, &[u8]),
        kind: &Kind,
        text: Option<&str>,
    ) {
        protobuf::column(out, name, kind, text);
    }

    fn end(&mut self, out: &mut BytesMut) {
        protobuf::close(out, self.start);
    }

    fn before_image(&mut self, out: &mut BytesMut, image: BeforeImage) {
        let image = match image {
            BeforeImage::Full => pb::BeforeImage::Full,
            BeforeImage::Key => pb::BeforeImage::Key,
            BeforeImage::None => pb::BeforeImage::None,
        };
        encode_key(field::BEFORE_IMAGE, WireType::Varint, out);
        encode_varint(image as u64, out);
    }

    fn unchanged<'n>(&mut self, out: &mut BytesMut, names: impl Iterator<Item = &'n String>) {
        for name in names {
            protobuf::text(out, field::UNCHANGED, name);
        }
    }

    /// A document is told from other text by its field, and `null` from SQL's NULL.
    fn finish(self, _out: &mut BytesMut, _table: &Rendered) {}
}
