//! The attachment of the authorizer to the API's methods, and the deployment that makes it count.
//!
//! The API is not ours: what each method was is recorded first ([`record`]), and given back exactly. Callers see nothing
//! of a change until the stage is deployed, which happens once, when every method is ready.

mod actual;
mod deployments;
mod desired;
mod hand_back;
mod kind;
pub mod lost;
mod marker;
mod method_updates;
pub mod pending;
pub mod record;
pub mod responses;
mod restored;
pub mod rollback;
pub mod select;
pub mod served;
pub mod shared;

pub use self::desired::{ApiAttachment, DEPLOYMENT};
pub use self::kind::ApiAttachments;
pub use self::served::{Served, Standing};
