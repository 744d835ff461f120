//! A subscription against a real NATS.

mod fixture;
mod anew;
mod delivery;
mod failure;
mod members;
mod moved;
mod packs;
mod pieces;
mod dead_letter;
mod shared;
mod tls;
mod transactions;
