//! Plans and executes changes: [`plan`] is pure, [`executor`] runs the steps. Neither depends on
//! AWS.

pub mod duration;
pub mod executor;
pub mod graph;
pub mod observe;
pub mod plan;
mod polls;
mod step;

#[cfg(test)]
mod tests;
