//! Polls Darktrace masters and posts what is new to a data collection rule of Azure Monitor.
//!
//! The modules in reading order, from the words to the edges. A module imports lower ranks and its own children only;
//! `tests/it/architecture.rs` holds the street one-way, and `ARCHITECTURE.md` has the few imports within a rank.

// Rank 0, words.
pub mod instant;
pub mod key;
pub mod secret;
pub mod source;

// Rank 1, rules: pure functions of their arguments.
pub mod attack;
pub mod batch;
pub mod checkpoint;
pub mod conditions;
pub mod records;
pub mod report;
pub mod retry;
pub mod row;
pub mod settings;
pub mod status;
pub mod window;

// Rank 2, wires: each talks to one remote and knows none of the others; `http` is the transport they share.
pub mod darktrace;
pub mod http;
pub mod identity;
pub mod ingestion;
pub mod store;
pub mod vault;

// Rank 3, the story: plan, fetch, set aside, map, batch, post, commit. Beside it the preflight.
pub mod backfill;
pub mod check;
pub mod cycle;

// Rank 4, edges.
pub mod app;
pub mod cli;
pub mod handler;
pub mod log;

// Rank S, simulators: for the `demo` command and the tests; they import nothing of the above.
#[cfg(feature = "demo")]
pub mod sim;
