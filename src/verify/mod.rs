//! Real requests that prove that the API is protected: the requests, the expectations, the evaluation of responses.
//! Pure, except that [`http`] sends requests and [`run`] repeats them while a deployment propagates.

mod answer;
mod before;
mod expectation;
pub mod http;
mod judge;
mod probes;
pub mod proof;
pub(crate) mod reason;
mod report;
mod route_judge;
mod route_request;
pub mod run;

pub use self::answer::{Answer, Refusals};
pub use self::before::Before;
pub use self::expectation::Expectation;
pub use self::judge::judge;
pub use self::probes::{Key, Keys, Probe, probes};
pub use self::report::{Check, Fault, Report, Row, Verdict, document};
pub use self::route_request::other_stage;
