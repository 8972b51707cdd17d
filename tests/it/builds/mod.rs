//! What builds the authorizer, and what runs it: the package and the sandbox.

mod package;
mod sandbox;
mod sandbox_access;
