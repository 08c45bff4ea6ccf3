//! Polls Darktrace masters and posts what is new to a data collection rule of Azure Monitor.
//!
//! The modules in reading order, from the words to the edges. A module imports lower ranks and its own children only;
//! `tests/it/architecture.rs` holds the street one-way.

// Rank 0, words.
pub mod instant;
pub mod source;

// Rank 1, rules: pure functions of their arguments.
pub mod key;
pub mod report;

// Rank S, simulators: for the `demo` command and the tests; they import nothing of the above.
#[cfg(feature = "demo")]
pub mod sim;
