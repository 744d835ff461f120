//! What a repair of the precheck says word for word, and doing it.

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::Context as _;

use crate::Postgres;

/// One of the choices of a repair.
#[derive(Debug, Default)]
pub struct Repair {
    /// SQL, for the superuser.
    pub statements: Vec<String>,
    /// Lines for `pg_hba.conf`, above the others.
    pub lines_of_hba: Vec<String>,
    /// Name and value of fields of the source.
    pub fields: Vec<(String, String)>,
    /// For the shell of the server's account.
    pub commands: Vec<String>,
    /// Whether the server is to be restarted at the end.
    pub restarts: bool,
}

impl Repair {
    /// Reads a repair; a line that begins with "Or" is between two choices. `password` is what psql's `\password` is
    /// answered with.
    #[must_use]
    pub fn choices(text: &str, password: &str) -> Vec<Self> {
        let mut choices = vec![Self::default()];
        for line in text.lines() {
            if line.starts_with("Or") {
                choices.push(Self::default());
            }
            if let Some(last) = choices.last_mut() {
                last.take(line, password);
            }
        }
        choices
    }

    fn take(&mut self, line: &str, password: &str) {
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
                self.statements
                    .push(format!("ALTER ROLE {role} PASSWORD '{password}'"));
            }
            _ => self.restarts |= line.contains("restart PostgreSQL"),
        }
    }

    /// Whether anything can be done word for word.
    #[must_use]
    pub fn says_something(&self) -> bool {
        !(self.statements.is_empty() && self.lines_of_hba.is_empty() && self.fields.is_empty())
    }

    /// Does on the server what is said of it. What is said of the source is left to the caller.
    ///
    /// # Errors
    /// Where anything of it is refused.
    pub async fn apply(&self, postgres: &mut Postgres) -> anyhow::Result<()> {
        for command in &self.commands {
            postgres.run(command)?;
        }
        if !self.lines_of_hba.is_empty() {
            postgres.admit(&self.lines_of_hba.join("\n"))?;
        }
        // Some bear no transaction.
        let sql = postgres.client("postgres").await?;
        for statement in &self.statements {
            let done = sql.batch_execute(statement).await;
            done.with_context(|| statement.clone())?;
        }
        if self.restarts {
            postgres.restart().await?;
        }
        Ok(())
    }
}

impl Postgres {
    /// Runs a line without quotes in the folder of the cluster's files, as the account that the server runs as.
    ///
    /// # Errors
    /// Where the program is missing, or fails.
    pub fn run(&self, line: &str) -> anyhow::Result<()> {
        let data = self.data_folder();
        let owner = std::fs::metadata(&data)?;
        let mut words = line.split_whitespace();
        let done = Command::new(words.next().context("there is no command")?)
            .args(words)
            .current_dir(&data)
            .uid(owner.uid())
            .gid(owner.gid())
            .output()?;
        anyhow::ensure!(done.status.success(), "{line}: {done:?}");
        Ok(())
    }

    /// Puts lines above the others of `pg_hba.conf`. The server reads the file once it is told to.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn admit(&self, lines: &str) -> anyhow::Result<()> {
        let file = self.data_folder().join("pg_hba.conf");
        let others = std::fs::read_to_string(&file)?;
        Ok(std::fs::write(&file, format!("{lines}\n{others}"))?)
    }

    /// Leaves these lines alone in `pg_hba.conf`, and one for the superuser.
    ///
    /// # Errors
    /// Where the file cannot be written, or the server does not answer.
    pub async fn admit_only(&self, lines: &str) -> anyhow::Result<()> {
        let file = self.data_folder().join("pg_hba.conf");
        let text = format!("host all postgres all scram-sha-256\n{lines}\n");
        std::fs::write(&file, text)?;
        let sql = self.client("postgres").await?;
        Ok(sql.batch_execute("SELECT pg_reload_conf()").await?)
    }

    /// Gives the server a certificate for `localhost`, and switches TLS on.
    ///
    /// # Errors
    /// Where openssl is missing, or the server refuses.
    pub async fn switch_tls_on(&self) -> anyhow::Result<()> {
        self.run(
            "openssl req -new -x509 -days 2 -nodes -subj /CN=localhost -addext subjectAltName=DNS:localhost \
             -out server.crt -keyout server.key",
        )?;
        self.run("chmod 600 server.key")?;
        let sql = self.client("postgres").await?;
        sql.batch_execute("ALTER SYSTEM SET ssl = on").await?;
        Ok(sql.batch_execute("SELECT pg_reload_conf()").await?)
    }
}
