//! A sandbox that runs in this process.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use jiff::Timestamp;
use threescale_stand_in::Threescale;

use crate::aws::Aws;
use crate::config::Config;
use crate::names::Names;
use crate::sandbox::{Control, Facts, Keys, Place, Sandbox};

/// All running parts. They end when this value is dropped.
pub(super) struct Running {
    pub(super) sandbox: Sandbox,
    pub(super) threescale: Arc<Threescale>,
    pub(super) config: Config,
    pub(super) aws: Aws,
    pub(super) names: Names,
    pub(super) facts: Facts,
    pub(super) keys: Keys,
    pub(super) control: Control,
    pub(super) place: Place,
    /// Set when the sandbox is ready and no longer depends on the process that started it.
    pub(super) stands: Arc<AtomicBool>,
}

/// The current time in Unix milliseconds.
pub(super) fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}
