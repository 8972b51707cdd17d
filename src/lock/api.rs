//! The locks of the APIs: of all stacks on an API, only one touches its draft at a time.
//!
//! A run takes the lock before the comparison of the draft that decides about a change, and holds it until the deployment is
//! verified or undone. It does not hold it while the rest of its stack is created or deleted. The run already holds the lock
//! of its stack.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt as _};
use tokio::sync::Mutex;

use super::{Lock, wait};
use crate::api_gateway::ApiTarget;
use crate::aws::{AwsError, Class};
use crate::cancel::CancelToken;
use crate::error::Error;
use crate::notice::NoticeCode;
use crate::resource::{ApiExclusion, Context, ResourceError};

/// The locks of the APIs that this run works on. Call [`ApiLocks::release`] before the end of the run.
#[derive(Debug)]
pub struct ApiLocks {
    cx: Context,
    cancel: CancelToken,
    /// How long a run waits for another stack.
    patience: Duration,
    held: Mutex<BTreeMap<String, Entered>>,
}

/// The lock of an API, and what it was taken for.
#[derive(Debug)]
struct Entered {
    lock: Lock,
    targets: BTreeSet<ApiTarget>,
}

impl ApiLocks {
    /// No locks yet. A run that loses one is stopped through `cancel`. `patience`: how long it waits for another stack.
    pub fn new(cx: &Context, cancel: &CancelToken, patience: Duration) -> Self {
        Self {
            cx: cx.clone(),
            cancel: cancel.clone(),
            patience,
            held: Mutex::default(),
        }
    }

    /// Releases every lock that is still held. One that cannot be released expires.
    pub async fn release(&self) {
        let held = std::mem::take(&mut *self.held.lock().await);
        for (api, entered) in held {
            if let Err(error) = entered.lock.release().await {
                let text = format!("could not release the lock of API {api}: {error}");
                self.cx.sink().finding(NoticeCode::LockNotReleased, text);
            }
        }
    }

    /// Takes the lock of the API, and waits for another stack that has it.
    async fn take(&self, api_id: &str) -> Result<Lock, ResourceError> {
        let cx = self.cx.of_api(api_id);
        let until = "waiting until that run has finished its work on the API";
        let taken = wait::take(&cx, &self.cancel, self.patience, until).await;
        taken.map_err(|error| match self.cancel.stop() {
            Some(_) => ResourceError::Aws(AwsError {
                class: Class::Stopped,
                ..AwsError::incomplete("ssm:PutParameter", error.to_string())
            }),
            None => cause(&error),
        })
    }
}

/// The error of a lock that was not taken.
fn cause(error: &Error) -> ResourceError {
    let hints = error.hints();
    match error.cause::<ResourceError>() {
        Some(cause) => cause.clone(),
        None => ResourceError::ApiLocked {
            what: error.to_string(),
            hint: (!hints.is_empty()).then(|| hints.join("; ")),
        },
    }
}

impl ApiExclusion for ApiLocks {
    fn enter<'a>(&'a self, target: &'a ApiTarget) -> BoxFuture<'a, Result<bool, ResourceError>> {
        async {
            let mut held = self.held.lock().await;
            if let Some(entered) = held.get_mut(&target.id) {
                entered.targets.insert(target.clone());
                return Ok(false);
            }
            let lock = self.take(&target.id).await?;
            let targets = BTreeSet::from([target.clone()]);
            held.insert(target.id.clone(), Entered { lock, targets });
            Ok(true)
        }
        .boxed()
    }

    fn leave<'a>(&'a self, target: &'a ApiTarget) -> BoxFuture<'a, Result<(), ResourceError>> {
        async {
            let mut held = self.held.lock().await;
            let Some(mut entered) = held.remove(&target.id) else {
                return Ok(());
            };
            entered.targets.remove(target);
            if entered.targets.is_empty() {
                return entered.lock.release().await;
            }
            held.insert(target.id.clone(), entered);
            Ok(())
        }
        .boxed()
    }
}
