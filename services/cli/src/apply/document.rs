//! What a file for `rowcast apply` says, and what `rowcast export` writes.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rowcast_domain::{Months, Secret};
use rowcast_proto::rest::{
    ChangeTypes, ChargeType, Etl, Format, GroupDelivery, GroupFormat, GroupMode, OWN_TAGS, Objects,
    OnExhausted, Packing, PurchaseTask, Retention, SourceKind, SslMode, default_port,
    default_retry_minutes,
};
use serde::{Deserialize, Serialize};

use super::rule::RuleEntry;
use crate::failure::{Exit, Failure};
use crate::secret;

/// Sources and tasks by their names.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    /// What its sources and tasks together are called. They are marked with it, so that `--prune` knows
    /// those that the file once named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) set: Option<String>,
    #[serde(default)]
    pub(crate) sources: Vec<SourceEntry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) contacts: Vec<ContactEntry>,
    #[serde(default)]
    pub(crate) tasks: Vec<TaskEntry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) rules: Vec<RuleEntry>,
}

/// A source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SourceEntry {
    pub(crate) name: String,
    #[serde(default, skip_serializing_if = "SourceKind::is_postgresql")]
    pub(crate) kind: SourceKind,
    /// Where absent, it is left alone; empty for no word of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) region: Option<String>,
    /// As `region`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) instance_id: Option<String>,
    pub(crate) host: String,
    #[serde(default = "default_port")]
    pub(crate) port: u16,
    pub(crate) database: String,
    pub(crate) account: String,
    /// Needed where the source is not there yet and has no client certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) password: Option<SecretFrom>,
    #[serde(default)]
    pub(crate) sslmode: SslMode,
    /// File of certificate authorities in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sslrootcert: Option<PathBuf>,
    /// File of the client certificate in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sslcert: Option<PathBuf>,
    /// File of its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sslkey: Option<PathBuf>,
    /// Where absent, those that it has are left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tags: Option<BTreeMap<String, String>>,
    /// Where absent, it is left alone; empty for nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) resource_group: Option<String>,
}

/// Somebody who is told of incidents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ContactEntry {
    pub(crate) name: String,
    /// The URL of the webhook that it is told by; this or `email`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) webhook: Option<String>,
    /// Signs what the webhook is told. Needed where the contact is not there yet, and with another URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<SecretFrom>,
    /// Where mail goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) email: Option<String>,
    /// Where absent, it is left alone; empty for nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) resource_group: Option<String>,
}

/// When somebody is to know of a task, and who.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AlertingEntry {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) delay_seconds: Option<u32>,
    /// Names of contacts of the file, names or ids of such as are there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) contacts: Vec<String>,
}

/// A task and its groups.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TaskEntry {
    pub(crate) name: String,
    /// Name of its source: one of the file, or one that is there.
    pub(crate) source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) database: Option<String>,
    pub(crate) objects: Objects,
    #[serde(default)]
    pub(crate) change_types: ChangeTypes,
    #[serde(default = "default_retry_minutes")]
    pub(crate) retry_minutes: u32,
    /// Where absent, that of a task that is there is left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) retention: Option<Retention>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) partitions: Option<u32>,
    #[serde(default)]
    pub(crate) transactions: bool,
    #[serde(default)]
    pub(crate) packing: Packing,
    #[serde(default)]
    pub(crate) format: Format,
    /// Where absent, that of a task that is there is left alone; with an empty script for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) etl: Option<Etl>,
    /// Where absent, that of a task that is there is left alone; `{}` for nothing of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) alerting: Option<AlertingEntry>,
    /// Where absent, that of a task that is there is left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) network: Option<String>,
    /// Where absent, those that it has are left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tags: Option<BTreeMap<String, String>>,
    /// Where absent, it is left alone; empty for nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) resource_group: Option<String>,
    /// How its instance is bought, where it has none yet; by the hour where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) purchase: Option<PurchaseTask>,
    /// Alerts of its precheck that somebody answers for; what is ignored already stays so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) ignored_checks: Vec<IgnoredEntry>,
    /// Where to bring it; where absent, it is left where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<WantedState>,
    #[serde(default)]
    pub(crate) groups: Vec<GroupEntry>,
}

