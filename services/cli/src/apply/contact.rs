//! Contacts of a file, and whom its tasks name. Pure.

use rowcast_domain::ContactId;
use rowcast_proto::rest::{Alerting, Contact, ContactKind, PatchContact};

use super::change::Changes;
use super::conflict::differs;
use super::document::{AlertingEntry, ContactEntry, Document};
use super::plan::{Present, Step, only};
use crate::contact::kind;
use crate::table::or_dash;

/// Makes those that are missing, and changes what differs.
pub(super) fn plan_contacts(
    document: &Document,
    present: &Present,
    steps: &mut Vec<Step>,
    conflicts: &mut Vec<String>,
) {
    for wanted in &document.contacts {
        match only(
            "contact",
            &wanted.name,
            present.contacts_named(&wanted.name),
        ) {
            Ok(None) => steps.push(Step::CreateContact(wanted.clone())),
            Ok(Some(there)) => {
                let what = format!("contact {}: told by", wanted.name);
                match differs(&what, &kind(there.kind), &kind(wanted.kind())) {
                    Some(conflict) => conflicts.push(conflict),
                    None => steps.extend(change(wanted, there)),
                }
            }
            Err(conflict) => conflicts.push(conflict),
        }
    }
}

/// What of a contact is otherwise. Its secret is told by nobody and so not compared.
fn change(wanted: &ContactEntry, there: &Contact) -> Option<Step> {
    let mut changes = Changes::default();
    let mut found = |what, there: Option<&String>, wanted: Option<&String>| {
        changes.found(what, &there.cloned().unwrap_or_default(), wanted?)
    };
    let group = there.resource_group.as_ref();
    let patch = PatchContact {
        name: None,
        url: found("webhook", there.url.as_ref(), wanted.webhook.as_ref()),
        secret: None,
        address: found("email", there.address.as_ref(), wanted.email.as_ref()),
        resource_group: found("resource_group", group, wanted.resource_group.as_ref()),
    };
    changes.then(|changes| Step::UpdateContact {
        contact: wanted.clone(),
        patch,
        changes,
    })
}

/// Who is named by a task of the file is there, or in the file.
pub(super) fn unknown(
    task: &str,
    wanted: &AlertingEntry,
    there: Option<&Alerting>,
    document: &Document,
    present: &Present,
) -> Vec<String> {
    let named = there.map_or(&[][..], |alerting| &alerting.contacts);
    let what = format!("task {task}");
    unknown_named(&what, &wanted.contacts, named, document, present)
}

/// The same of whatever names contacts, where `named` are those that it names already.
pub(super) fn unknown_named(
    what: &str,
    wanted: &[String],
    named: &[ContactId],
    document: &Document,
    present: &Present,
) -> Vec<String> {
    let conflict = |name: &String| {
        // Whom it names already may belong to others.
        if named.iter().any(|id| id.as_str() == name) {
            return None;
        }
        let conflict = match present.contact(name) {
            Ok(Some(_there)) => return None,
            Ok(None) if document.contacts.iter().any(|entry| entry.name == *name) => return None,
            Ok(None) => format!("there is no contact {name:?}, neither here nor in the file"),
            Err(conflict) => conflict,
        };
        Some(format!("{what}: {conflict}"))
    };
    wanted.iter().filter_map(conflict).collect()
}

/// What a contact of this name or id is called, in words that are the same for the same.
pub(super) fn label_of(named: &str, present: &Present) -> String {
    match present.contact(named) {
        Ok(Some(there)) => label(&there.id, present),
        Ok(None) | Err(_) => named.to_owned(),
    }
}

/// What is wanted, in words that are the same for the same.
pub(super) fn wanted_in_words(wanted: &AlertingEntry, present: &Present) -> String {
    let contacts = wanted.contacts.iter();
    let contacts = contacts.map(|name| label_of(name, present));
    in_words(wanted.delay_seconds, contacts.collect())
}

/// What is there, in the same words.
pub(super) fn there_in_words(there: Option<&Alerting>, present: &Present) -> String {
    let said = there.cloned().unwrap_or_default();
    let contacts = said.contacts.iter().map(|id| label(id, present));
    in_words(said.delay_seconds, contacts.collect())
}

/// The name, where no other contact has it too.
fn label(id: &ContactId, present: &Present) -> String {
    let contacts = &present.contacts;
    let known = contacts.iter().find(|contact| contact.id == *id);
    let alone = known.filter(|contact| present.contacts_named(&contact.name).count() == 1);
    alone.map_or_else(|| id.to_string(), |contact| contact.name.clone())
}

fn in_words(delay_seconds: Option<u32>, mut contacts: Vec<String>) -> String {
    contacts.sort();
    contacts.dedup();
    let delay = delay_seconds.iter();
    let delay = delay.map(|seconds| format!("delay of {seconds} s"));
    let contacts = contacts.iter().map(|name| format!("contact {name}"));
    let words: Vec<String> = delay.chain(contacts).collect();
    or_dash(Some(words.join(", ")).filter(|words| !words.is_empty()))
}

impl ContactEntry {
    /// How it is told.
    pub(super) const fn kind(&self) -> ContactKind {
        match self.email {
            Some(_) => ContactKind::Email,
            None => ContactKind::Webhook,
        }
    }
}
