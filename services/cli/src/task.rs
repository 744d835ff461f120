//! `rowcast task`.

pub(crate) mod selection;
mod create;
mod objects;
mod show;
mod list;
mod measures;
mod events;
mod log;
mod update;
mod clone;
mod preview;
mod networks;
pub(crate) mod wait;
pub(crate) mod precheck;
mod recheck;
mod removal;
mod step;
pub(crate) mod instance;
mod tail;

use crate::api::Api;
use crate::args::task::Command;
use crate::find;

pub(crate) async fn run(api: &Api, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Create(wanted) => create::run(api, *wanted).await,
        Command::List(wanted) => list::run(api, wanted).await,
        Command::Show(named) => {
            let id = find::task(api, &named.task).await?.id;
            show::one(&api.task_with_all(&id).await?, named.shown.output)
        }
        Command::Precheck(wanted) => precheck::run(api, wanted).await,
        Command::Recheck(wanted) => recheck::run(api, wanted).await,
        Command::IgnoreAlerts(wanted) => precheck::ignore(api, wanted).await,
        Command::Purchase(wanted) => instance::purchase(api, wanted).await,
        Command::Renew(wanted) => instance::renew(api, wanted).await,
        Command::Instance(wanted) => instance::run(api, wanted).await,
        Command::Start(begin) => step::start(api, begin).await,
        Command::Suspend(step) => step::suspend(api, step).await,
        Command::Resume(begin) => step::resume(api, begin).await,
        Command::Reset(reset) => step::reset(api, reset).await,
        Command::Release(release) => step::release(api, release).await,
        Command::Clone { task, name, shown } => clone::run(api, &task, name, &shown).await,
        Command::Networks(shown) => networks::show(api, shown.output).await,
        Command::Preview { task, output } => preview::run(api, &task, output).await,
        Command::Rename { task, name, shown } => update::rename(api, &task, name, &shown).await,
        Command::Update(wanted) => update::run(api, wanted).await,
        Command::Objects(wanted) => objects::run(api, wanted).await,
        Command::Log(wanted) => log::run(api, wanted).await,
        Command::Events(wanted) => events::run(api, wanted).await,
        Command::Tail(wanted) => Box::pin(tail::run(api, wanted)).await,
    }
}
