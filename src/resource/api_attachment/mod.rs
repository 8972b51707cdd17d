//! The attachment of the authorizer to the API's methods, and the deployment that makes it count.
//!
//! The API is not ours: what each method was is recorded first ([`record`]), and given back exactly. Callers see nothing
//! of a change until the stage is deployed, which happens once, when every method is ready.

mod actual;
mod apply;
mod deployments;
mod kind;
mod marker;
mod method_updates;
pub mod missing_record;
pub mod other_stacks;
pub mod record;
pub mod responses;
mod restore;
mod restored;
pub mod rollback;
pub mod selection;
pub mod served;
pub mod undeployed_changes;

pub use self::apply::{ApiAttachment, DEPLOYMENT};
pub use self::kind::ApiAttachments;
pub use self::served::{Served, Standing};
