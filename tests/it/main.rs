//! Journeys through the real thing: one binary, because each links everything.
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "what a test cannot do without ends it")]

mod absence;
mod appliance;
mod architecture;
mod azurite;
mod backfill;
mod backfill_order;
mod browser;
mod check;
mod checkpoints;
#[cfg(feature = "crash-points")]
mod crash;
mod demo;
mod email;
mod follow;
mod handler;
mod hard_cases;
mod host;
mod identity_vault;
mod instances;
mod journeys;
mod old_appliance;
mod operate;
mod posting;
mod queries;
mod quotes;
mod response;
mod rows;
mod serve;
mod settings;
mod signature;
mod status;
mod store;
mod system_status;
mod tables;
mod tls;
mod world;
