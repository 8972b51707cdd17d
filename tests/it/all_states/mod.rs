//! What a run leaves at every point where it can be cut off, and at every call that can fail.

mod crash;
mod faults;