/// An alert that somebody answers for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IgnoredEntry {
    /// Of the check, as `wal_keep`.
    pub(crate) code: String,
    /// The person who answers for it.
    pub(crate) by: String,
    /// Why it does not matter here.
    pub(crate) reason: String,
}

/// Where a task can be brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WantedState {
    /// Prechecked, bought and started, as far as that is missing.
    Running,
    /// Suspended.
    Suspended,
}

/// A consumer group of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GroupEntry {
    pub(crate) name: String,
    pub(crate) account: String,
    /// Where absent, that of a group that is there is left alone, and a new one is ordered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mode: Option<GroupMode>,
    /// Where absent, that of a group that is there is left alone, and a new one has none; with an empty script, none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) etl: Option<Etl>,
    /// Where absent, that of a group that is there is left alone, and a new one has that of its task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) format: Option<GroupFormat>,
    /// Where absent, that of a group that is there is left alone, and clients of a new one pull.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) delivery: Option<GroupDelivery>,
    /// Where absent, that of a group that is there is left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) max_deliver: Option<u32>,
    /// Where absent, that of a group that is there is left alone, and a new one has that of its mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) on_exhausted: Option<OnExhausted>,
    /// Needed where the group is not there yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) password: Option<SecretFrom>,
}

/// Where a secret is; never the secret itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SecretFrom {
    /// A file.
    File(PathBuf),
    /// A variable.
    Env(String),
}

impl Document {
    /// What a file says, `-` for standard input. Files that it names are found from its folder.
    pub(crate) fn read(file: &Path) -> anyhow::Result<Self> {
        let is_stdin = file == Path::new("-");
        let text = if is_stdin {
            std::io::read_to_string(std::io::stdin()).context("cannot read standard input")?
        } else {
            std::fs::read_to_string(file)
                .with_context(|| format!("cannot read {}", file.display()))?
        };
        let mut document = Self::parse(&text, file)?;
        if let Some(folder) = file.parent().filter(|_folder| !is_stdin) {
            document.resolve(folder);
        }
        Ok(document)
    }

    fn parse(text: &str, file: &Path) -> anyhow::Result<Self> {
        let wrong = |what: &str| Failure::of(Exit::Usage, format!("{}: {what}", file.display()));
        let document: Self = serde_saphyr::from_str(text).map_err(|error| {
            // The lines that follow show the place again.
            let told = error.to_string();
            let first = told.lines().next().unwrap_or_default();
            wrong(first.strip_prefix("error: ").unwrap_or(first))
        })?;
        document.check().map_err(|what| wrong(&what))?;
        Ok(document)
    }

    /// Names say what is meant, so each stands once.
    fn check(&self) -> Result<(), String> {
        once("source", self.sources.iter().map(|source| &source.name))?;
        once("contact", self.contacts.iter().map(|contact| &contact.name))?;
        for contact in &self.contacts {
            check_contact(contact)?;
        }
        once("task", self.tasks.iter().map(|task| &task.name))?;
        once("rule", self.rules.iter().map(|rule| &rule.name))?;
        if self.set.as_ref().is_some_and(|set| !is_name_of_set(set)) {
            return Err("`set` must have 1 to 64 letters, digits or signs of _.:/-".to_owned());
        }
        let sources = self.sources.iter().map(|source| &source.tags);
        let tags = sources.chain(self.tasks.iter().map(|task| &task.tags));
        let mut keys = tags.flatten().flat_map(BTreeMap::keys);
        if let Some(key) = keys.find(|key| key.starts_with(OWN_TAGS)) {
            return Err(format!("the tag {key} is Rowcast's own: leave it out"));
        }
        for task in &self.tasks {
            check_purchase(task)?;
            let what = format!("group of task {}", task.name);
            once(&what, task.groups.iter().map(|group| &group.name))?;
            let what = format!("ignored check of task {}", task.name);
            once(&what, task.ignored_checks.iter().map(|check| &check.code))?;
        }
        Ok(())
    }

