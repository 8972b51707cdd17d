//! Caches listings for one observation: every listing is requested once, however many resources
//! read it.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

type Cell = Arc<OnceCell<Arc<dyn Any + Send + Sync>>>;

/// Caches listings by name for one observation.
#[derive(Debug, Default)]
pub struct ListingCache(Mutex<HashMap<(TypeId, String), Cell>>);

impl ListingCache {
    /// Returns the listing `name`: the first reader requests it, and the others share the result. A
    /// failure is not cached.
    ///
    /// # Errors
    /// The error of `ask`.
    pub async fn get_or_fetch<T, E, F>(&self, name: impl Into<String>, ask: F) -> Result<Arc<T>, E>
    where
        T: Send + Sync + 'static,
        F: Future<Output = Result<T, E>> + Send,
    {
        let key = (TypeId::of::<T>(), name.into());
        let cell = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(key)
            .or_default()
            .clone();
        // Boxed, because listings request other listings, and the nested futures would overflow the stack.
        let ask = Box::pin(ask);
        let value = cell
            .get_or_try_init(|| async {
                Ok::<_, E>(Arc::new(ask.await?) as Arc<dyn Any + Send + Sync>)
            })
            .await?;
        let value = Arc::clone(value).downcast();
        Ok(value.expect("a listing is remembered by its type"))
    }
}
