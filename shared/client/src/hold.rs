//! For how long this member may read a consumer, and what of it is with the caller.
//!
//! ```text
//! held ─▶ wanted back ─▶ (everything handed out is acknowledged, or dropped) ─▶ lost
//!   └──────────────── the lease was over, and somebody else has it ──────────────▲
//! ```
//!
//! Nothing is handed out, and nothing acknowledged, while the lease is over: somebody else may hold the consumer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rowcast_domain::Position;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::delivery::{Acknowledges, Place, Way};
use crate::fence::Fence;
use crate::session::Session;

/// Until when a member holds what it holds.
pub(crate) type Lease = watch::Receiver<Instant>;

/// What may be done with a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Everything. Entered when the service gives it, and when it no longer wants it back.
    Held,
    /// Acknowledge what was handed out. Entered when the service wants it back.
    WantedBack,
    /// Nothing. Entered when it was let go, when the service says that it is not held, and when the group's position
    /// was moved: then it is begun anew.
    Lost,
}

/// The hold of one member on one consumer.
#[derive(Debug)]
pub(crate) struct Hold {
    lease: Lease,
    standing: watch::Sender<Standing>,
    fence: Fence,
    handed_out: Mutex<HandedOut>,
}

/// What is with the caller.
#[derive(Debug, Default)]
struct HandedOut {
    /// Deliveries that it has.
    count: usize,
    /// The last one, and its message.
    last: Option<(Position, u64)>,
    /// Whether one may be on its way.
    is_next: bool,
    /// What the caller has not seen of it.
    inside: Option<Inside>,
}

/// What of the deliveries is collected within this crate: all from one on.
#[derive(Debug, Clone, Copy)]
struct Inside {
    first: (Position, u64),
    /// The last one that the caller was given, if any.
    before: Option<(Position, u64)>,
}

/// Counts a delivery as long as the caller has it.
#[derive(Debug)]
pub(crate) struct Out {
    hold: Arc<Hold>,
    /// What was handed out before it.
    before: Option<(Position, u64)>,
}

impl Drop for Out {
    fn drop(&mut self) {
        self.hold.handed_out().count -= 1;
    }
}

/// The right to hand out the next delivery. While there is one, nothing is let go.
pub(crate) struct Next<'a>(&'a Arc<Hold>);

impl Drop for Next<'_> {
    fn drop(&mut self) {
        self.0.handed_out().is_next = false;
    }
}

impl Next<'_> {
    /// Notes that a change is handed out, with what acknowledges it.
    pub(crate) fn hand_out(
        &self,
        acknowledges: Acknowledges,
        position: Position,
        place: Place,
        session: &Arc<Session>,
    ) -> Way {
        let mut handed_out = self.0.handed_out();
        handed_out.count += 1;
        let before = handed_out.last.replace((position, place.stream_sequence));
        drop(handed_out);
        let hold = Arc::clone(self.0);
        Way::InOrder(acknowledges, Out { hold, before }, Arc::clone(session))
    }
}

impl Out {
    pub(crate) const fn hold(&self) -> &Arc<Hold> {
        &self.hold
    }

    /// Of the hold by which it was handed out.
    pub(crate) fn name(&self) -> HoldName {
        HoldName(Arc::downgrade(&self.hold))
    }

    /// Notes that this delivery, with this position and place, is collected: the caller sees neither it nor what
    /// comes behind it, until [`Hold::let_out`].
    pub(crate) fn take_in(&self, position: Position, sequence: u64) {
        let mut handed_out = self.hold.handed_out();
        handed_out.inside.get_or_insert(Inside {
            first: (position, sequence),
            before: self.before,
        });
    }
}

/// Tells holds apart, also after their end. It keeps nothing of what was handed out from being let go.
#[derive(Debug, Clone)]
pub(crate) struct HoldName(Weak<Hold>);

impl PartialEq for HoldName {
    fn eq(&self, other: &Self) -> bool {
        Weak::ptr_eq(&self.0, &other.0)
    }
}

impl Hold {
    pub(crate) fn new(lease: Lease) -> Self {
        Self {
            lease,
            standing: watch::Sender::new(Standing::Held),
            fence: Fence::default(),
            handed_out: Mutex::default(),
        }
    }

    /// How far the caller has acknowledged.
    pub(crate) const fn fence(&self) -> &Fence {
        &self.fence
    }

    fn handed_out(&self) -> MutexGuard<'_, HandedOut> {
        self.handed_out
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves it, except out of [`Standing::Lost`].
    pub(crate) fn set(&self, standing: Standing) {
        // Nobody may be given the right to hand out in this moment.
        let _handed_out = self.handed_out();
        self.standing.send_if_modified(|now| {
            let moves = *now != Standing::Lost && *now != standing;
            if moves {
                *now = standing;
            }
            moves
        });
    }

    pub(crate) fn standing(&self) -> Standing {
        *self.standing.borrow()
    }

    /// Whether nothing is left that the caller could acknowledge: it has all of it, or has dropped it.
    pub(crate) fn is_idle(&self) -> bool {
        let handed_out = self.handed_out();
        let is_covered = |(position, sequence)| self.fence.covers(position, sequence);
        !handed_out.is_next && (handed_out.count == 0 || handed_out.last.is_none_or(is_covered))
    }

    /// Notes that the caller is given what was collected.
    pub(crate) fn let_out(&self) {
        self.handed_out().inside = None;
    }

    /// Whether this one is among what is collected: the caller has not seen it.
    pub(crate) fn is_inside(&self, position: Position, sequence: u64) -> bool {
        let inside = self.handed_out().inside;
        inside.is_some_and(|inside| position >= inside.first.0 && sequence >= inside.first.1)
    }

    /// Whether the caller has acknowledged all that it was given before what is collected.
    pub(crate) fn is_acknowledged_outside(&self) -> bool {
        let inside = self.handed_out().inside;
        let before = inside.and_then(|inside| inside.before);
        before.is_none_or(|(position, sequence)| self.fence.covers(position, sequence))
    }

    /// Whether what was handed out may be acknowledged.
    pub(crate) fn may_acknowledge(&self) -> bool {
        self.standing() != Standing::Lost && *self.lease.borrow() > Instant::now()
    }

    /// Ends when the next change may be handed out; `None` where none may any more.
    pub(crate) async fn permits(self: &Arc<Self>) -> Option<Next<'_>> {
        loop {
            let changed = self.changed();
            if self.standing() == Standing::Lost {
                return None;
            }
            if let Some(next) = self.next() {
                return Some(next);
            }
            changed.await;
        }
    }

    fn next(self: &Arc<Self>) -> Option<Next<'_>> {
        let mut handed_out = self.handed_out();
        let may = self.standing() == Standing::Held && *self.lease.borrow() > Instant::now();
        may.then(|| {
            handed_out.is_next = true;
            Next(self)
        })
    }

    /// Ends when its standing, or the lease, is another one.
    pub(crate) fn changed(&self) -> impl Future<Output = ()> + Send + use<> {
        let (mut standing, mut lease) = (self.standing.subscribe(), self.lease.clone());
        lease.mark_unchanged();
        async move {
            let changed = tokio::select! {
                changed = standing.changed() => changed,
                changed = lease.changed() => changed,
            };
            if changed.is_err() {
                // Nobody renews the lease any more, and nothing is held for longer than that.
                std::future::pending::<()>().await;
            }
        }
    }
}