    fn resolve(&mut self, folder: &Path) {
        for source in &mut self.sources {
            let files = [
                &mut source.sslrootcert,
                &mut source.sslcert,
                &mut source.sslkey,
            ];
            for file in files.into_iter().flatten() {
                *file = folder.join(&*file);
            }
        }
        let passwords = self.sources.iter_mut().map(|source| &mut source.password);
        let groups = self.tasks.iter_mut().flat_map(|task| &mut task.groups);
        let contacts = self.contacts.iter_mut().map(|contact| &mut contact.secret);
        let secrets = passwords.chain(groups.map(|group| &mut group.password));
        for secret in secrets.chain(contacts) {
            if let Some(SecretFrom::File(file)) = secret {
                *file = folder.join(&*file);
            }
        }
    }

    /// As YAML.
    pub(crate) fn to_yaml(&self) -> anyhow::Result<String> {
        serde_saphyr::to_string(self).context("cannot write YAML")
    }
}

/// It is told in one way.
fn check_contact(contact: &ContactEntry) -> Result<(), String> {
    let wrong = |what| Err(format!("the contact {}: {what}", contact.name));
    match (&contact.webhook, &contact.email, &contact.secret) {
        (Some(_), None, _) | (None, Some(_), None) => Ok(()),
        (Some(_), Some(_), _) => wrong("say `webhook` or `email`, not both"),
        (None, None, _) => wrong("say `webhook` or `email`"),
        (None, Some(_), Some(_)) => wrong("a `secret` is of a webhook"),
    }
}

/// What billing would refuse, before anything is done.
fn check_purchase(task: &TaskEntry) -> Result<(), String> {
    let Some(purchase) = &task.purchase else {
        return Ok(());
    };
    let wrong = |what: String| Err(format!("`purchase` of the task {}: {what}", task.name));
    match (purchase.charge_type, purchase.months) {
        (ChargeType::Subscription, Some(months)) => match Months::of_purchase(months) {
            Ok(_sold) => Ok(()),
            Err(error) => wrong(error.to_string()),
        },
        (ChargeType::Subscription, None) => wrong("say for how many `months`".to_owned()),
        (ChargeType::PayAsYouGo, None) if !purchase.auto_renew => Ok(()),
        (ChargeType::PayAsYouGo, _) => {
            wrong("`months` and `auto_renew` are of a subscription".to_owned())
        }
    }
}

/// It is the value of a tag, and stands in a filter.
fn is_name_of_set(set: &str) -> bool {
    let is_plain = |c: char| c.is_alphanumeric() || "_.:/-".contains(c);
    (1..=64).contains(&set.chars().count()) && set.chars().all(is_plain)
}

fn once<'a>(what: &str, names: impl Iterator<Item = &'a String>) -> Result<(), String> {
    let mut seen = HashSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(format!(
                "the {what} {name:?} stands there twice: leave one out"
            ));
        }
    }
    Ok(())
}

impl SecretFrom {
    /// The secret. For the error: `what` it is called in the file, and `whose` it is.
    pub(crate) fn read(from: Option<&Self>, what: &str, whose: &str) -> anyhow::Result<Secret> {
        match from {
            Some(Self::File(file)) => secret::from_file(file),
            Some(Self::Env(variable)) => secret::from_environment(variable).ok_or_else(|| {
                let sentence =
                    format!("the variable {variable} is empty: it holds the {what} of {whose}");
                Failure::of(Exit::Failed, sentence)
            }),
            None => {
                let sentence = format!(
                    "{whose} has no {what}: say `{what}: {{file: …}}` or `{what}: {{env: …}}`"
                );
                Err(Failure::of(Exit::Failed, sentence))
            }
        }
    }

    /// The variable that an exported file names for the password of something: `SHOP_PASSWORD` of `shop`.
    pub(crate) fn password_of(names: &[&str]) -> Self {
        Self::variable_of(names, "PASSWORD")
    }

    /// The same for the secret of a contact.
    pub(crate) fn secret_of(name: &str) -> Self {
        Self::variable_of(&[name], "SECRET")
    }

