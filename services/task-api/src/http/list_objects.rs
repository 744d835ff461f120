//! `GET /sources/{id}/objects`.

use axum::Json;
use axum::extract::State;
use rowcast_bus::request::ask;
use rowcast_proto::message::BrowseRequest;
use rowcast_proto::rest::{ObjectLevel, SourceObjects};
use rowcast_proto::rpc::BrowseSource;
use serde::Deserialize;
use utoipa::IntoParams;

use super::BROWSE_TIMEOUT;
use super::body::SourcePath;
use super::get_source::existing;
use super::query::Params;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;
use crate::{convert, validate};

/// What to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Browse {
    /// What is listed; tables where absent.
    #[serde(default)]
    #[param(inline)]
    pub(crate) level: ObjectLevel,
    /// Of this database; the source's where absent.
    pub(crate) database: Option<String>,
    /// Tables of this schema only.
    pub(crate) schema: Option<String>,
    /// Only what has this text in its name, in any case; of tables, in `<schema>.<table>`.
    pub(crate) search: Option<String>,
    /// Lists partitions too; they are tracked under their topmost table.
    #[serde(default)]
    pub(crate) partitions: bool,
    /// Most entries of the page, 1–200.
    #[serde(default = "default_limit")]
    #[param(default = 100)]
    pub(crate) limit: u32,
    /// `next_cursor` of the page before.
    pub(crate) cursor: Option<String>,
}

const fn default_limit() -> u32 {
    100
}

/// Lists what a source has, by name: databases, schemas, or tables with what one looks at before
/// choosing them.
#[utoipa::path(
    get,
    path = "/sources/{id}/objects",
    tag = "sources",
    params(("id" = String, Path, description = "The source"), Browse),
    responses(
        (status = 200, description = "A page", body = SourceObjects),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_objects(
    State(app): State<App>,
    SourcePath(id): SourcePath,
    Params(wanted): Params<Browse>,
) -> Result<Json<SourceObjects>, ApiError> {
    validate::browse(&wanted)?;
    let stored = existing(&app, &id).await?;
    let database = wanted.database.unwrap_or(stored.source.database.clone());
    let question = BrowseRequest {
        source: Some(convert::connection(stored, Some(database.clone()))),
        level: convert::object_level(wanted.level).into(),
        schema: wanted.schema.unwrap_or_default(),
        search: wanted.search.unwrap_or_default(),
        partitions: wanted.partitions,
        limit: wanted.limit,
        after: wanted.cursor.unwrap_or_default(),
    };
    let page = ask::<BrowseSource>(app.bus(), &question, BROWSE_TIMEOUT).await?;
    Ok(Json(convert::objects_page(page, database)))
}
