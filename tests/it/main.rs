//! Journeys through the real thing: one binary, because each links everything.
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "what a test cannot do without ends it")]

mod appliance;
mod azurite;
mod handler;
mod host;
mod identity_vault;
mod journeys;
mod settings;
mod signature;
mod store;
mod tls;
mod world;
