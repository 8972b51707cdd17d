//! Tests of the whole system on this machine: the package as it is built, and the sandbox in which it runs.

mod alarms;
mod package;
mod packaged;
mod sandbox;
mod sandbox_access;
mod sandbox_http;
mod sandbox_load;
mod sandbox_session;
