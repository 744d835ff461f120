//! What a user means by a name or an id.

use rowcast_domain::{ContactId, TaskId, TaskState};
use rowcast_proto::rest::{Contact, Group, Rule, Source, Task, Token};

use crate::api::Api;
use crate::failure::{Exit, Failure};

/// The source with this id or name.
pub(crate) async fn source(api: &Api, wanted: &str) -> anyhow::Result<Source> {
    if let Ok(id) = wanted.parse()
        && let Some(source) = if_there(api.source(&id).await)?
    {
        return Ok(source);
    }
    let mut sources = api.sources().await?.sources;
    let id = |source: &Source| source.id.to_string();
    let is_named = |source: &Source| source.name == wanted;
    if !sources.iter().any(is_named) {
        sources = sources_of(api, &api.tasks().await?.tasks).await?;
    }
    one("source", wanted, sources, id, is_named)
}

/// The registered sources, and those that these tasks have of their own.
pub(crate) async fn sources_of(api: &Api, tasks: &[Task]) -> anyhow::Result<Vec<Source>> {
    let mut sources = api.sources().await?.sources;
    for task in tasks {
        let is_known = sources.iter().any(|source| source.id == task.source_id);
        if !is_known
            && task.state != TaskState::Released
            && let Some(own) = if_there(api.source(&task.source_id).await)?
        {
            sources.push(own);
        }
    }
    Ok(sources)
}

/// The task with this id or name. A released one gives its name up to any that is not.
pub(crate) async fn task(api: &Api, wanted: &str) -> anyhow::Result<Task> {
    if let Ok(id) = wanted.parse()
        && let Some(task) = if_there(api.task(&id).await)?
    {
        return Ok(task);
    }
    let tasks = api.tasks().await?.tasks;
    let is_live = |task: &Task| task.name == wanted && task.state != TaskState::Released;
    let any_live = tasks.iter().any(is_live);
    let is_named = |task: &Task| is_live(task) || (!any_live && task.name == wanted);
    one("task", wanted, tasks, |task| task.id.to_string(), is_named)
}

/// The ids of the tasks with these ids or names.
pub(crate) async fn tasks(api: &Api, wanted: &[String]) -> anyhow::Result<Vec<TaskId>> {
    let mut ids = Vec::with_capacity(wanted.len());
    for name in wanted {
        ids.push(task(api, name).await?.id);
    }
    Ok(ids)
}

/// The group of a task with this id or name.
pub(crate) async fn group(api: &Api, task: &Task, wanted: &str) -> anyhow::Result<Group> {
    if let Ok(id) = wanted.parse()
        && let Some(group) = if_there(api.group(&task.id, &id).await)?
    {
        return Ok(group);
    }
    let groups = api.groups(&task.id).await?.groups;
    let id = |group: &Group| group.id.to_string();
    let what = format!("group of task {}", task.name);
    one(&what, wanted, groups, id, |group| group.name == wanted)
}

/// The contact with this id or name.
pub(crate) async fn contact(api: &Api, wanted: &str) -> anyhow::Result<Contact> {
    let contacts = api.contacts().await?.contacts;
    let id = |contact: &Contact| contact.id.to_string();
    let is_named = |contact: &Contact| contact.name == wanted || contact.id.as_str() == wanted;
    one("contact", wanted, contacts, id, is_named)
}

/// The ids of the contacts with these ids or names.
pub(crate) async fn contacts(api: &Api, wanted: &[String]) -> anyhow::Result<Vec<ContactId>> {
    let mut ids = Vec::with_capacity(wanted.len());
    for name in wanted {
        ids.push(match name.parse() {
            // It may belong to others, who let the task name it.
            Ok(id) => id,
            Err(_name) => contact(api, name).await?.id,
        });
    }
    Ok(ids)
}

/// The rule with this id or name.
pub(crate) async fn rule(api: &Api, wanted: &str) -> anyhow::Result<Rule> {
    let rules = api.rules().await?.rules;
    let id = |rule: &Rule| rule.id.to_string();
    let is_named = |rule: &Rule| rule.name == wanted || rule.id.as_str() == wanted;
    one("rule", wanted, rules, id, is_named)
}

/// The token with this id or name.
pub(crate) async fn token(api: &Api, wanted: &str) -> anyhow::Result<Token> {
    let tokens = api.tokens().await?.tokens;
    let id = |token: &Token| token.id.to_string();
    let is_named = |token: &Token| token.name == wanted || token.id.as_str() == wanted;
    one("token", wanted, tokens, id, is_named)
}

/// An id that is nobody's may still be a name.
fn if_there<T>(answer: anyhow::Result<T>) -> anyhow::Result<Option<T>> {
    match answer {
        Ok(thing) => Ok(Some(thing)),
        Err(error) if Failure::exit_of(&error) == Exit::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A name must be that of one thing.
fn one<T>(
    what: &str,
    wanted: &str,
    all: Vec<T>,
    id: impl Fn(&T) -> String,
    is_named: impl Fn(&T) -> bool,
) -> anyhow::Result<T> {
    let mut named: Vec<T> = all.into_iter().filter(is_named).collect();
    match (named.pop(), named.as_slice()) {
        (Some(thing), []) => Ok(thing),
        (Some(last), others) => {
            let ids: Vec<String> = others.iter().chain([&last]).map(id).collect();
            let sentence = format!(
                "more than one {what} is named {wanted:?}: say the id, one of {}",
                ids.join(", ")
            );
            Err(Failure::of(Exit::Failed, sentence))
        }
        (None, _) => {
            let sentence = format!("there is no {what} {wanted:?}: list them to see names and ids");
            Err(Failure::of(Exit::NotFound, sentence))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_must_be_of_one() {
        let all = || vec![("s1", "shop"), ("s3", "twin"), ("s4", "twin")];
        let find = |wanted: &str| {
            let found = one(
                "source",
                wanted,
                all(),
                |thing| thing.0.to_owned(),
                |thing| thing.1 == wanted,
            );
            found.map(|thing| thing.0)
        };
        assert_eq!(find("shop").unwrap(), "s1");
        let several = find("twin").unwrap_err();
        assert!(several.to_string().ends_with("one of s3, s4"), "{several}");
        let none = find("nobody").unwrap_err();
        assert_eq!(Failure::exit_of(&none), Exit::NotFound);
        assert_eq!(if_there(Err::<(), _>(none)).unwrap(), None);
        let other = Failure::of(Exit::Denied, "wrong token");
        assert!(if_there(Err::<(), _>(other)).is_err());
    }
}
