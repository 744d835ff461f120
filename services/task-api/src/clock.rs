//! The time of this process.

use chrono::{DateTime, SubsecRound as _, Utc};

/// Now, in the microseconds that PostgreSQL keeps: what is answered is what is read again later.
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}
