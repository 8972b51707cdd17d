//! Real requests that prove that the API is protected: what to ask, what to expect, what an answer means. Pure;
//! [`http`] sends, [`prove`](run::prove) asks again while a deployment spreads.

pub mod http;
mod judge;
mod probes;
mod reason;
mod report;
pub mod run;

pub use self::judge::{Answer, judge};
pub use self::probes::{Expectation, Key, Probe, probes};
pub use self::report::{Check, Fault, Report, Row, Verdict};
