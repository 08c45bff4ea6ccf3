//! Journeys through the real thing: one binary, because each links everything.
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "what a test cannot do without ends it")]

mod appliance;
mod architecture;
mod azurite;
mod demo;
mod checkpoints;
#[cfg(feature = "crash-points")]
mod crash;
mod handler;
mod host;
mod instances;
mod identity_vault;
mod journeys;
mod old_appliance;
mod rows;
mod posting;
mod serve;
mod settings;
mod signature;
mod store;
mod tls;
mod tables;
mod world;
