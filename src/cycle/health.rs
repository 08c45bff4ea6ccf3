//! One row for each instance and source of a run, through the same rule as the alerts: also when there was nothing to
//! send, and also when the run failed, as far as Azure can be reached. A table that stays empty is then a finding.

use super::crash;
use super::post::{Destination, compress};
use crate::http::{Attempts, Deadline, SharedBudget};
use crate::ingestion::Rejection;
use crate::instant::Instant;
use crate::report::Report;
use crate::retry;
use crate::row::write_health_row;
use std::time::Duration;

/// The table of the health rows.
const TABLE: &str = "DarktraceConnectorHealth_CL";
/// Health is told within this time or not at all: the next run tells it again.
const PATIENCE: Duration = Duration::from_secs(30);

/// Posts the health rows of a run. `now` is our clock.
///
/// # Errors
/// What failed and what to do next, on one line.
pub async fn tell_health(destination: &Destination, reports: &[Report], now: Instant) -> Result<(), String> {
    if reports.is_empty() {
        return Ok(());
    }
    let mut body = vec![b'['];
    for report in reports {
        if body.len() > 1 {
            body.push(b',');
        }
        write_health_row(report, now, &mut body);
    }
    body.push(b']');
    let (body, id) = (compress(&body), uuid::Uuid::new_v4().to_string());
    let mut attempts = Attempts::new(retry::INGESTION, Deadline::after(PATIENCE), &SharedBudget::default());
    let mut renewed = false;
    loop {
        let token = destination.tokens.get(destination.audience).await.map_err(|error| error.to_string())?;
        crash::point("before the health rows");
        let answer = destination.endpoint.post(TABLE, &id, body.clone(), &token).await;
        crash::point("after the health rows");
        match answer {
            Ok(()) => return Ok(()),
            Err(Rejection::Unauthorized(_)) if !renewed => {
                // A run that posted no alerts has not met the refusal of a token that it kept from an earlier run.
                renewed = true;
                destination.tokens.forget().await;
            }
            Err(rejection) if attempts.again(rejection.repeat()).await => {}
            Err(rejection) => return Err(rejection.to_string()),
        }
    }
}
