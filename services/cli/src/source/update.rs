//! `rowcast source update`.

use std::path::Path;

use rowcast_proto::rest::PatchSource;

use super::{needs_password, pem, show};
use crate::api::{Api, Versioned};
use crate::args::source::Update;
use crate::failure::{Exit, Failure};
use crate::{find, tags};

pub(super) async fn run(api: &Api, wanted: Update) -> anyhow::Result<()> {
    let found = find::source(api, &wanted.source).await?;
    let Versioned {
        thing: source,
        version,
    } = api.source_version(&found.id).await?;
    let certificates = if wanted.no_sslrootcert {
        Some(String::new())
    } else {
        pem(wanted.sslrootcert.as_deref())?
    };
    let of_client = |file: Option<&Path>| {
        if wanted.no_sslcert {
            return Ok(Some(String::new()));
        }
        pem(file)
    };
    let mut patch = PatchSource {
        name: wanted.name,
        kind: wanted.kind,
        region: wanted.region,
        instance_id: wanted.instance_id,
        host: wanted.host,
        port: wanted.port,
        database: wanted.database,
        account: wanted.account,
        password: None,
        sslmode: wanted.sslmode,
        sslrootcert: certificates,
        sslcert: of_client(wanted.client.sslcert.as_deref())?,
        sslkey: of_client(wanted.client.sslkey.as_deref())?,
        tags: tags::changed(&source.tags, &wanted.tags, &wanted.untagged),
        resource_group: wanted.sharing.patch(),
    };
    let is_given = wanted.password || wanted.password_from.password_file.is_some();
    if is_given || needs_password(&patch) {
        let role = patch.account.as_deref().unwrap_or(&source.account);
        let password = wanted.password_from.read(&format!("the role {role}"))?;
        patch.password = Some(password.expose().to_owned());
    }
    if patch == PatchSource::default() {
        let sentence = "say what to change: see rowcast source update --help";
        return Err(Failure::of(Exit::Usage, sentence));
    }
    let changed = api
        .patch_source(&source.id, &patch, version.as_ref())
        .await?;
    show(&changed, wanted.shown.output)
}
