//! The service's tables, one a module.

pub(crate) mod contacts;
pub(crate) mod deleted_groups;
pub(crate) mod deliveries;
pub(crate) mod incidents;
pub(crate) mod rules;
pub(crate) mod seen_events;
