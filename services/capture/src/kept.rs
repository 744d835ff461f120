//! A value in KV with one writer at a time.
//!
//! The lease says who may write, but a process that was stopped and woken does not know yet that it
//! has lost it. So every write names the revision that it replaces: one that another process has
//! replaced meanwhile is refused, and the late writer ends.

use std::marker::PhantomData;

use bytes::Bytes;
use rowcast_bus::async_nats::jetstream::kv;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;

/// A value under a key.
#[derive(Debug)]
pub(crate) struct Kept<T> {
    store: kv::Store,
    key: String,
    /// Of the last write that is known; 0 where there is no value.
    revision: u64,
    /// What was written, or perhaps written, last.
    attempted: Option<Bytes>,
    /// The outcome of the last write is not known.
    in_doubt: bool,
    value: PhantomData<T>,
}

impl<T: Serialize + DeserializeOwned> Kept<T> {
    /// Reads the value; `None` where there is none.
    ///
    /// # Errors
    /// Where the broker does not answer, or the value is not ours.
    pub(crate) async fn open(
        store: kv::Store,
        key: impl Into<String>,
    ) -> Result<(Self, Option<T>), Error> {
        let key = key.into();
        let entry = store.entry(&key).await.map_err(Error::broker)?;
        let revision = entry.as_ref().map_or(0, |entry| entry.revision);
        let value = entry
            .filter(|entry| entry.operation == kv::Operation::Put)
            .map(|entry| serde_json::from_slice(&entry.value).map_err(Error::broker))
            .transpose()?;
        let kept = Self {
            store,
            key,
            revision,
            attempted: None,
            in_doubt: false,
            value: PhantomData,
        };
        Ok((kept, value))
    }

    /// Replaces the value.
    ///
    /// # Errors
    /// [`Error::Fenced`] where another process has written it; otherwise it is not known whether the
    /// value is stored, and the next write finds out.
    pub(crate) async fn write(&mut self, value: &T) -> Result<(), Error> {
        let value = Bytes::from(serde_json::to_vec(value).map_err(Error::broker)?);
        if self.in_doubt {
            self.look().await?;
        }
        let replaced = self.attempted.replace(value.clone());
        match self.store.update(&self.key, value, self.revision).await {
            Ok(revision) => {
                self.revision = revision;
                Ok(())
            }
            Err(error) => {
                // Either what was there, or what was to be written, is there now.
                if error.kind() == kv::UpdateErrorKind::WrongLastRevision {
                    self.attempted = replaced;
                }
                self.in_doubt = true;
                Err(Error::broker(error))
            }
        }
    }

    /// Finds out what became of the last write.
    async fn look(&mut self) -> Result<(), Error> {
        let entry = self.store.entry(&self.key).await.map_err(Error::broker)?;
        let Some(entry) = entry else {
            if self.revision > 0 {
                // The bucket was lost or made anew.
                return Err(Error::Fenced {
                    what: self.key.clone(),
                });
            }
            self.in_doubt = false;
            return Ok(());
        };
        if entry.revision != self.revision {
            if self.attempted.as_ref() != Some(&entry.value) {
                return Err(Error::Fenced {
                    what: self.key.clone(),
                });
            }
            self.revision = entry.revision;
        }
        self.in_doubt = false;
        Ok(())
    }
}
