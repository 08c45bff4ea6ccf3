//! Whether a failed attempt is repeated, and when: arithmetic only.
//!
//! Nothing here sleeps or knows what was attempted; [`crate::http`] holds the loop. The figures follow Azure's guidance
//! on transient faults: no cascades, never endless, jitter, and a budget for the whole run
//! (<https://learn.microsoft.com/azure/architecture/best-practices/transient-faults>).

use std::time::Duration;

/// How often one kind of request is repeated. Waits grow as `first · 2ⁿ` up to `longest`, each drawn evenly from zero
/// to that bound ("full jitter"), so that many connectors do not knock in step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Attempts in all, the first included.
    pub attempts: u32,
    /// The bound of the first wait.
    pub first: Duration,
    /// The bound that later waits grow to.
    pub longest: Duration,
    /// The longest `Retry-After` that is waited for; a longer one ends the attempts.
    pub patience: Duration,
}

/// Requests to the appliance.
pub const APPLIANCE: Policy = Policy {
    attempts: 4,
    first: Duration::from_millis(500),
    longest: Duration::from_secs(8),
    patience: Duration::from_secs(60),
};

/// Posts to the data collection endpoint. Its `Retry-After` is honoured as long as the run lasts.
pub const INGESTION: Policy =
    Policy { attempts: 6, first: Duration::from_secs(1), longest: Duration::from_secs(32), patience: Duration::MAX };

/// What to do after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Try again after this time.
    Wait(Duration),
    /// Give up: no attempts, no time or no patience is left.
    Stop,
}

impl Policy {
    /// The same policy with a single attempt: a probe while the other side is known to fail.
    #[must_use]
    pub const fn probe(self) -> Self {
        Self { attempts: 1, ..self }
    }

    /// Decides after failed attempt number `attempt` (the first is 1), with `remaining` time left in the run, the other
    /// side's `Retry-After` and a random number in `0.0..1.0`.
    #[must_use]
    pub fn decide(&self, attempt: u32, remaining: Duration, hint: Option<Duration>, random: f64) -> Advice {
        if attempt >= self.attempts || hint.is_some_and(|hint| hint > self.patience) {
            return Advice::Stop;
        }
        let bound = self.first.saturating_mul(1 << (attempt - 1).min(20)).min(self.longest);
        let wait = bound.mul_f64(random.clamp(0.0, 1.0)).max(hint.unwrap_or_default());
        if wait < remaining { Advice::Wait(wait) } else { Advice::Stop }
    }
}

/// Retries are at most a fifth of a run's requests, with five allowed to any run. A fault that hits every request then
/// costs a handful of repeats in place of multiplying the load on a side that is already in trouble.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    requests: u64,
    retries: u64,
}

impl Budget {
    /// Counts a request that is not a retry.
    pub const fn request(&mut self) {
        self.requests += 1;
    }

    /// Takes one retry out of the budget; false when none is left.
    pub fn retry(&mut self) -> bool {
        let allowed = self.retries < 5.max(self.requests / 5);
        self.retries += u64::from(allowed);
        allowed
    }

    /// Retries taken so far.
    #[must_use]
    pub const fn retries(&self) -> u64 {
        self.retries
    }
}

/// Reads the value of a `Retry-After` header: seconds, or an HTTP date compared with `now`.
#[must_use]
pub fn retry_after(value: &str, now: crate::instant::Instant) -> Option<Duration> {
    let value = value.trim();
    match value.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => crate::instant::Instant::from_http_date(value).map(|at| at.since(now)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instant::Instant;
    use proptest::prelude::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn the_last_attempt_is_not_repeated() {
        assert_eq!(APPLIANCE.decide(4, LONG, None, 0.5), Advice::Stop);
        assert_ne!(APPLIANCE.decide(3, LONG, None, 0.5), Advice::Stop);
        assert_eq!(APPLIANCE.probe().decide(1, LONG, None, 0.5), Advice::Stop);
    }

    #[test]
    fn a_hint_is_the_least_wait() {
        let hint = Some(Duration::from_secs(20));
        assert_eq!(INGESTION.decide(1, LONG, hint, 0.9), Advice::Wait(Duration::from_secs(20)));
    }

    #[test]
    fn a_hint_beyond_patience_or_beyond_the_run_ends_the_attempts() {
        assert_eq!(APPLIANCE.decide(1, LONG, Some(Duration::from_secs(61)), 0.1), Advice::Stop);
        assert_eq!(INGESTION.decide(1, Duration::from_secs(30), Some(Duration::from_secs(30)), 0.1), Advice::Stop);
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let now = Instant::from_iso("2026-01-01T00:00:00Z").unwrap();
        assert_eq!(retry_after(" 17 ", now), Some(Duration::from_secs(17)));
        assert_eq!(retry_after("Thu, 01 Jan 2026 00:00:30 GMT", now), Some(Duration::from_secs(30)));
        assert_eq!(retry_after("soon", now), None);
    }

    #[test]
    fn a_run_has_five_retries_or_a_fifth_of_its_requests() {
        let mut budget = Budget::default();
        assert_eq!((0..10).filter(|_| budget.retry()).count(), 5);
        for _ in 0..50 {
            budget.request();
        }
        assert_eq!((0..10).filter(|_| budget.retry()).count(), 5);
        assert_eq!(budget.retries(), 10);
    }

    proptest! {
        #[test]
        fn waits_stay_inside_the_bound_and_the_run(attempt in 1_u32..8, left_ms in 0_u64..100_000, random in 0.0..1.0_f64) {
            let remaining = Duration::from_millis(left_ms);
            for policy in [APPLIANCE, INGESTION] {
                if let Advice::Wait(wait) = policy.decide(attempt, remaining, None, random) {
                    prop_assert!(wait <= policy.longest);
                    prop_assert!(wait < remaining);
                    prop_assert!(attempt < policy.attempts);
                }
            }
        }

        #[test]
        fn the_bound_never_shrinks(attempt in 1_u32..5) {
            let wait = |n| match INGESTION.decide(n, LONG, None, 1.0) { Advice::Wait(wait) => wait, Advice::Stop => LONG };
            prop_assert!(wait(attempt) <= wait(attempt + 1));
        }
    }
}
