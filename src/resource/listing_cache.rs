//! One look at the account: every listing is asked for once, however many resources read it.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

type Cell = Arc<OnceCell<Arc<dyn Any + Send + Sync>>>;

/// Remembers listings by name for as long as one look lasts.
#[derive(Debug, Default)]
pub struct ListingCache(Mutex<HashMap<(TypeId, String), Cell>>);

impl ListingCache {
    /// The listing called `name`: asked for by the first reader, remembered for the others. A failure is not remembered.
    ///
    /// # Errors
    /// What `ask` fails with.
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
        // Listings ask for one another: in one piece, what they keep while they wait would not fit on a stack.
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
