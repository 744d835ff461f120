//! Everything that crosses a process: messages, subjects, streams, buckets, REST bodies.
//!
//! Nothing outside this crate names a subject, stream, consumer or bucket by a string of its own.

pub mod message;
pub mod subject;
pub mod stream;
pub mod dead_letter;
pub mod rpc;
pub mod event;
pub mod change;
pub mod derived;
pub mod rest;
