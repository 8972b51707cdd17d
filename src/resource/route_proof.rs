//! Proves one route with real requests, before a run changes the other routes of a stage that serves each route when it is
//! changed.

use std::fmt;

use futures::future::BoxFuture;

use super::error::ResourceError;

/// How a route answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteVerdict {
    /// As expected.
    Works,
    /// Not every request got an answer that tells it.
    Unknown,
    /// In a way that harms callers: the answers, as text.
    Harms(String),
}

/// The requests that prove a route. The resources do not know how an API is verified, so the command provides them.
pub trait RouteProof: fmt::Debug + Send + Sync {
    /// The index of the route whose requests show most: one that changes nothing, if there is one, in the order of `routes`,
    /// which are labels. `None` if no request surely reaches one of them.
    fn choose(&self, routes: &[String]) -> Option<usize>;

    /// Sends requests to the route with this label.
    ///
    /// # Errors
    /// The errors of the services.
    fn prove<'a>(&'a self, route: &'a str) -> BoxFuture<'a, Result<RouteVerdict, ResourceError>>;
}
