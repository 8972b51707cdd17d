//! The state that a run leaves at every point where it can be interrupted, and at every call that can fail.

mod crash;
mod faults;
