//! Keeps the text of a response, for members that the SDK does not know.

use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use serde_json::Value;

/// An interceptor of one call that keeps the JSON document of the response.
#[derive(Debug, Clone, Default)]
pub struct RawResponse(Arc<Mutex<Option<Value>>>);

impl RawResponse {
    /// The document; null if the response is not JSON, or its body was not read into memory.
    pub fn document(&self) -> Value {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.take().unwrap_or_default()
    }
}

impl Intercept for RawResponse {
    fn name(&self) -> &'static str {
        "RawResponse"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.response().body().bytes();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            body.and_then(|body| serde_json::from_slice(body).ok());
        Ok(())
    }
}
