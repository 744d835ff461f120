//! Whatever the description of the REST API allows is answered, and never with a fault of ours: asked by
//! schemathesis, which makes requests from the description alone.

use std::process::Stdio;
use std::time::Duration;

use rowcast_e2e::Shop;
use rowcast_proto::rest::{Group, Task};
use serde_json::json;

/// Of both ways to ask.
const PATIENCE: Duration = Duration::from_secs(300);

/// What an answer must be: no 5xx, and of the described status, type and form.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_schema_conformance";

/// The same requests each time, so that a run that fails fails again; `ROWCAST_TEST_SEED` asks others.
#[expect(
    clippy::disallowed_methods,
    reason = "other requests are asked by hand"
)]
fn seed() -> String {
    std::env::var("ROWCAST_TEST_SEED").unwrap_or_else(|_unset| "1".to_owned())
}

/// Asks; `config` is its file of settings.
async fn ask(shop: &Shop, config: &str, options: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("schemathesis.toml");
    std::fs::write(&settings, config).unwrap();
    let libraries = concat!(env!("CARGO_MANIFEST_DIR"), "/../.tools/schemathesis");
    let url = &shop.platform.api_url;
    let token = shop.platform.admin_token.expose();
    let output = tokio::process::Command::new("python3")
        .arg(format!("{libraries}/bin/st"))
        .arg("--config-file")
        .arg(&settings)
        .args(["run", &format!("{url}/api/v1/openapi.json"), "--url", url])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        // The pace that a token may keep.
        .args(["--rate-limit", "100/s"])
        .args(["--checks", CHECKS, "--phases", "coverage,fuzzing"])
        .args(["--seed", &seed()])
        .args([
            "--max-examples",
            "15",
            "--continue-on-failure",
            "--no-color",
        ])
        .args(options)
        .env("PYTHONPATH", libraries)
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, output)
        .await
        .unwrap()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let trouble = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{trouble}");
}

#[tokio::test]
async fn nothing_that_the_description_allows_is_a_fault() {
    let shop = Box::pin(Shop::running(Default::default())).await.unwrap();
    let body = json!({"name": "desk", "account": "reader", "password": "Blue-horse-7"});
    let group: Group = shop.api.post(&shop.path("groups"), &body).await.unwrap();
    let tracked: Task = shop
        .api
        .get(&format!("/tasks/{}", shop.task))
        .await
        .unwrap();
    let (task, source) = (tracked.id, tracked.source_id);
    let ids = format!(
        r#"[[operations]]
include-path-regex = "/tasks/"
parameters = {{ id = "{task}", gid = "{}" }}
[[operations]]
include-path-regex = "/sources/"
parameters = {{ id = "{source}" }}
"#,
        group.id
    );
    // Of what is there; then of ids that schemathesis makes up or has got from an answer.
    ask(&shop, &ids, &["--exclude-method", "DELETE"]).await;
    ask(&shop, "", &[]).await;
}
