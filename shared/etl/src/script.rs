//! A script as a user wrote it, checked as far as it can be without a table.

use crate::{
    compiler::{self, Regexes},
    diagnostic::{Diagnostic, Span},
    node::Node,
    parser::statements,
    program::Program,
    table::Table,
};

/// How long a script may be, in bytes: many times what people write, little to parse for each
/// table.
pub const LENGTH_MAX: usize = 64 * 1024;

/// How deep calls, brackets and operators may lie in each other. It bounds the stack.
pub const DEPTH_MAX: usize = 64;

/// A script whose syntax, function names, and number and types of arguments are right.
#[derive(Debug, Clone)]
pub struct Script {
    text: String,
    statements: Vec<Node>,
    regexes: Regexes,
}

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it whatever the tables are, in the order of the text.
    pub fn parse(text: &str) -> Result<Script, Vec<Diagnostic>> {
        if text.len() > LENGTH_MAX {
            let span = Span {
                from: 0,
                to: text.len(),
            };
            let message = format!(
                "The script has {} bytes: shorten it to {LENGTH_MAX} or fewer.",
                text.len()
            );
            return Err(vec![Diagnostic::new(text, span, "too_long", message)]);
        }
        let blank = text.len() - text.trim_start().len();
        let prefix = "script:";
        let prefixed = text.trim_start().starts_with(prefix);
        let from = if prefixed { blank + prefix.len() } else { 0 };
        let statements = statements(text, from)?;
        let regexes = compiler::check(text, &statements)?;
        Ok(Script {
            text: text.to_owned(),
            statements,
            regexes,
        })
    }

    /// The script as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Makes of the script what is to be done with rows of one table.
    ///
    /// # Errors
    ///
    /// Everything that the shape of the table proves wrong.
    pub fn compile(&self, table: &Table<'_>) -> Result<Program, Vec<Diagnostic>> {
        compiler::compile(&self.text, &self.statements, &self.regexes, table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_from_the_start_of_the_whole_text() {
        let wrong = Script::parse("  script: e_dro()").unwrap_err();
        assert_eq!((wrong[0].from, wrong[0].to), (10, 15));
        assert_eq!(wrong[0].column, 11);
    }

    #[test]
    fn the_text_is_kept_as_it_was() {
        let text = " script: e_drop() # all";
        assert_eq!(Script::parse(text).unwrap().text(), text);
    }
}
