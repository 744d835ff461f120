//! Two members that copy the table into a database, one of them standing by, and what they did to it.

use anyhow::ensure;
use rowcast_e2e::{Copy, Group, Shop};
use rowcast_local::{Signal, orphan};
use tokio::process::Child;

use super::written::{History, TABLE};

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

/// The members, and the copy.
pub(super) struct Effects {
    copy: Copy,
    pub(super) members: Vec<Child>,
}

impl Effects {
    pub(super) async fn of(shop: &Shop, group: &Group, members: usize) -> anyhow::Result<Self> {
        let schema = format!("CREATE SCHEMA shop; {TABLE}; {EFFECTS}");
        let copy = Box::pin(Copy::of(shop, group, &schema)).await?;
        let start = |_member| copy.start(COPIED);
        let members = (0..members).map(start).collect::<Result<_, _>>()?;
        Ok(Self { copy, members })
    }

    /// Kills a member; [`Self::revive`] starts it again.
    pub(super) async fn kill(&mut self, member: usize) -> anyhow::Result<()> {
        Ok(self.members[member].kill().await?)
    }

    pub(super) fn signal(&self, member: usize, signal: Signal) -> anyhow::Result<()> {
        if let Some(id) = self.members[member].id() {
            orphan::signal(id, signal)?;
        }
        Ok(())
    }

    /// Starts those again that have ended, as whatever runs a user's program would.
    pub(super) fn revive(&mut self, but: &[usize]) -> anyhow::Result<()> {
        for (number, member) in self.members.iter_mut().enumerate() {
            if !but.contains(&number) && member.try_wait()?.is_some() {
                *member = self.copy.start(COPIED)?;
            }
        }
        Ok(())
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

    /// Each change was applied once, and those of a key in their order.
    pub(super) async fn check(&self, written: &History) -> anyhow::Result<()> {
        let query = "SELECT key, operation, version FROM shop.effect ORDER BY id";
        let mut applied = History::new();
        for row in self.copy.sql.query(query, &[]).await? {
            let key = u64::try_from(row.get::<_, i64>(0))?;
            let version: Option<i64> = row.get(2);
            let change = (row.get(1), version.map(u64::try_from).transpose()?);
            applied.entry(key).or_default().push(change);
        }
        for (key, changes) in written {
            let effects = applied.remove(key).unwrap_or_default();
            ensure!(
                effects == *changes,
                "key {key}: applied {effects:?}, written {changes:?}"
            );
        }
        ensure!(applied.is_empty(), "never written: {applied:?}");
        Ok(())
    }
}
