//! Which of the resources with the stack's tags it owns. Anyone can copy tags, and two creations can result from one if
//! a response is lost.

mod judge;
mod look;

pub use self::judge::{Claim, Verdicts};
pub use self::look::{Settled, created_vpcs, private_subnets, settled, verdicts, zones};
