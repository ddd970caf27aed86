//! One binary for all integration tests: linking the engine once is what costs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first thing that is not as expected"
)]

mod apart;
mod architecture;
mod backtest;
mod cli;
mod crash;
mod derive;
mod export;
mod fixtures;
mod lake;
mod life;
mod needs;
mod rating;
mod readme;
mod rules;
mod support;
