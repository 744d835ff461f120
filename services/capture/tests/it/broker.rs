//! What happens to the broker and to the link to it: nothing is lost, nothing comes twice, and no batch
//! is torn.

mod load;
mod crashes;
mod cluster;
mod lazy;
mod link;
mod limits;
mod stream_watch;
