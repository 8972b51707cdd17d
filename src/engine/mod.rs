//! Decides what to do and does it: [`plan`] is pure, [`executor`] walks. Neither knows what AWS is.

pub mod executor;
pub mod graph;
pub mod observe;
pub mod plan;
mod polls;
mod step;

#[cfg(test)]
mod tests;
