//! Tasks that a user looks for, a page at a time.
//!
//! A page begins behind a task and not at a number: what is created or released between two pages
//! neither hides nor repeats the others.

use chrono::{DateTime, Utc};
use rowcast_domain::{SourceId, TaskState};
use sqlx::postgres::{PgPool, Postgres};
use sqlx::query_builder::QueryBuilder;

use super::{Row, StoredTask};

/// What tasks are sorted by; the id decides between equals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SortKey {
    /// When they were created.
    CreatedAt,
    /// Their names, by code point.
    Name,
    /// Their states, in the order of the lifecycle.
    State,
    /// When they were changed last.
    UpdatedAt,
}

/// An order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sort {
    pub(crate) key: SortKey,
    pub(crate) descending: bool,
}

/// The last task of the page before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Sorted by time.
    CreatedAt(DateTime<Utc>, String),
    /// Sorted by name.
    Name(String, String),
    /// Sorted by state: its place in the lifecycle.
    State(i32, String),
    /// Sorted by the time of the last change.
    UpdatedAt(DateTime<Utc>, String),
}

/// Which tasks, in which order.
#[derive(Debug)]
pub(crate) struct Filter {
    /// In one of these states; all where empty.
    pub(crate) states: Vec<TaskState>,
    pub(crate) source: Option<SourceId>,
    /// Has this text in its name or its id, in any case.
    pub(crate) search: Option<String>,
    /// Has all these tags; any value where it is absent.
    pub(crate) tags: Vec<(String, Option<String>)>,
    pub(crate) resource_group: Option<String>,
    /// Of one of these resource groups.
    pub(crate) scope: Option<Vec<String>>,
    pub(crate) sort: Sort,
    pub(crate) after: Option<Mark>,
    /// All where absent.
    pub(crate) limit: Option<u32>,
}

/// The tasks of a page, and one more where there is a next page.
pub(crate) async fn list(pool: &PgPool, filter: &Filter) -> Result<Vec<StoredTask>, sqlx::Error> {
    let mut query = QueryBuilder::<Postgres>::new("SELECT * FROM tasks WHERE true");
    if !filter.states.is_empty() {
        let states: Vec<&str> = filter.states.iter().map(|state| state.as_str()).collect();
        query.push(" AND state = ANY (").push_bind(states).push(")");
    }
    if let Some(source) = &filter.source {
        query.push(" AND source_id = ").push_bind(source.as_str());
    }
    if let Some(search) = &filter.search {
        query
            .push(" AND (strpos(lower(definition ->> 'name'), lower(")
            .push_bind(search)
            .push(")) > 0 OR strpos(id, lower(")
            .push_bind(search)
            .push(")) > 0)");
    }
    for (key, value) in &filter.tags {
        query.push(" AND definition -> 'tags' ->> ").push_bind(key);
        match value {
            Some(value) => query.push(" = ").push_bind(value),
            None => query.push(" IS NOT NULL"),
        };
    }
    if let Some(group) = &filter.resource_group {
        query
            .push(" AND definition ->> 'resource_group' = ")
            .push_bind(group);
    }
    if let Some(scope) = &filter.scope {
        query
            .push(" AND definition ->> 'resource_group' = ANY (")
            .push_bind(scope)
            .push(")");
    }
    let key = match filter.sort.key {
        SortKey::CreatedAt => "created_at".to_owned(),
        SortKey::Name => "(definition ->> 'name') COLLATE \"C\"".to_owned(),
        SortKey::State => place_of_state(),
        SortKey::UpdatedAt => "updated_at".to_owned(),
    };
    let (order, direction) = if filter.sort.descending {
        ("<", "DESC")
    } else {
        (">", "ASC")
    };
    if let Some(after) = &filter.after {
        query.push(format!(" AND ({key}, id) {order} ("));
        match after {
            Mark::CreatedAt(time, id) => query.push_bind(time).push(", ").push_bind(id),
            Mark::Name(name, id) => query.push_bind(name).push(", ").push_bind(id),
            Mark::State(place, id) => query.push_bind(place).push(", ").push_bind(id),
            Mark::UpdatedAt(time, id) => query.push_bind(time).push(", ").push_bind(id),
        };
        query.push(")");
    }
    query.push(format!(" ORDER BY {key} {direction}, id {direction}"));
    if let Some(limit) = filter.limit {
        query.push(" LIMIT ").push_bind(i64::from(limit) + 1);
    }
    let rows: Vec<Row> = query.build_query_as().fetch_all(pool).await?;
    rows.into_iter().map(StoredTask::try_from).collect()
}

/// The place of a row's state in the lifecycle, from 1. Names of states hold no quote.
fn place_of_state() -> String {
    let names = TaskState::ALL.map(|state| format!("'{state}'"));
    format!("array_position(ARRAY[{}], state)", names.join(", "))
}
