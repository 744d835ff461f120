//! The policy of a task: a script that filters rows and sets, masks, drops and renames columns.
//!
//! ```text
//! text -> tokens -> nodes (Script) -> compiled for one table (Program) -> run for every image
//! ```
//!
//! A script always ends: it has no loops, its nesting, its length and what it may produce are
//! limited, and its patterns match in linear time. `docs/etl.md` is the page for its writers.

mod diagnostic;
mod token;
mod node;
mod function;
mod parser;
mod script;
mod table;
mod kind;
mod value;
mod moment;
mod pattern;
mod json;
mod arithmetic;
mod expression;
mod evaluation;
mod strings;
mod program;
mod images;
mod compiler;
mod nearest;

pub use diagnostic::Diagnostic;
pub use function::{Function, Group, functions};
pub use images::{OldRow, Told};
pub use program::{Cell, OutColumn, Program, RunError};
pub use script::{DEPTH_MAX, LENGTH_MAX, Script};
pub use table::{Column, Datum, Event, Image, Operation, Table};
