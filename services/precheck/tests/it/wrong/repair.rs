//! What a repair says word for word.

/// One of the choices of a repair.
#[derive(Debug, Default)]
pub(super) struct Repair {
    /// SQL, for the superuser.
    pub(super) statements: Vec<String>,
    pub(super) lines_of_hba: Vec<String>,
    /// Name and value of fields of the source.
    pub(super) fields: Vec<(String, String)>,
    /// For the shell of the server's account.
    pub(super) commands: Vec<String>,
    pub(super) restarts: bool,
}

impl Repair {
    /// A line that begins with "Or" is between two choices.
    pub(super) fn choices(text: &str) -> Vec<Self> {
        let mut choices = vec![Self::default()];
        for line in text.lines() {
            if line.starts_with("Or") {
                choices.push(Self::default());
            }
            if let Some(last) = choices.last_mut() {
                last.take(line);
            }
        }
        choices
    }

    fn take(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match *words.as_slice() {
            [
                "ALTER" | "SELECT" | "GRANT" | "CREATE" | "DROP" | "ROLLBACK",
                ..,
            ] if line.contains(';') => {
                self.statements.push(line.to_owned());
            }
            ["host" | "hostssl" | "hostnossl", _, _, _, _] | ["local", _, _, _] => {
                self.lines_of_hba.push(line.to_owned());
            }
            [name, "=", value] => self.fields.push((name.to_owned(), value.to_owned())),
            ["openssl" | "chmod", ..] => self.commands.push(line.to_owned()),
            ["\\password", role] => {
                // psql asks for it.
                let password = super::PASSWORD;
                self.statements
                    .push(format!("ALTER ROLE {role} PASSWORD '{password}'"));
            }
            _ => self.restarts |= line.contains("restart PostgreSQL"),
        }
    }

    pub(super) fn says_something(&self) -> bool {
        !(self.statements.is_empty() && self.lines_of_hba.is_empty() && self.fields.is_empty())
    }
}
