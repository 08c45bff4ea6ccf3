//! The last day of a source as a drawing: stored events as bars, the lag as a line, and below them a strip that tells
//! where runs failed or did not come. It has no colours of its own; the page's style sheet gives them.

use super::{DAY, SPAN_MS, Span};
use crate::instant::Instant;
use maud::{Markup, html};
use std::fmt::Write as _;

/// How wide a span is, in units of the drawing, with the gap behind it.
const STEP: i64 = 5;
const BAR: i64 = 4;
const WIDTH: i64 = DAY.as_millis() as i64 / SPAN_MS * STEP;
/// The bars stand on this line and reach up to `HIGH` units.
const EVENTS: i64 = 60;
const HIGH: u64 = 44;
/// The lag is drawn above this line, up to `LAG_HIGH` units.
const LAG: i64 = 106;
const LAG_HIGH: u64 = 30;
const STRIP: i64 = 111;
const STRIP_HIGH: i64 = 5;
const HOURS: i64 = 128;
const HEIGHT: i64 = 132;
/// A lag of less than a minute is none to be seen.
const LEAST_LAG: u64 = 60;
/// Every so many spans there is a mark with the time of the day.
const MARK_MS: i64 = 3 * 3_600_000;

/// Draws the spans of the day before `now`. `of` names what they are of, for those who cannot see it.
pub(super) fn chart(spans: &[Span], now: Instant, of: &str) -> Markup {
    let begin = begin(now);
    let most = spans.iter().map(|span| span.sent).max().unwrap_or(0);
    let longest = spans.iter().filter_map(|span| span.lag_seconds).max().unwrap_or(0);
    let failed = spans.iter().fold(0_u64, |sum, span| sum.saturating_add(span.failed));
    let label = format!(
        "{of}, the last 24 hours: at most {most} events stored in ten minutes, at most {} of lag, {failed} failed runs",
        duration(longest)
    );
    html! {
        svg class="chart" role="img" aria-label=(label) viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) {
            @for (x, time) in marks(begin, now) {
                path class="mark" d=(format!("M{x} 16V{}", STRIP + STRIP_HIGH)) {}
                text class="time" x=(x) y=(HOURS) { (time) }
            }
            path class="base" d=(format!("M0 {EVENTS}H{WIDTH}M0 {LAG}H{WIDTH}")) {}
            path class="events" d=(bars(spans, begin, most)) {}
            path class="lag" d=(line(spans, begin, longest.max(LEAST_LAG))) {}
            path class="ran" d=(strip(spans, begin, |span| span.failed == 0)) {}
            path class="broke" d=(strip(spans, begin, |span| span.failed > 0)) {}
            text class="name" x="0" y="10" { "events stored in 10 min, up to " (most) }
            text class="name" x="0" y="73" { "lag, up to " (duration(longest)) }
        }
    }
}

/// The span that the drawing begins with.
fn begin(now: Instant) -> i64 {
    now.0.div_euclid(SPAN_MS) - WIDTH / STEP + 1
}

fn place(span: &Span, begin: i64) -> Option<i64> {
    let x = span.at.0.div_euclid(SPAN_MS).saturating_sub(begin).saturating_mul(STEP);
    (0..WIDTH).contains(&x).then_some(x)
}

/// `value` in units of the drawing; what is not nothing is seen.
fn height(value: u64, most: u64, high: u64) -> u64 {
    if value == 0 { 0 } else { (u128::from(value) * u128::from(high) / u128::from(most.max(1))).max(1) as u64 }
}

fn bars(spans: &[Span], begin: i64, most: u64) -> String {
    path(spans, begin, |d, x, span| {
        let high = height(span.sent, most, HIGH);
        if high > 0 {
            let _ = write!(d, "M{x} {EVENTS}v-{high}h{BAR}v{high}z");
        }
    })
}

/// A line from span to span; it breaks where nothing is known.
fn line(spans: &[Span], begin: i64, most: u64) -> String {
    let mut before = None;
    path(spans, begin, |d, x, span| {
        let Some(lag) = span.lag_seconds else { return };
        let y = LAG - height(lag, most, LAG_HIGH) as i64;
        let pen = if before == Some(x - STEP) { 'L' } else { 'M' };
        // A point of its own is a short stroke, which a line to itself would not be.
        let _ = write!(d, "{pen}{x} {y}h{BAR}");
        before = Some(x);
    })
}

fn strip(spans: &[Span], begin: i64, holds: impl Fn(&Span) -> bool) -> String {
    path(spans, begin, |d, x, span| {
        if holds(span) {
            let _ = write!(d, "M{x} {STRIP}h{BAR}v{STRIP_HIGH}h-{BAR}z");
        }
    })
}

