//! Billing as a process, with a real PostgreSQL and a real NATS.

mod fixture;
mod purchase;
mod metering;
mod subscription;
