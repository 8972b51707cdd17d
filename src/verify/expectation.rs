//! What is expected of a method.

/// The expected protection of a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expectation {
    /// Protected by our authorizer.
    Protected,
    /// Requires no credential.
    Open,
    /// Protected by another authorization type, so it is not called.
    Guarded,
}
