//! The source under check, once it is reached.

use std::sync::Arc;

use rowcast_domain::TaskId;
use rowcast_pg::{ConnectOptions, Error, Session, connect};
use rowcast_proto::message::{ChangeTypes, EtlPolicy, ObjectSelection};
use rowcast_proto::stream;
use tokio::sync::OnceCell;

use crate::provider::Provider;
use crate::selected::Selected;

/// What the task wants of the source.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) task: TaskId,
    pub(crate) objects: ObjectSelection,
    pub(crate) change_types: ChangeTypes,
    /// What is to be done with each row.
    pub(crate) etl: Option<EtlPolicy>,
    /// Codes of the checks to run beside connectivity; empty for all.
    pub(crate) only: Vec<String>,
    /// The task was started: slot and publication of its name are its own.
    pub(crate) started: bool,
    /// The tasks of the installation, where they are known.
    pub(crate) live_tasks: Option<Vec<TaskId>>,
    /// How many tables a task should have at most.
    pub(crate) table_limit: usize,
    /// Who runs the source.
    pub(crate) provider: Provider,
}

impl Wish {
    /// The slot and the publication that the task owns on the source.
    pub(crate) fn object_name(&self) -> String {
        stream::source_object(&self.task)
    }

    /// Whether this check is asked for.
    pub(crate) fn wants(&self, code: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == code)
    }

    /// The operations to be published.
    pub(crate) fn operations(&self) -> Vec<&str> {
        self.change_types.data.iter().map(String::as_str).collect()
    }
}

/// A session and the wish.
pub(crate) struct Source {
    pub(crate) session: Session,
    /// How it was reached.
    pub(crate) options: ConnectOptions,
    pub(crate) wish: Wish,
    selected: Arc<OnceCell<Selected>>,
}

impl Source {
    pub(crate) fn new(session: Session, options: ConnectOptions, wish: Wish) -> Self {
        Self {
            session,
            options,
            wish,
            selected: Arc::default(),
        }
    }

    /// The same on a connection of its own.
    ///
    /// # Errors
    /// Where it cannot be had.
    pub(crate) async fn beside(&self) -> Result<Self, Error> {
        Ok(Self {
            session: connect(&self.options).await?,
            options: self.options.clone(),
            wish: self.wish.clone(),
            selected: Arc::clone(&self.selected),
        })
    }

    /// What the wish selects on this server; read once, for a database may have many tables.
    ///
    /// # Errors
    /// Where the catalog cannot be read.
    pub(crate) async fn selected(&self) -> Result<&Selected, Error> {
        self.selected
            .get_or_try_init(|| Selected::read(&self.session, &self.wish.objects))
            .await
    }
}
