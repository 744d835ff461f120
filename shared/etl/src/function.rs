//! Every function that a script may call: what it is called, what it takes, what it is for.

mod all;

use serde::Serialize;

use crate::kind::Kind;

pub use all::functions;

/// A function of the language.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Function {
    /// What a script calls it.
    pub name: &'static str,
    /// Its arguments and what it gives, as `str_lower(s) -> text`.
    pub signature: &'static str,
    /// One sentence that says what it does.
    pub doc: &'static str,
    /// What it has to do with.
    pub group: Group,
    #[serde(skip)]
    pub(crate) callee: Callee,
}

/// What a function has to do with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Statements: they change or drop the row.
    Action,
    /// Numbers.
    Arithmetic,
    /// Comparisons of two values, and with a set.
    Comparison,
    /// Conditions made of conditions.
    Logic,
    /// Texts.
    Text,
    /// Dates and times.
    Time,
}

/// What the compiler makes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Callee {
    Act(Act),
    Arithmetic(Arithmetic),
    Comparison(Comparison),
    And,
    Or,
    Not,
    Among,
    JsonArray,
    IsNull,
    IsNotNull,
    IsText,
    Concat,
    Format,
    Matches,
    Plain(Plain),
    Moment,
    Now,
    FromNumber(Unit),
    ToNumber(Unit),
    WriteMoment,
    ReadMoment,
    Shift,
    BsonValue,
}

/// The actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    If,
    IfElse,
    Switch,
    Compose,
    Drop,
    Keep,
    Set,
    DropColumns,
    KeepColumns,
    Rename,
    ReplaceEverywhere,
}

/// What two numbers are made into a number by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    Sum,
    Difference,
    Product,
    Quotient,
    Remainder,
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    Greater,
    LessOrEqual,
    GreaterOrEqual,
}

/// What a number of a time counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Second,
    Millisecond,
}

impl Unit {
    /// How many microseconds it has.
    pub(crate) fn micros(self) -> i128 {
        match self {
            Unit::Second => 1_000_000,
            Unit::Millisecond => 1_000,
        }
    }
}

/// Functions of texts whose arguments are all evaluated, and that give null where one is null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plain {
    Replace,
    Strip,
    Lower,
    Upper,
    ToNumber,
    ToText,
    Count,
    Find,
    Contains,
    StartsWith,
    EndsWith,
    IsAlpha,
    IsDigit,
    Mask,
    After,
    Before,
    Between,
}

/// What an argument of a [`Plain`] function must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    /// A text, or something that can only be read as one.
    Text,
    Int,
    /// Any number, taken by its text.
    Number,
    /// A text of one character, written in the script.
    Character,
}

impl Plain {
    /// What it takes, how many of those must be there, and what it gives.
    pub(crate) fn shape(self) -> (&'static [Want], usize, Kind) {
        const TEXT: Want = Want::Text;
        match self {
            Plain::Replace => (&[TEXT, TEXT, TEXT, Want::Int], 3, Kind::Text),
            Plain::Strip => (&[TEXT, TEXT], 1, Kind::Text),
            Plain::Lower | Plain::Upper => (&[TEXT], 1, Kind::Text),
            Plain::ToNumber => (&[TEXT], 1, Kind::Int),
            Plain::ToText => (&[Want::Number], 1, Kind::Text),
            Plain::Count | Plain::Find => (&[TEXT, TEXT], 2, Kind::Int),
            Plain::Contains | Plain::StartsWith | Plain::EndsWith => (&[TEXT, TEXT], 2, Kind::Bool),
            Plain::IsAlpha | Plain::IsDigit => (&[TEXT], 1, Kind::Bool),
            Plain::Mask => (
                &[TEXT, Want::Int, Want::Int, Want::Character],
                4,
                Kind::Text,
            ),
            Plain::After | Plain::Before => (&[TEXT, TEXT], 2, Kind::Text),
            Plain::Between => (&[TEXT, TEXT, TEXT], 3, Kind::Text),
        }
    }
}

/// No limit but that of the script.
const MANY: usize = usize::MAX;

impl Callee {
    /// How few and how many arguments without a name it takes.
    pub(crate) fn arity(self) -> (usize, usize) {
        match self {
            Callee::Act(act) => act.arity(),
            Callee::Arithmetic(_) | Callee::Comparison(_) => (2, 2),
            Callee::And | Callee::Or => (2, MANY),
            Callee::Among | Callee::Matches | Callee::WriteMoment | Callee::ReadMoment => (2, 2),
            Callee::Not | Callee::JsonArray | Callee::Moment | Callee::Shift => (1, 1),
            Callee::IsNull | Callee::IsNotNull | Callee::IsText => (1, 1),
            Callee::Concat | Callee::Format | Callee::BsonValue => (1, MANY),
            Callee::Plain(plain) => {
                let (wants, least, _) = plain.shape();
                (least, wants.len())
            }
            Callee::Now => (0, 0),
            Callee::FromNumber(_) | Callee::ToNumber(_) => (1, 2),
        }
    }

    /// The names of arguments that it knows.
    pub(crate) fn names(self) -> &'static [&'static str] {
        if self == Callee::Shift {
            &["years", "months", "days", "hours", "minutes", "seconds"]
        } else if self == Callee::Act(Act::Switch) {
            &["default"]
        } else {
            &[]
        }
    }
}

impl Act {
    fn arity(self) -> (usize, usize) {
        match self {
            Act::If | Act::Rename => (2, 2),
            Act::IfElse | Act::ReplaceEverywhere => (3, 3),
            Act::Switch => (2, MANY),
            Act::Compose | Act::DropColumns | Act::KeepColumns => (1, MANY),
            Act::Drop => (0, 0),
            Act::Keep => (1, 1),
            Act::Set => (2, 3),
        }
    }
}

/// The function of a name.
pub(crate) fn function(name: &str) -> Option<&'static Function> {
    functions().iter().find(|function| function.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_signatures_begin_with_them() {
        for (index, function) in functions().iter().enumerate() {
            let start = format!("{}(", function.name);
            assert!(function.signature.starts_with(&start), "{}", function.name);
            assert!(function.doc.ends_with('.'), "{}", function.name);
            let first = functions().iter().position(|one| one.name == function.name);
            assert_eq!(first, Some(index), "{}", function.name);
        }
    }
}
