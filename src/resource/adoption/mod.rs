//! The adoption of a network that somebody made by hand: which of its resources can become resources of the stack, which
//! cannot and why, and the tags that make them so.
//!
//! What the stack owns in a network is found by tags, so tags alone adopt it. A cache, a function, a role and a security
//! group have names that cannot be changed: they are left.

mod found;
mod judge;
mod left;
mod outcome;
mod owner;
mod read;
mod routes;
mod services;
mod tagging;
#[cfg(test)]
mod tests;

pub use self::found::{Found, Subject};
pub use self::judge::judge;
pub use self::outcome::{Adopted, Adoption, Left, Setting, Slice, Wanted};
pub use self::read::{candidates, read};
pub use self::tagging::{adopt, is_adopted};