fn path(spans: &[Span], begin: i64, mut draw: impl FnMut(&mut String, i64, &Span)) -> String {
    let mut d = String::new();
    for span in spans {
        if let Some(x) = place(span, begin) {
            draw(&mut d, x, span);
        }
    }
    d
}

/// Where full hours are, and what the clock says there.
fn marks(begin: i64, now: Instant) -> Vec<(i64, String)> {
    let begin = begin * SPAN_MS;
    let first = begin.div_euclid(MARK_MS) + 1;
    let last = now.0.div_euclid(MARK_MS);
    let mark = |n: i64| ((n * MARK_MS - begin) / SPAN_MS * STEP, Instant(n * MARK_MS).naive()[11..16].to_owned());
    (first..=last).map(mark).collect()
}

/// A span of time for a reader, in its two largest units.
pub(super) fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-01T12:34:00Z.
    const NOW: Instant = Instant(1_767_270_840_000);

    fn span(back: i64, sent: u64, lag: Option<u64>, failed: u64) -> Span {
        let at = Instant((NOW.0.div_euclid(SPAN_MS) - back) * SPAN_MS);
        Span { at, runs: 2, sent, lag_seconds: lag, failed, ..Span::default() }
    }

    #[test]
    fn the_span_of_now_is_the_last_of_the_drawing_and_one_of_a_day_ago_is_outside() {
        assert_eq!(place(&span(0, 1, None, 0), begin(NOW)), Some(WIDTH - STEP));
        assert_eq!(place(&span(143, 1, None, 0), begin(NOW)), Some(0));
        assert_eq!(place(&span(144, 1, None, 0), begin(NOW)), None);
        assert_eq!(place(&span(-1, 1, None, 0), begin(NOW)), None);
    }

    #[test]
    fn the_most_events_reach_to_the_top_and_one_of_many_is_still_seen() {
        let spans = [span(2, 1, None, 0), span(1, 0, None, 0), span(0, 10_000, None, 0)];
        assert_eq!(bars(&spans, begin(NOW), 10_000), "M705 60v-1h4v1zM715 60v-44h4v44z");
        assert_eq!(height(u64::MAX, u64::MAX, HIGH), HIGH);
    }

    #[test]
    fn the_line_of_the_lag_breaks_where_no_run_told_it() {
        let spans = [span(4, 0, Some(60), 0), span(3, 0, Some(30), 0), span(2, 0, None, 1), span(0, 0, Some(0), 0)];
        assert_eq!(line(&spans, begin(NOW), 60), "M695 76h4L700 91h4M715 106h4");
    }

    #[test]
    fn spans_with_a_failed_run_are_told_from_the_others() {
        let spans = [span(1, 0, None, 1), span(0, 0, None, 0)];
        assert_eq!(strip(&spans, begin(NOW), |span| span.failed > 0), "M710 111h4v5h-4z");
        assert_eq!(strip(&spans, begin(NOW), |span| span.failed == 0), "M715 111h4v5h-4z");
    }

    #[test]
    fn every_third_hour_of_the_clock_is_marked() {
        let marks = marks(begin(NOW), NOW);
        let times: Vec<_> = marks.iter().map(|(_, time)| time.as_str()).collect();
        assert_eq!(times, ["15:00", "18:00", "21:00", "00:00", "03:00", "06:00", "09:00", "12:00"]);
        assert!(marks.windows(2).all(|two| two[1].0 - two[0].0 == 18 * STEP));
    }

    #[test]
    fn a_time_has_its_two_largest_units() {
        let all = [(59, "59 s"), (60, "1 min"), (3_725, "1 h 2 min"), (90_000, "1 d 1 h")];
        for (seconds, told) in all {
            assert_eq!(duration(seconds), told);
        }
    }

    #[test]
    fn numbers_and_times_that_cannot_be_are_drawn_without_harm() {
        let most = |at| Span {
            at,
            runs: u64::MAX,
            sent: u64::MAX,
            lag_seconds: Some(u64::MAX),
            failed: u64::MAX,
            ..Span::default()
        };
        let all = [i64::MIN, 0, NOW.0, NOW.0, i64::MAX].map(|at| most(Instant(at)));
        for now in [0, NOW.0, 253_402_300_799_999] {
            assert!(chart(&all, Instant(now), "hq").into_string().starts_with("<svg"), "{now}");
        }
    }

    #[test]
    fn whoever_cannot_see_it_is_told_what_it_shows() {
        let drawn = chart(&[span(1, 7, Some(120), 1)], NOW, "hq model-alerts").into_string();
        let label = "hq model-alerts, the last 24 hours: at most 7 events stored in ten minutes, at most 2 min of lag, 1 failed runs";
        assert!(drawn.contains(&format!("aria-label=\"{label}\"")), "{drawn}");
    }
}
