//! The service's tables, one a module.

pub(crate) mod incidents;
pub(crate) mod seen_events;
