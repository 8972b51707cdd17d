//! What other owners have in the stack's network. EC2 does not delete a network resource that others use, so
//! `down` has to know it before its first deletion.

mod around;
mod attached;
mod judge;
mod look;
mod read;

pub(super) use self::around::{Attached, Endpoint, Interface, Peering};
pub(super) use self::attached::attached;
pub use self::judge::{Holder, Neighbors};
pub use self::look::{explain, look};
pub(super) use self::read::{endpoints, interfaces, peerings};
pub use self::read::{is_empty, used_by_others};
