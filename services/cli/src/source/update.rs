//! `rowcast source update`.

use rowcast_proto::rest::PatchSource;

use super::{authorities, show};
use crate::api::Api;
use crate::args::source::Update;
use crate::failure::{Exit, Failure};
use crate::find;

pub(super) async fn run(api: &Api, wanted: Update) -> anyhow::Result<()> {
    let source = find::source(api, &wanted.source).await?;
    // The API asks for the password where it would go to another server or be that of another role.
    let is_elsewhere = wanted.host.is_some() || wanted.port.is_some() || wanted.account.is_some();
    let is_given = wanted.password || wanted.password_from.password_file.is_some();
    let mut password = None;
    if is_elsewhere || is_given {
        let role = wanted.account.as_deref().unwrap_or(&source.account);
        password = Some(wanted.password_from.read(&format!("the role {role}"))?);
    }
    let certificates = if wanted.no_sslrootcert {
        Some(String::new())
    } else {
        authorities(wanted.sslrootcert.as_deref())?
    };
    let patch = PatchSource {
        name: wanted.name,
        host: wanted.host,
        port: wanted.port,
        database: wanted.database,
        account: wanted.account,
        password: password.map(|password| password.expose().to_owned()),
        sslmode: wanted.sslmode,
        sslrootcert: certificates,
    };
    if patch == PatchSource::default() {
        let sentence = "say what to change: see rowcast source update --help";
        return Err(Failure::of(Exit::Usage, sentence));
    }
    let changed = api.patch_source(&source.id, &patch).await?;
    show(&changed, wanted.shown.output)
}
