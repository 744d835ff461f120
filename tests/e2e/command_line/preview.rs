//! What a preview says makes an equal task, by whichever way it is run.

use std::process::Stdio;

use rowcast_e2e::{Api, PASSWORD, Shell, untracked_shop};
use rowcast_proto::rest::{Task, TaskList, TaskPreview};
use rowcast_testkit::Platform;
use serde_json::{Value, json};

/// Everything of a task that a user has configured.
fn configuration(task: &Task) -> Value {
    let mut members = serde_json::to_value(task).unwrap();
    let members_left = members.as_object_mut().unwrap();
    for other in ["id", "state", "stream", "created_at", "updated_at"] {
        members_left.remove(other);
    }
    members
}

/// Runs a script of the preview as a user would.
async fn run(shell: &Shell, script: &str) {
    let rowcast = shell.command("").unwrap();
    let rowcast = std::path::Path::new(rowcast.as_std().get_program());
    let folder = rowcast.parent().unwrap().display();
    let mut sh = tokio::process::Command::new("sh");
    let variables = rowcast_variables(shell);
    let output = sh
        .args(["-ec", script])
        .env("PATH", format!("{folder}:/usr/bin:/bin"))
        .env("HOME", shell.folder())
        .envs(variables)
        .current_dir(shell.folder())
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let trouble = String::from_utf8_lossy(&output.stderr);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{script}: {trouble}{said}");
}

/// Those that name the platform.
fn rowcast_variables(shell: &Shell) -> Vec<(String, String)> {
    let command = shell.command("").unwrap();
    let all = command.as_std().get_envs();
    let named = all.filter_map(|(name, value)| Some((name.to_str()?, value?.to_str()?)));
    named
        .filter(|(name, _value)| name.starts_with("ROWCAST_"))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The one task that is there.
async fn only_task(shell: &Shell) -> Task {
    let mut list: TaskList = shell.json("task list --live").await.unwrap();
    assert_eq!(list.tasks.len(), 1, "{list:?}");
    list.tasks.remove(0)
}

#[tokio::test]
async fn every_way_of_a_preview_makes_an_equal_task() {
    let platform = Box::pin(Platform::start(Default::default())).await.unwrap();
    let _sql = untracked_shop(&platform).await.unwrap();
    let shell = Shell::of(&platform).unwrap();
    shell.write("source.pw", PASSWORD).unwrap();
    let port = platform.postgres.port();
    let create = format!(
        "source create shop --host 127.0.0.1 --port {port} --database shop \
         --account shop_owner --password-file source.pw --sslmode disable"
    );
    shell.prints(&create).await.unwrap();
    let sources: Value = shell.json("source list").await.unwrap();
    let api = Api::new(&platform.api_url, platform.admin_token.expose()).unwrap();
    let plain = json!({"all": true});
    let named = json!({"schemas": [
        {"name": "public", "tables": ["it's", "b \"c\" $d"], "patterns": ["log_*"]},
        {"name": "shop", "all": true},
    ], "schema_patterns": ["tenant_?"]});
    let strange = json!({"schemas": [{"name": "a.b", "tables": ["what?", "`x`"]}]});
    for (name, objects, more) in [
        ("orders", plain, json!({})),
        (
            "-it's \"mine\" $HOME",
            named,
            json!({
                "change_types": {"data": ["insert", "delete"], "schema": true}, "retry_minutes": 33,
                "retention": {"hours": 48, "max_bytes": 1_073_741_824}, "transactions": true,
                "partitions": 3, "tags": {"env": "prod", "team": "a b"}, "resource_group": "all of: us",
            }),
        ),
        (
            "yes: # no",
            strange,
            json!({"change_types": {"data": [], "schema": true}, "packing": "transaction"}),
        ),
    ] {
        let mut body =
            json!({"name": name, "source_id": sources["sources"][0]["id"], "objects": objects});
        let members = body.as_object_mut().unwrap();
        members.extend(more.as_object().unwrap().clone());
        let mut task: Task = api.post("/tasks", &body).await.unwrap();
        let expected = configuration(&task);
        for way in ["body", "curl", "command", "yaml"] {
            let preview: TaskPreview = api
                .get(&format!("/tasks/{}/preview", task.id))
                .await
                .unwrap();
            let release = format!("task release {} --yes", task.id);
            shell.prints(&release).await.unwrap();
            match way {
                "curl" => run(&shell, &preview.curl).await,
                "command" => run(&shell, &preview.command).await,
                "yaml" => {
                    shell.write("task.yaml", &preview.yaml).unwrap();
                    shell.prints("apply -f task.yaml").await.unwrap();
                }
                _ => drop(api.post::<Task>("/tasks", &preview.body).await.unwrap()),
            }
            task = only_task(&shell).await;
            assert_eq!(configuration(&task), expected, "{way}: {preview:?}");
        }
        let release = format!("task release {} --yes", task.id);
        shell.prints(&release).await.unwrap();
    }
}
