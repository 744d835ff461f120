//! Two members that copy the table into a database, one of them standing by, and what they did to it.

use std::process::ExitStatus;

use anyhow::{Context as _, ensure};
use rowcast_e2e::{Copy, Group, Shop};
use rowcast_local::{Signal, orphan};
use tokio::process::Child;

use super::ended::Said;
use super::written::{CONTENT, Row, TABLE};

/// The table that is copied.
const COPIED: &str = "shop.version";

/// Each change of a row of the copy.
const EFFECTS: &str = "CREATE TABLE shop.effect (
        id bigint GENERATED ALWAYS AS IDENTITY, key bigint, operation text, version bigint);
    CREATE FUNCTION shop.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO shop.effect (key, operation, version)
        VALUES (coalesce(NEW.key, OLD.key), lower(TG_OP), NEW.version);
        RETURN NULL;
    END $$;
    CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON shop.version
        FOR EACH ROW EXECUTE FUNCTION shop.note()";

/// A process that applies changes.
struct Applier {
    child: Child,
    said: Said,
    is_killed: bool,
}

impl Applier {
    fn start(copy: &Copy) -> anyhow::Result<Self> {
        let mut said = Said::nothing()?;
        Ok(Self {
            child: copy.start_saying(COPIED, said.next()?)?,
            said,
            is_killed: false,
        })
    }
}

/// The members, and the copy.
pub(super) struct Effects {
    copy: Copy,
    members: Vec<Applier>,
}

impl Effects {
    pub(super) async fn of(shop: &Shop, group: &Group, members: usize) -> anyhow::Result<Self> {
        let schema = format!("CREATE SCHEMA shop; {TABLE}; {EFFECTS}");
        let copy = Box::pin(Copy::of(shop, group, &schema)).await?;
        let start = |_member| Applier::start(&copy);
        let members = (0..members).map(start).collect::<Result<_, _>>()?;
        Ok(Self { copy, members })
    }

    /// How many members there are.
    pub(super) const fn members(&self) -> usize {
        self.members.len()
    }

    /// Kills a member; [`Self::revive`] starts it again.
    pub(super) async fn kill(&mut self, member: usize) -> anyhow::Result<()> {
        let applier = &mut self.members[member];
        applier.is_killed = true;
        Ok(applier.child.kill().await?)
    }

    pub(super) fn signal(&self, member: usize, signal: Signal) -> anyhow::Result<()> {
        if let Some(id) = self.members[member].child.id() {
            orphan::signal(id, signal)?;
        }
        Ok(())
    }

    /// How a member has ended that was not killed, and what it said; `None` where it has not.
    pub(super) fn ended(&mut self, member: usize) -> anyhow::Result<Option<(ExitStatus, String)>> {
        let applier = &mut self.members[member];
        match applier.child.try_wait()? {
            Some(status) if !applier.is_killed => Ok(Some((status, applier.said.last()?))),
            Some(_) | None => Ok(None),
        }
    }

    /// Starts a member again where it has ended, as whatever runs a user's program would.
    pub(super) fn revive(&mut self, member: usize) -> anyhow::Result<()> {
        let applier = &mut self.members[member];
        if applier.child.try_wait()?.is_some() {
            applier.child = self.copy.start_saying(COPIED, applier.said.next()?)?;
            applier.is_killed = false;
        }
        Ok(())
    }

    /// What each member has said, in files.
    pub(super) fn said(&self) -> impl Iterator<Item = &Said> {
        self.members.iter().map(|applier| &applier.said)
    }

    /// Number of changes that were applied.
    pub(super) async fn count(&self) -> anyhow::Result<usize> {
        let row = self
            .copy
            .sql
            .query_one("SELECT count(*) FROM shop.effect", &[])
            .await?;
        Ok(usize::try_from(row.get::<_, i64>(0))?)
    }

    /// Each change of the stream was applied once, all in the order of the stream, and the rows are those of the source.
    pub(super) async fn check(&self, stream: &[Row], shop: &Shop) -> anyhow::Result<()> {
        let query = "SELECT key, operation, version FROM shop.effect ORDER BY id";
        let mut applied = Vec::new();
        for row in self.copy.sql.query(query, &[]).await? {
            let key = u64::try_from(row.get::<_, i64>(0))?;
            let version: Option<i64> = row.get(2);
            let change = (row.get(1), version.map(u64::try_from).transpose()?);
            applied.push((key, change));
        }
        for (number, (applied, told)) in applied.iter().zip(stream).enumerate() {
            ensure!(
                applied == told,
                "effect {number} is {applied:?}, the change of the stream {told:?}"
            );
        }
        let (effects, changes) = (applied.len(), stream.len());
        ensure!(effects == changes, "{effects} effects of {changes} changes");
        let copied: String = self.copy.sql.query_one(CONTENT, &[]).await?.get(0);
        let wanted: String = shop.sql.query_one(CONTENT, &[]).await?.get(0);
        let differs = copied
            .split(';')
            .zip(wanted.split(';'))
            .find(|(copied, wanted)| copied != wanted);
        ensure!(copied == wanted, "the copy has other rows: {differs:?}");
        for (number, said) in self.said().enumerate() {
            let checked = said.check(&format!("member {number} of the copy"));
            checked.context("what it said")?;
        }
        Ok(())
    }
}
