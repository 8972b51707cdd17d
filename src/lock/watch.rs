//! Whether a run still holds its lock: `unlock` releases it without asking the run.

use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt as _};

use super::{Held, Lock, NAME, lost};
use crate::aws::{AwsError, Class};
use crate::cancel::CancelToken;
use crate::notice::NoticeCode;
use crate::resource::{Context, ResourceError, StackLock, parameter};

impl Lock {
    /// Checks before each step that this run still holds the lock.
    pub fn watch(&self) -> Arc<dyn StackLock> {
        Arc::new(Watch {
            cx: self.cx.clone(),
            cancel: self.cancel.clone(),
            token: self.token.clone(),
        })
    }
}

/// The lock of a run.
#[derive(Debug)]
struct Watch {
    cx: Context,
    cancel: CancelToken,
    token: String,
}

impl Watch {
    async fn look(&self) -> Result<(), ResourceError> {
        // The lease says how long the run may go on without a successful read.
        let Ok(listed) = parameter::list_sealed(&self.cx).await else {
            return Ok(());
        };
        let held = listed.get(NAME).map(Held::read);
        if held.as_ref().is_some_and(|held| held.is_of(&self.token)) {
            return Ok(());
        }
        let why = lost(held.as_ref());
        if self.cancel.stop().is_none() {
            self.cancel.interrupt();
            self.cx.sink().finding(NoticeCode::LockLost, &why);
        }
        Err(ResourceError::Aws(AwsError {
            class: Class::Stopped,
            ..AwsError::incomplete("ssm:GetParametersByPath", why)
        }))
    }
}

impl StackLock for Watch {
    fn ensure_held(&self) -> BoxFuture<'_, Result<(), ResourceError>> {
        self.look().boxed()
    }
}
