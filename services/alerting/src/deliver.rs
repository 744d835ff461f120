//! Tells contacts what is written down for them, until they have taken it.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rowcast_domain::{Backoff, DeliveryId};
use rowcast_pg::Networks;
use rowcast_service::keyring::{self, Keyring};
use rowcast_service::{BoxError, CancellationToken};
use sqlx::PgPool;

use crate::mail::Mailer;
use crate::store::contacts::{self, Contact, Target};
use crate::store::deliveries::{self, Delivery};
use crate::webhook;

/// How often it is looked for what is due.
const EVERY: Duration = Duration::from_secs(1);

/// How long one contact may take, whatever it does.
const TELL_WITHIN: Duration = Duration::from_secs(20);

/// How often what was told long ago is forgotten.
const FORGET_EVERY: TimeDelta = TimeDelta::hours(1);

/// After the first failure; twice as long after each further one.
const AGAIN_AFTER: TimeDelta = TimeDelta::seconds(1);

/// The longest time between two attempts.
const AGAIN_WITHIN: TimeDelta = TimeDelta::minutes(15);

/// What could not be told for this long is given up.
const GIVEN_UP_AFTER: TimeDelta = TimeDelta::hours(24);

/// What it takes to tell a contact.
#[derive(Debug, Clone)]
pub(crate) struct Sender {
    pub(crate) pool: PgPool,
    pub(crate) keyring: Keyring,
    pub(crate) networks: Networks,
    /// Absent where no mail is sent.
    pub(crate) mailer: Option<Mailer>,
}

/// Tells what is due until told to stop. One that is cut off is told again, under the same id.
///
/// # Errors
/// None while the database can come back.
pub(crate) async fn run(sender: Sender, stop: CancellationToken) -> Result<(), BoxError> {
    let mut backoff = Backoff::new(EVERY, Duration::from_secs(10));
    let mut forget_at = Utc::now();
    while !stop.is_cancelled() {
        let told = stop.run_until_cancelled(Box::pin(sender.round(&mut forget_at)));
        let wait = match told.await {
            None => break,
            Some(Ok(true)) => {
                backoff = Backoff::new(EVERY, Duration::from_secs(10));
                continue;
            }
            Some(Ok(false)) => EVERY,
            Some(Err(error)) => {
                tracing::warn!(%error, "contacts are not told, trying again");
                backoff.next_wait()
            }
        };
        stop.run_until_cancelled(tokio::time::sleep(wait)).await;
    }
    Ok(())
}

impl Sender {
    async fn round(&self, forget_at: &mut DateTime<Utc>) -> Result<bool, sqlx::Error> {
        let now = Utc::now();
        if now >= *forget_at {
            deliveries::forget(&self.pool, now).await?;
            *forget_at = now + FORGET_EVERY;
        }
        self.tell_next().await
    }

    /// `false` where nothing is due.
    async fn tell_next(&self) -> Result<bool, sqlx::Error> {
        let Some(delivery) = deliveries::take_due(&self.pool).await? else {
            return Ok(false);
        };
        let Delivery {
            id,
            contact_id,
            task_id,
            created_at,
            attempts,
            ..
        } = &delivery;
        let told = self.tell(&delivery).await?;
        let now = Utc::now();
        match told {
            Ok(()) => {
                tracing::info!(delivery = %id, contact = %contact_id, task = %task_id, "contact told");
                deliveries::end(&self.pool, id, now).await?;
            }
            Err(error) if now - created_at > GIVEN_UP_AFTER => {
                tracing::error!(delivery = %id, contact = %contact_id, task = %task_id, %error, attempts, "contact not told for 24 hours, given up");
                deliveries::end(&self.pool, id, now).await?;
            }
            Err(error) => {
                tracing::warn!(delivery = %id, contact = %contact_id, task = %task_id, %error, attempts, "contact not told, trying again");
                deliveries::put_off(&self.pool, id, *attempts, wait_after(*attempts)).await?;
            }
        }
        Ok(true)
    }

    async fn tell(&self, delivery: &Delivery) -> Result<Result<(), BoxError>, sqlx::Error> {
        match contacts::get(&self.pool, &delivery.contact_id).await? {
            Some(contact) => {
                let sent = self.send(&contact, &delivery.id, &delivery.body);
                let sent = tokio::time::timeout(TELL_WITHIN, Box::pin(sent)).await;
                Ok(sent.unwrap_or_else(|_elapsed| Err("it did not answer in time".into())))
            }
            // And so is the delivery.
            None => Ok(Ok(())),
        }
    }

    /// Tells a contact, once.
    ///
    /// # Errors
    /// Where it was not told, or has not said that it was.
    pub(crate) async fn send(
        &self,
        contact: &Contact,
        id: &DeliveryId,
        body: &str,
    ) -> Result<(), BoxError> {
        match &contact.target {
            Target::Webhook { url, secret } => {
                let sealed_for = keyring::contact_secret(contact.id.as_str());
                let secret = self.keyring.open(secret, &sealed_for)?;
                webhook::send(&self.networks, url, &secret, id, body).await?;
            }
            Target::Mail(address) => {
                let mailer = self.mailer.as_ref().ok_or("this platform sends no mail")?;
                mailer.send(address, id, body).await?;
            }
        }
        Ok(())
    }
}

fn wait_after(attempts: u32) -> TimeDelta {
    let doublings = attempts.saturating_sub(1).min(16);
    (AGAIN_AFTER * (1 << doublings)).min(AGAIN_WITHIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_doubles_the_wait_up_to_a_limit() {
        let waits = [1, 2, 3, 11, 500].map(|attempts| wait_after(attempts).num_seconds());
        assert_eq!(waits, [1, 2, 4, 900, 900]);
    }
}
