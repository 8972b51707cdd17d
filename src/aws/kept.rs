//! Keeps what the SDK does not return of a response: its date by the service's clock, or its document with the members that
//! the SDK does not know.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::DateTime;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::date_time::Format;
use jiff::Timestamp;
use serde_json::Value;

/// An interceptor of one call that keeps a part of the response.
#[derive(Debug, Clone)]
pub struct Kept<T> {
    read: fn(&HttpResponse) -> Option<T>,
    value: Arc<Mutex<Option<T>>>,
}

impl<T> Kept<T> {
    fn new(read: fn(&HttpResponse) -> Option<T>) -> Self {
        let value = Arc::default();
        Self { read, value }
    }

    /// The part of the latest response; `None` if the response lacks it.
    pub fn take(&self) -> Option<T> {
        let mut value = self.value.lock().unwrap_or_else(PoisonError::into_inner);
        value.take()
    }
}

/// Keeps the `Date` header.
pub fn date() -> Kept<Timestamp> {
    Kept::new(|response| {
        let date = response.headers().get("date")?;
        timestamp(&DateTime::from_str(date, Format::HttpDate).ok()?)
    })
}

/// Keeps the JSON document of a response that is in memory.
pub fn document() -> Kept<Value> {
    Kept::new(|response| serde_json::from_slice(response.body().bytes()?).ok())
}

impl<T: fmt::Debug + Send + 'static> Intercept for Kept<T> {
    fn name(&self) -> &'static str {
        "Kept"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let read = (self.read)(context.response());
        *self.value.lock().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(())
    }
}

/// The SDK's time as a timestamp; `None` outside the range of a calendar.
pub fn timestamp(time: &DateTime) -> Option<Timestamp> {
    Timestamp::from_nanosecond(time.as_nanos()).ok()
}
