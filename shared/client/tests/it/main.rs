//! A subscription against a real NATS.

mod fixture;
mod delivery;
mod failure;
mod moved;
mod packs;
mod pieces;
mod shared;
mod transactions;
