//! Keeps the server from sending pieces again while their change is still on its way: a large change
//! over a slow line takes longer than a message may stay unacknowledged, and what comes again would
//! take the line from what is missing.

use std::time::Duration;

use async_nats::Subject;
use async_nats::jetstream::{AckKind, Message};
use bytes::Bytes;
use tokio::time::Instant;

/// The pieces of the change that is being joined, and when the server last heard of them.
#[derive(Debug)]
pub(crate) struct Patience {
    every: Duration,
    pieces: Vec<Message>,
    asked: Instant,
}

impl Patience {
    /// `ack_wait` is how long the server waits for an acknowledgement.
    pub(crate) fn new(ack_wait: Duration) -> Self {
        Self {
            every: ack_wait / 3,
            pieces: Vec::new(),
            asked: Instant::now(),
        }
    }

    /// Takes a piece.
    pub(crate) fn hold(&mut self, mut piece: Message) {
        // Only the reply is needed, and not the buffer that it was read in.
        piece.message.payload = Bytes::new();
        piece.message.headers = None;
        piece.message.subject = Subject::from_static("piece");
        let reply = piece.message.reply.take();
        piece.message.reply = reply.map(|reply| Subject::from(reply.to_string()));
        if self.pieces.is_empty() {
            self.asked = Instant::now();
        }
        self.pieces.push(piece);
    }

    /// Ends when the server is to be asked again, which is never where no piece is held.
    pub(crate) async fn due(&self) {
        if self.pieces.is_empty() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep_until(self.asked + self.every).await;
    }

    /// Asks the server to wait on for all pieces. Where it does not hear it, they come again, which
    /// costs time and nothing else.
    pub(crate) async fn ask(&mut self) {
        self.asked = Instant::now();
        for piece in &self.pieces {
            if let Err(error) = piece.ack_with(AckKind::Progress).await {
                tracing::debug!(error = %error, "the server does not hear that pieces are under way");
            }
        }
    }

    /// No change is being joined any more.
    pub(crate) fn end(&mut self) {
        self.pieces = Vec::new();
    }
}
