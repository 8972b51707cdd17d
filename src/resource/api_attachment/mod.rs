//! Attaches the authorizer to the API's methods, and deploys the API so that the change takes
//! effect.
//!
//! The API belongs to the operator: the original state of each method is recorded first, and
//! restored exactly. Callers see no change until the stage is deployed, which happens once, after
//! every method is changed.
//!
//! Seven terms, with the file of each:
//!
//! - *protect*: set this stack's authorizer on a method (`method_steps` decides, `apply` does it).
//! - *restore*: return a method, a gateway response or the stage to its original state (`restore`).
//! - *record*: the original state of each method and gateway response, kept in Parameter Store
//!   (`record`).
//! - *undeployed change*: another user's edit of the API's draft that this stack's deployment would
//!   publish (`undeployed_changes`).
//! - *other stack*: a stack of this program on the same API (`other_stacks`).
//! - *freeze*, *thaw*: turn the automatic deployment of a stage off and on again (`automatic`); all
//!   stages of the stack on one API together (`stages`), whose records have the same methods
//!   (`sharing`).
//! - *deployment*: the copy of the draft that a stage serves; the description of this stack's
//!   deployments lists what they contain (`marker`).

mod actual;
mod apply;
pub mod automatic;
pub mod deleted_api;
pub mod deployments;
mod drafted;
mod kind;
pub mod lost_record;
mod marker;
mod method_steps;
pub mod missing_record;
pub mod other_stacks;
pub mod own_deployments;
mod protect;
mod publication;
pub mod record;
mod removal;
pub mod responses;
pub mod restore;
mod restored;
pub mod rollback;
pub mod route_by_route;
mod route_marks;
pub mod selection;
pub mod served;
mod sharing;
pub mod stages;
pub mod still_served;
pub mod undeployed_changes;

pub use self::apply::{ApiAttachment, DEPLOYMENT, GUARDED, Guarded};
pub use self::kind::ApiAttachments;
pub use self::method_steps::Wanted;
pub use self::publication::Publication;
pub use self::served::Standing;