    fn variable_of(names: &[&str], what: &str) -> Self {
        let words = names.iter().map(|name| {
            let letter = |c: char| {
                if c.is_ascii_alphanumeric() {
                    c.to_ascii_uppercase()
                } else {
                    '_'
                }
            };
            name.chars().map(letter).collect::<String>()
        });
        Self::Env(words.chain([what.to_owned()]).collect::<Vec<_>>().join("_"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "
sources:
  - name: shop
    host: db.example
    database: shop
    account: tracker
    password: {file: shop.pw}
tasks:
  - name: orders
    source: shop
    objects:
      schemas:
        - name: public
          tables: [orders]
    state: running
    groups:
      - name: warehouse
        account: reader
        password: {env: WAREHOUSE}
";

    fn parse(text: &str) -> anyhow::Result<Document> {
        Document::parse(text, Path::new("shop.yaml"))
    }

    #[test]
    fn defaults_are_those_of_the_api_and_what_is_written_is_read_again() {
        let document = parse(FILE).unwrap();
        assert_eq!(document.sources[0].port, 5432);
        assert_eq!(document.sources[0].sslmode, SslMode::VerifyFull);
        assert_eq!(document.tasks[0].retention, None);
        let written = document.to_yaml().unwrap();
        assert_eq!(parse(&written).unwrap(), document, "{written}");
    }

    #[test]
    fn the_example_of_the_readme_is_one() {
        let readme = include_str!("../../../../README.md");
        let example = readme.split("```yaml\n").nth(1).unwrap();
        let document = parse(example.split("```").next().unwrap()).unwrap();
        assert_eq!(document.tasks[0].state, Some(WantedState::Running));
        assert_eq!(document.tasks[0].groups.len(), 1);
    }

    #[test]
    fn the_example_of_the_page_on_alerting_is_one() {
        let page = include_str!("../../../../docs/alerting.md");
        let example = page.split("```yaml\n").nth(1).unwrap();
        let document = parse(example.split("```").next().unwrap()).unwrap();
        assert_eq!(document.rules[0].contacts, ["oncall"]);
    }

    #[test]
    fn files_are_found_from_the_folder_of_the_document() {
        let mut document = parse(FILE).unwrap();
        document.resolve(Path::new("deploy"));
        let expected = SecretFrom::File("deploy/shop.pw".into());
        assert_eq!(document.sources[0].password, Some(expected));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (wrong, said) in [
            (FILE.replace("host:", "hostname:"), "line 4"),
            (
                FILE.replace(
                    "tasks:",
                    "  - name: shop\n    host: h\n    database: d\n    account: a\ntasks:",
                ),
                "twice",
            ),
            (FILE.replace("{file: shop.pw}", "secret"), "line 7"),
            (
                FILE.replace(
                    "state:",
                    "purchase: {charge_type: subscription, months: 10}\n    state:",
                ),
                "10 months",
            ),
            (
                FILE.replace(
                    "state:",
                    "purchase: {charge_type: subscription}\n    state:",
                ),
                "how many",
            ),
            (
                FILE.replace(
                    "state:",
                    "purchase: {charge_type: pay_as_you_go, months: 1}\n    state:",
                ),
                "of a subscription",
            ),
            (
                format!("{FILE}contacts: [{{name: ops}}]\n"),
                "`webhook` or `email`",
            ),
            (
                format!(
                    "{FILE}contacts: [{{name: ops, email: a@b.example, secret: {{env: S}}}}]\n"
                ),
                "of a webhook",
            ),
        ] {
            let error = parse(&wrong).unwrap_err();
            assert_eq!(Failure::exit_of(&error), Exit::Usage);
            let told = error.to_string();
            assert!(
                told.starts_with("shop.yaml: ") && told.contains(said),
                "{told}"
            );
            assert_eq!(told.lines().count(), 1, "{told}");
        }
    }

    #[test]
    fn variables_are_named_after_what_they_are_for() {
        let expected = SecretFrom::Env("ORDERS_WARE_HOUSE_PASSWORD".to_owned());
        assert_eq!(SecretFrom::password_of(&["orders", "ware-house"]), expected);
        let expected = SecretFrom::Env("ON_CALL_SECRET".to_owned());
        assert_eq!(SecretFrom::secret_of("on-call"), expected);
    }
}
