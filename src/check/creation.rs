//! Whether the master honours `creationtime`: an alert whose two times differ is asked for in a way that only a master that
//! does can answer. The same question as `cycle/basis.rs` puts during a poll, over the last day.

use super::master::{Master, attempts};
use super::{Finding, apart};
use crate::darktrace::{Fault, Question, Selects, feed, probe};
use crate::instant::Instant;
use crate::records::Splitter;
use crate::row::Record;
use crate::secret::Secret;
use crate::source::Source;
use std::time::Duration;
use tokio::time::timeout;

const DAY: Duration = Duration::from_secs(86_400);
/// With a smaller difference of its times an alert tells nothing,
const TELLING: Duration = Duration::from_secs(2);
/// with a larger one the question would span more alerts than a check should read. The bounds of the cycle.
const TOO_FAR: Duration = Duration::from_secs(3600);
/// The largest record, in bytes.
const LARGEST: usize = 16 << 20;
/// The alerts of a day may be many, and only one is wanted.
const PATIENCE: Duration = Duration::from_secs(60);
const CHECKED: &str = "creationtime";

/// Looks for an alert that can tell, and asks. Nothing is found for a master without such a source.
pub(super) async fn check(master: &Master, token: &Secret) -> Option<Finding> {
    let source = master.sources.iter().copied().find(|&source| feed(source).selects == Selects::ByBasis)?;
    let heard = timeout(PATIENCE, question(master, token, source)).await.unwrap_or(Err(Fault::Stalled));
    Some(finding(&master.instance, heard))
}

/// Whether the creation counts, or nothing when no alert can tell.
async fn question(master: &Master, token: &Secret, source: Source) -> Result<Option<bool>, Fault> {
    let now = master.client.now();
    let question = probe::times(source, now - DAY, now);
    let mut witness = None;
    let look = |raw: &[u8]| {
        witness = Witness::of(source, raw);
        witness.is_some()
    };
    each(master, token, &question, look).await?;
    match witness {
        None => Ok(None),
        Some(witness) => witness.is_heard(master, token, source).await.map(Some),
    }
}

fn finding(instance: &str, heard: Result<Option<bool>, Fault>) -> Finding {
    match heard {
        Ok(Some(true)) => Finding::pass(instance, CHECKED, "honoured: alerts are read by the time of their creation"),
        Ok(Some(false)) | Err(Fault::Parameter) => Finding::warn(
            instance,
            CHECKED,
            "ignored by this version: alerts are read by the time of their activity, with the long look-back in every run",
        )
        .next("nothing has to be done; an update of the master makes polls cheaper"),
        Ok(None) => Finding::skipped(instance, CHECKED, "unknown: no alert of the last 24 hours has two different times"),
        Err(fault) => {
            let (fault, seen) = (fault.to_string(), "unknown: the alerts of the last 24 hours could not be read");
            Finding::skipped(instance, CHECKED, format!("{seen} ({})", apart(&fault).0))
        }
    }
}

/// An alert that can tell which of its times a window means.
struct Witness {
    id: String,
    created: Instant,
    apart: Duration,
}

impl Witness {
    fn of(source: Source, raw: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(raw);
        let record = Record::parse(source, &text).ok()?;
        let times = record.times();
        let (created, (happened, _)) = (times.created?, times.happened?);
        let apart = created.since(happened).max(happened.since(created));
        let id = record.id()?.into_owned();
        (TELLING..=TOO_FAR).contains(&apart).then_some(Self { id, created, apart })
    }

    /// Whether it is among the alerts around its creation, so closely that its activity lies outside.
    async fn is_heard(&self, master: &Master, token: &Secret, source: Source) -> Result<bool, Fault> {
        let reach = self.apart / 2;
        let question = probe::created(source, self.created - reach, self.created + reach);
        let mut heard = false;
        let read = each(master, token, &question, |raw| {
            let text = String::from_utf8_lossy(raw);
            heard |= Record::parse(source, &text).is_ok_and(|record| record.id().as_deref() == Some(&*self.id));
            heard
        });
        read.await?;
        Ok(heard)
    }
}

/// Hands each record of an answer to `look` until that has seen enough.
async fn each(
    master: &Master,
    token: &Secret,
    question: &Question,
    mut look: impl FnMut(&[u8]) -> bool,
) -> Result<(), Fault> {
    let mut answer = master.client.ask(question, token, attempts()).await.map_err(|error| error.fault)?;
    let mut splitter = Splitter::new(LARGEST);
    let mut enough = false;
    while let Some(piece) = answer.next().await? {
        splitter.feed(&piece, |raw| enough = enough || look(raw))?;
        if enough {
            return Ok(());
        }
    }
    Ok(splitter.finish()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Verdict;

    fn verdict(heard: Result<Option<bool>, Fault>) -> (Verdict, bool) {
        let finding = finding("hq", heard);
        (finding.verdict, finding.seen.starts_with("unknown"))
    }

    #[test]
    fn only_an_alert_that_can_tell_decides() {
        assert_eq!(verdict(Ok(Some(true))), (Verdict::Pass, false));
        assert_eq!(verdict(Ok(Some(false))), (Verdict::Warn, false));
        assert_eq!(verdict(Err(Fault::Parameter)), (Verdict::Warn, false));
        assert_eq!(verdict(Ok(None)), (Verdict::Skipped, true));
        assert_eq!(verdict(Err(Fault::Stalled)), (Verdict::Skipped, true));
    }

    #[test]
    fn a_witness_has_two_times_that_are_neither_too_close_nor_too_far_apart() {
        let alert = |gap: i64| {
            let created = 1_767_268_800_000_i64;
            format!(r#"{{"pbid":7,"creationTime":{created},"time":{}}}"#, created - gap)
        };
        let source = Source::ALL[0];
        let is_one = |gap| Witness::of(source, alert(gap).as_bytes()).is_some();
        assert_eq!([0, 1_999, 2_000, 3_600_000, 3_600_001].map(is_one), [false, false, true, true, false]);
    }
}
