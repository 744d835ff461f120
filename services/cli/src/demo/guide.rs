//! How to read the changes of the demo with one's own client.

use crate::platform_file::{DemoEntry, GroupEntry, PlatformFile};

/// Three ways to connect as the user's group.
pub(crate) fn guide(file: &PlatformFile, demo: &DemoEntry) -> Option<String> {
    let group = demo.groups.iter().find(|group| group.name == "demo")?;
    let GroupEntry {
        login,
        password_file,
        stream,
        consumer,
        inbox_prefix,
        ..
    } = group;
    let url = &file.nats_url;
    let password_file = password_file.display();
    Some(format!(
        r#"Read the changes yourself, as the group `demo`:

  URL           {url}
  login         {login}
  password in   {password_file}
  stream        {stream}
  consumer      {consumer}
  inbox prefix  {inbox_prefix}

  nats CLI      nats --server {url} --user {login} --password "$(cat '{password_file}')" --inbox-prefix {inbox_prefix} consumer next {stream} {consumer} --count 10
  nats-py       nc = await nats.connect("{url}", user="{login}", password=open("{password_file}").read(), inbox_prefix="{inbox_prefix}")
                sub = await nc.jetstream().pull_subscribe_bind("{consumer}", "{stream}"); msgs = await sub.fetch(10); await msgs[-1].ack()
  Rust          let changes = rowcast_client::Subscription::connect(GroupCredentials::new(connection, password)).await?;
                connection: GET {api}/api/v1/tasks/{task}/groups, then …/groups/<id>/connection

  REST API      curl -H "Authorization: Bearer $(cat '{token}')" {api}/api/v1/tasks
  write         psql '{dsn}' -c "UPDATE shop.products SET stock = stock - 1 WHERE sku = 'TEA-001'"
"#,
        api = file.api_url,
        task = demo.task_id,
        token = file.admin_token_file.display(),
        dsn = demo.source_dsn,
    ))
}
