//! `rowcast rule`.

use rowcast_domain::ContactId;
use rowcast_proto::rest::{CreateRule, PatchRule, Rule};

use crate::api::Api;
use crate::args::Format;
use crate::args::rule::{Command, Create, Update};
use crate::failure::{Exit, Failure};
use crate::table::{description, or_dash, plain_table, time};
use crate::{confirm, find, output, tags};

pub(crate) async fn run(api: &Api, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Create(wanted) => create(api, wanted).await,
        Command::List(shown) => list(api, shown.output).await,
        Command::Show(named) => {
            let found = find::rule(api, &named.rule).await?;
            one(&api.rule(&found.id).await?, named.shown.output)
        }
        Command::Update(wanted) => update(api, wanted).await,
        Command::Delete { rule, agreement } => delete(api, &rule, agreement.yes).await,
    }
}

async fn create(api: &Api, wanted: Create) -> anyhow::Result<()> {
    let what = wanted.what;
    let body = CreateRule {
        name: wanted.name,
        metric: wanted.metric,
        threshold: what.above,
        hold_seconds: what.hold.unwrap_or_default(),
        severity: what.severity.unwrap_or_default(),
        task_ids: find::tasks(api, &what.tasks).await?,
        tags: wanted.tags.into_iter().collect(),
        resource_group: wanted.resource_group,
        contacts: find::contacts(api, &what.contacts).await?,
        repeat_minutes: what.repeat,
        enabled: !wanted.disabled,
    };
    one(&api.create_rule(&body).await?, wanted.shown.output)
}

async fn update(api: &Api, wanted: Update) -> anyhow::Result<()> {
    let found = find::rule(api, &wanted.rule).await?;
    let what = wanted.what;
    let task_ids = find::tasks(api, &what.tasks).await?;
    let contacts = find::contacts(api, &what.contacts).await?;
    let no_repeat = wanted.without.no_repeat.then_some(0);
    let enabled = wanted.enable.then_some(true);
    let patch = PatchRule {
        name: wanted.name,
        threshold: what.above,
        hold_seconds: what.hold,
        severity: what.severity,
        task_ids: Some(task_ids).filter(|ids| wanted.without.no_tasks || !ids.is_empty()),
        tags: tags::changed(&found.tags, &wanted.tags, &wanted.untagged),
        resource_group: wanted.sharing.patch(),
        contacts: Some(contacts).filter(|ids| wanted.without.no_contacts || !ids.is_empty()),
        repeat_minutes: what.repeat.or(no_repeat),
        enabled: enabled.or(wanted.disable.then_some(false)),
    };
    if patch == PatchRule::default() {
        let sentence = "say what to change: see rowcast rule update --help";
        return Err(Failure::of(Exit::Usage, sentence));
    }
    let changed = api.patch_rule(&found.id, &patch).await?;
    one(&changed, wanted.shown.output)
}

async fn delete(api: &Api, rule: &str, yes: bool) -> anyhow::Result<()> {
    let found = find::rule(api, rule).await?;
    let named = format!("rule {} ({})", found.name, found.id);
    confirm::agreed(&format!("delete the {named}"), yes)?;
    api.delete_rule(&found.id).await?;
    output::line(format_args!("{named} deleted"))?;
    Ok(())
}

/// As `task_delay_seconds above 60 for 30 s`.
pub(crate) fn in_words(rule: &Rule) -> String {
    let threshold = rule.threshold.iter();
    let threshold = threshold.map(|threshold| format!(" above {threshold}"));
    let hold = Some(rule.hold_seconds).filter(|seconds| *seconds > 0);
    let hold = hold.iter().map(|seconds| format!(" for {seconds} s"));
    let parts = threshold.chain(hold).collect::<String>();
    format!("{}{parts}", rule.metric.as_str())
}

fn covered(rule: &Rule) -> String {
    let tasks = rule.task_ids.iter().map(ToString::to_string);
    let tags = Some(tags::in_words(&rule.tags)).filter(|words| !words.is_empty());
    let group = rule.resource_group.iter();
    let group = group.map(|group| format!("resource group {group}"));
    let words: Vec<String> = tasks.chain(tags).chain(group).collect();
    if words.is_empty() {
        "all tasks".to_owned()
    } else {
        words.join(", ")
    }
}

fn contacts(rule: &Rule) -> String {
    let ids: Vec<&str> = rule.contacts.iter().map(ContactId::as_str).collect();
    or_dash(Some(ids.join(", ")).filter(|ids| !ids.is_empty()))
}

const fn yes_or_no(is_so: bool) -> &'static str {
    if is_so { "yes" } else { "no" }
}

fn one(rule: &Rule, format: Format) -> anyhow::Result<()> {
    if format == Format::Json {
        return output::json(rule);
    }
    let repeat = rule.repeat_minutes.map(|minutes| format!("{minutes} min"));
    output::table(&description(vec![
        ("id", rule.id.to_string()),
        ("name", rule.name.clone()),
        ("raises at", in_words(rule)),
        ("severity", rule.severity.as_str().to_owned()),
        ("watches", covered(rule)),
        ("contacts", contacts(rule)),
        ("told again after", or_dash(repeat)),
        ("enabled", yes_or_no(rule.enabled).to_owned()),
        ("created", time(&rule.created_at)),
    ]))
}

async fn list(api: &Api, format: Format) -> anyhow::Result<()> {
    let list = api.rules().await?;
    if format == Format::Json {
        return output::json(&list);
    }
    let mut table = plain_table([
        "ID",
        "NAME",
        "RAISES AT",
        "SEVERITY",
        "WATCHES",
        "CONTACTS",
        "ENABLED",
    ]);
    for rule in list.rules {
        table.add_row([
            rule.id.to_string(),
            rule.name.clone(),
            in_words(&rule),
            rule.severity.as_str().to_owned(),
            covered(&rule),
            contacts(&rule),
            yes_or_no(rule.enabled).to_owned(),
        ]);
    }
    output::table(&table)
}
