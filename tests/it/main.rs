//! Journeys through the real thing: one binary, because each links everything.
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "what a test cannot do without ends it")]

mod azurite;
#[cfg(feature = "crash-points")]
mod crash;
mod handler;
mod host;
mod journeys;
mod serve;
mod settings;
mod store;
mod world;
