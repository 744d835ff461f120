//! `rowcast task preview`.

use crate::api::Api;
use crate::args::task::PreviewFormat;
use crate::{find, output};

pub(super) async fn run(api: &Api, task: &str, format: PreviewFormat) -> anyhow::Result<()> {
    let task = find::task(api, task).await?;
    let preview = api.preview(&task.id).await?;
    let text = match format {
        PreviewFormat::Command => preview.command,
        PreviewFormat::Curl => preview.curl,
        PreviewFormat::Json => return output::json(&preview),
        PreviewFormat::Yaml => preview.yaml,
    };
    Ok(output::text(text)?)
}
