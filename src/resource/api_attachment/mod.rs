//! The attachment of the authorizer to the API's methods, and the deployment that makes it count.
//!
//! The API belongs to the operator: what each method was is recorded first, and restored exactly. Callers see nothing of a
//! change until the stage is deployed, which happens once, after every method is changed.
//!
//! Six words, with the file of each:
//!
//! - *protect*: set our authorizer on a method (`method_steps` decides, `apply` does it).
//! - *restore*: set on a method, a gateway response or the stage what it had before (`restore`).
//! - *record*: what each method and gateway response was before, kept in Parameter Store (`record`).
//! - *undeployed change*: an edit of others in the API's draft that our deployment would publish (`undeployed_changes`).
//! - *other stack*: a stack of this program on the same API (`other_stacks`).
//! - *deployment*: the copy of the draft that a stage serves; the description of ours says what it holds (`marker`).

mod actual;
mod apply;
mod deployments;
mod kind;
mod marker;
mod method_steps;
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

pub use self::apply::{AcceptedChanges, ApiAttachment, DEPLOYMENT};
pub use self::kind::ApiAttachments;
pub use self::method_steps::Wanted;
pub use self::served::{Served, Standing};
