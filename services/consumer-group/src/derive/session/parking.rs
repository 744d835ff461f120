//! Rows that the policy could not deal with are parked before anything behind them is stored.

use rowcast_bus::async_nats::HeaderMap;
use rowcast_bus::park::{Kept, ParkError, Parked};
use rowcast_proto::subject;

use super::{OVERTAKEN, Session};
use crate::derive::change::{Stop, ToPark};
use crate::derive::failure::Failure;
use crate::store::derivation;

/// Who parks.
const BY: &str = "consumer-group";

impl Session<'_> {
    /// Parks rows, but for those that an earlier session has parked. What is parked is noted also where the rest cannot be.
    pub(super) async fn park(&mut self, mut all: Vec<ToPark>) -> Result<(), Failure> {
        all.retain(|row| !self.parked.contains(&row.id));
        if all.is_empty() {
            return Ok(());
        }
        let (mut number, mut done) = (0, Ok(()));
        for row in all {
            let id = row.id;
            match self.park_one(row).await {
                Ok(kept) => {
                    self.parked.insert(id);
                    number += u64::from(kept == Kept::Now);
                }
                Err(failure) => {
                    done = Err(failure);
                    break;
                }
            }
        }
        let stored = self.outbox.stored();
        self.parked.retain(|id| *id > stored.position);
        let ahead = (stored.source_made.as_str(), &self.parked);
        let (pool, group) = (&self.deriving.state.pool, &self.group.id);
        if derivation::parked(pool, (group, self.number), number, ahead).await? {
            done
        } else {
            Err(OVERTAKEN.into())
        }
    }

    async fn park_one(&self, row: ToPark) -> Result<Kept, Failure> {
        let ToPark {
            id,
            schema_id,
            reason,
            payload,
        } = row;
        let mut headers = HeaderMap::new();
        headers.insert("Rowcast-Id", id.to_string().as_str());
        headers.insert("Rowcast-Schema", schema_id.as_str());
        headers.insert("Rowcast-Group", self.group.id.as_str());
        let parked = Parked {
            by: BY,
            group: Some(&self.group.id),
            from: &subject::group_changes(&self.group.id),
            // Once, also where it is not noted that it is.
            once: Some(format!("{}/{id}", self.group.id)),
            reason: &reason,
            headers,
            payload,
        };
        match parked.store(&self.deriving.control).await {
            Ok(kept) => Ok(kept),
            // Nothing is passed over that is not kept: somebody has to make room.
            Err(error @ (ParkError::Full { .. } | ParkError::NoShare { .. })) => {
                Err(Stop(error.to_string()).into())
            }
            Err(ParkError::Broker(error)) => Err(error.into()),
        }
    }
}
