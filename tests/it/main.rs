//! Journeys through the real thing: one binary, because each links everything.
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "what a test cannot do without ends it")]

mod architecture;
mod azurite;
mod demo;
mod handler;
mod host;
mod journeys;
mod old_appliance;
mod rows;
mod settings;
mod store;
mod tables;
mod world;
