//! Score: what a run found of what is known to be wrong in simulated worlds, and what it found beside.
//!
//! ```text
//!  labels.jsonl ─┐
//!                ├─► read ─► matrix (pure) ─► render ─► table, docs/scorecard.md
//!  results/… ────┘
//! ```
//! It reads a lake and never writes to one. The worlds themselves are made without it and know
//! nothing of it: the two meet in the file of labels alone.

mod card;
mod index;
mod matrix;
mod read;
mod render;
mod world;

pub use card::{FaultScore, RuleScore, Scorecard, WorldScore};
pub use matrix::score;
pub use read::{ScoreError, load};
pub use render::{
    FAULT_HEADINGS, RULE_HEADINGS, WORLD_HEADINGS, fault_cells, markdown, placed, rule_cells,
    world_cells,
};
pub use world::{Entity, Label, Record, Signal, World};

#[cfg(test)]
mod tests;
