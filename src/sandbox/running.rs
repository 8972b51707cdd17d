//! A sandbox that runs in this process.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use jiff::Timestamp;
use threescale_stand_in::Threescale;

use super::{ApiType, Control, Facts, Keys, Place, Sandbox};
use crate::aws::Aws;
use crate::config::Config;
use crate::names::Names;

/// All running parts. They end when this value is dropped.
#[derive(Debug)]
pub struct Running {
    pub sandbox: Sandbox,
    pub threescale: Arc<Threescale>,
    pub config: Config,
    pub api_type: ApiType,
    pub aws: Aws,
    pub names: Names,
    pub facts: Facts,
    pub keys: Keys,
    pub control: Control,
    pub place: Place,
    /// Set when the sandbox is ready and no longer depends on the process that started it.
    pub ready: Arc<AtomicBool>,
}

/// The current time in Unix milliseconds.
pub fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}
