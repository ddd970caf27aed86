//! trueup finds usage-billing errors before an invoice reaches a customer.
pub mod cli;
pub mod config;
pub mod derive;
pub mod detect;
pub mod explain;
pub mod export;
pub mod lake;
pub mod model;
pub mod rating;
pub mod remediate;
pub mod rules;
pub mod session;
pub mod signals;
pub mod simulate;
pub mod sources;
