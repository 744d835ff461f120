//! SQL in files, as sections for some versions, and steps.

use tokio_postgres::Client;

const SCHEMA: &str = include_str!("../fixtures/regression/schema.sql");

const FILES: [&str; 3] = [
    include_str!("../fixtures/regression/rows.sql"),
    include_str!("../fixtures/regression/tables.sql"),
    include_str!("../fixtures/regression/transactions.sql"),
];

/// What is sent at once.
#[derive(Debug)]
pub(crate) enum Step {
    /// Statements.
    Sql(String),
    /// A `COPY … FROM STDIN` and its rows.
    Copy(String, String),
    /// From here on, new tables are tracked.
    Then,
}

/// Steps for some versions.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) name: String,
    versions: std::ops::RangeInclusive<u32>,
    pub(crate) steps: Vec<Step>,
}

impl Section {
    /// Reads `-- @section name [from 12] [until 14]` and what follows it, up to the next.
    fn parse(text: &str) -> Self {
        let (title, body) = text.split_once('\n').unwrap();
        let (title, until) = bound(title, " until ");
        let (name, from) = bound(title, " from ");
        let versions = from.unwrap_or(0)..=until.unwrap_or(u32::MAX);
        Self {
            name: name.to_owned(),
            versions,
            steps: steps(body),
        }
    }
}

fn bound<'a>(title: &'a str, word: &str) -> (&'a str, Option<u32>) {
    match title.rsplit_once(word) {
        Some((rest, version)) => (rest, version.parse().ok()),
        None => (title, None),
    }
}

fn steps(body: &str) -> Vec<Step> {
    let (mut steps, mut sql) = (Vec::new(), String::new());
    let mut lines = body.lines();
    while let Some(line) = lines.next() {
        let copy = line.starts_with("COPY ") && line.ends_with(" FROM STDIN;");
        if copy || line == "-- @then" {
            steps.push(Step::Sql(std::mem::take(&mut sql)));
        }
        if copy {
            let rows = lines.by_ref().take_while(|row| *row != "\\.");
            let rows = rows.map(|row| format!("{row}\n")).collect();
            steps.push(Step::Copy(line.to_owned(), rows));
        } else if line == "-- @then" {
            steps.push(Step::Then);
        } else {
            sql.push_str(line);
            sql.push('\n');
        }
    }
    steps.push(Step::Sql(sql));
    steps
}

fn sections(file: &str, version: u32) -> impl Iterator<Item = Section> {
    let parts = file.split("-- @section ").skip(1);
    parts
        .map(Section::parse)
        .filter(move |section| section.versions.contains(&version))
}

/// What a version has before anything is tracked.
pub(crate) fn schema(version: u32) -> String {
    let steps = sections(SCHEMA, version).flat_map(|section| section.steps);
    steps
        .map(|step| match step {
            Step::Sql(sql) => sql,
            Step::Copy(..) | Step::Then => panic!("{step:?} in the schema"),
        })
        .collect()
}

/// The sections of a version, in the order in which they are run.
pub(crate) fn script(version: u32) -> Vec<Section> {
    FILES
        .iter()
        .flat_map(|file| sections(file, version))
        .collect()
}

/// Sends a step; not for [`Step::Then`].
pub(crate) async fn send(client: &Client, step: &Step) -> Result<(), tokio_postgres::Error> {
    match step {
        Step::Sql(sql) => client.batch_execute(sql).await,
        Step::Copy(statement, rows) => {
            let rows = std::io::Cursor::new(rows.clone().into_bytes());
            let sink = client.copy_in(statement.as_str()).await?;
            let mut sink = std::pin::pin!(sink);
            futures::SinkExt::send(&mut sink, rows).await?;
            sink.finish().await.map(|_rows| ())
        }
        Step::Then => Ok(()),
    }
}
