//! The status as one page for a browser: no script, nothing from elsewhere, readable in light and dark.

use super::chart::{chart, duration};
use super::{Apart, Backfill, Instance, Order, Position, Run, SourceStatus, Span, State, Status, Verdict};
use crate::instant::Instant;
use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("page.css");
/// The browser asks again after so many seconds.
const RENEWED: u32 = 60;

/// The page of a status.
#[must_use]
pub fn page(status: &Status) -> String {
    let Status { at, version, layout, verdict, instances, apart, .. } = status;
    let several = instances.len() > 1;
    let body = html! {
        header {
            h1 { "Darktrace to Microsoft Sentinel" }
            p class=(format!("verdict {}", tone(*verdict))) role="status" { (said(status)) }
            p class="quiet" {
                (time(*at)) " UTC, renewed every minute. darktrace-sentinel " (version)
                @if !layout.is_empty() { ", layout " (layout) }
                ". What runs did is in the log and in DarktraceConnectorHealth_CL too; add "
                code { "?format=json" } " for a program."
            }
            (set_apart(apart))
        }
        @if several { (overview(instances)) }
        @for instance in instances { (master(instance, *at)) }
    };
    document(&title(status), &body)
}

/// The page that stands for a status that there is none of, with the reason.
#[must_use]
pub fn trouble(reason: &str) -> String {
    let body = html! {
        header {
            h1 { "Darktrace to Microsoft Sentinel" }
            p class="verdict bad" role="status" { "There is no status to show" }
            @for line in reason.lines() { p class="advice" { (line) } }
        }
    };
    document("no status - darktrace-sentinel", &body)
}

fn set_apart(apart: &Apart) -> Markup {
    let Apart { other_dead_letters, order, order_problem } = apart;
    html! {
        @if *other_dead_letters > 0 {
            p class="advice" { (dead_letters(*other_dead_letters)) " of sources that are not polled; see " code { "dead-letters list" } "." }
        }
        @if let Some(problem) = order_problem { p class="advice" { (problem) } }
        @if let Some(Order { from, to, completed_at }) = order {
            p class="order" {
                "The function app " @if completed_at.is_some() { "has stored" } @else { "works off" }
                " the past from " (time(*from)) " to " (time(*to))
                @match completed_at {
                    Some(at) => { " (complete since " (time(*at)) ")." }
                    None => { ", beside live polling." }
                }
            }
        }
    }
}

fn document(title: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="refresh" content=(RENEWED);
                // An empty picture, so that the browser asks for none.
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { main { (body) } }
        }
    };
    page.into_string()
}

fn title(status: &Status) -> String {
    let word = match status.verdict {
        Verdict::Ok => "ok",
        Verdict::Attention => "worth a look",
        Verdict::Failing => "failing",
    };
    format!("{word} - darktrace-sentinel")
}

fn said(status: &Status) -> String {
    const ORDER: &str = "he order for the past cannot be followed";
    let sources = said_of_sources(status);
    match (sources, &status.apart.order_problem) {
        (Some(sources), None) => sources,
        (Some(sources), Some(_)) => format!("{sources}, and t{ORDER}"),
        (None, Some(_)) => format!("T{ORDER}"),
        (None, None) => "Dead letters wait".to_owned(),
    }
}

/// `None` when what there is to tell is of no source.
fn said_of_sources(status: &Status) -> Option<String> {
    let sources = || status.instances.iter().flat_map(|instance| &instance.sources);
    let of = |verdict| sources().filter(|source| source.verdict() == verdict).count();
    let (all, bad, look) = (sources().count(), of(Verdict::Failing), of(Verdict::Attention));
    let look_told = |look: usize| format!("{look} of {all} sources worth a look");
    Some(match (bad, look) {
        _ if all == 0 => "No source is enabled".to_owned(),
        (0, 0) if status.verdict == Verdict::Ok && all == 1 => "The source is well".to_owned(),
        (0, 0) if status.verdict == Verdict::Ok => format!("All {all} sources are well"),
        (0, 0) => return None,
        (0, look) => look_told(look),
        (bad, 0) => format!("{bad} of {all} sources failing"),
        (bad, look) => format!("{bad} of {all} sources failing, {look} worth a look"),
    })
}

/// All masters in one table, for whoever has many.
fn overview(instances: &[Instance]) -> Markup {
    html! {
        nav aria-label="instances" {
            table class="overview" {
                @for instance in instances {
                    tr {
                        th scope="row" { a href=(format!("#{}", instance.instance)) { (instance.instance) } " " }
                        td {
                            @for source in &instance.sources {
                                span class=(format!("pill {}", tone(source.verdict()))) { (source.source) " " (word(source.state)) } " "
                            }
                        }
                    }
                }
            }
        }
    }
}

fn master(instance: &Instance, now: Instant) -> Markup {
    html! {
        section id=(instance.instance) aria-label=(instance.instance) {
            h2 { (instance.instance) }
            @for source in &instance.sources { (card(&instance.instance, source, now)) }
        }
    }
}

fn card(instance: &str, source: &SourceStatus, now: Instant) -> Markup {
    html! {
        article data-source=(source.source) data-state=(word(source.state)) {
            h3 {
                (source.source) " "
                span class=(format!("pill {}", tone(source.verdict()))) { (word(source.state)) }
                span class="table" { (source.table) }
            }
            @if !source.advice.is_empty() { p class="advice" { (source.advice) } }
            @for warning in &source.warnings { p class="advice" { (warning) } }
            @if source.dead_letters > 0 {
                p class="advice" { (dead_letters(source.dead_letters)) "; see " code { "dead-letters list" } " and " code { "dead-letters replay" } "." }
            }
            dl { (facts(source)) (day(&source.last_day)) }
            (chart(&source.history, now, &format!("{instance} {}", source.source)))
            @if !source.runs.is_empty() { (runs(&source.runs)) }
        }
    }
}

fn fact(name: &str, value: &str) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}

fn facts(source: &SourceStatus) -> Markup {
    let at = |at: Option<Instant>| at.map_or_else(|| "not yet".to_owned(), time);
    let position = source.position.as_ref();
    html! {
        (fact("lag", &source.lag_seconds.map_or_else(|| "not known".to_owned(), duration)))
        (fact("last success", &at(source.last_success)))
        (fact("watermark", &at(position.map(|position| position.watermark))))
        (fact("sweep", &position.map_or_else(|| "not yet".to_owned(), sweep)))
        @if let Some(backfill) = &source.backfill { (fact("backfill", &past(backfill))) }
    }
}

fn sweep(position: &Position) -> String {
    match (position.sweep_next, position.sweep_until) {
        (Some(next), Some(until)) => format!("{} of {}", time(next), time(until)),
        _ => format!("up to {}", time(position.swept)),
    }
}

fn past(backfill: &Backfill) -> String {
    let Backfill { first, last, next, done } = backfill;
    if *done {
        return format!("done, {} to {}", time(*first), time(*last));
    }
    let all = last.since(*first).as_millis().max(1);
    let share = next.since(*first).as_millis() * 100 / all;
    format!("{} %, at {} of {}", share.min(100), time(*next), time(*last))
}

/// Numbers of the last 24 hours.
fn day(day: &Span) -> Markup {
    html! {
        (fact("events stored in 24 h", &day.sent.to_string()))
        (fact("duplicates set aside", &day.already_delivered.to_string()))
        (fact("put aside as dead letters", &day.dead_lettered.to_string()))
        (fact("runs, failed", &format!("{}, {}", day.runs, day.failed)))
    }
}

fn runs(runs: &[Run]) -> Markup {
    html! {
        details {
            summary { "The last " (runs.len()) " runs" }
            div class="wide" {
                table class="runs" {
                    tr { @for name in ["ended", "status", "fetched", "new", "changed", "stored", "set aside", "dead letters", "not yet sent", "lag"] { th scope="col" { (name) } } }
                    @for run in runs { (run_rows(run)) }
                }
            }
        }
    }
}

fn run_rows(run: &Run) -> Markup {
    let counts = [run.fetched, run.new, run.changed, run.sent, run.already_delivered, run.dead_lettered, run.unsent];
    html! {
        tr class=[run.failed.then_some("bad")] {
            td { (time(run.finished)) }
            td { (run.status) }
            @for count in counts { td class="number" { (count) } }
            td class="number" { (run.lag_seconds.map_or_else(|| "-".to_owned(), duration)) }
        }
        @if !run.message.is_empty() { tr { td class="message" colspan="10" { (run.message) } } }
    }
}

fn dead_letters(count: u64) -> String {
    if count == 1 { "1 dead letter waits".to_owned() } else { format!("{count} dead letters wait") }
}

fn time(at: Instant) -> String {
    at.naive()
}

const fn tone(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "good",
        Verdict::Attention => "look",
        Verdict::Failing => "bad",
    }
}

const fn word(state: State) -> &'static str {
    match state {
        State::Ok => "ok",
        State::Paused => "paused",
        State::Waiting => "waiting",
        State::Late => "late",
        State::Unavailable => "unavailable",
        State::Silent => "silent",
        State::Failing => "failing",
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Found, History};
    use super::*;
    use crate::report::{Failure, FailureClass, Outcome, Phase, Report};
    use crate::source::Source;

    const NOW: Instant = Instant(1_767_270_840_000);

    fn shown(names: &[&str], message: &str, dead_letters: u64) -> String {
        let mut report = Report::begin("hq", Source::ModelAlerts, "run", NOW);
        if !message.is_empty() {
            let (class, phase, message) = (FailureClass::Transient, Phase::Fetch, message.to_owned());
            report.outcome = Outcome::Failed(Failure { class, phase, status: None, message });
        }
        let mut history = History::default();
        history.note(&report);
        let past = history.of(Source::ModelAlerts.name());
        let found = names.iter().map(|name| Found {
            instance: (*name).to_owned(),
            source: Source::ModelAlerts.name(),
            past: past.clone(),
            dead_letters,
            ..Found::default()
        });
        page(&Status::new(found.collect(), Apart::default(), "legacy", NOW))
    }

    #[test]
    fn what_a_remote_said_is_text_and_never_markup() {
        let page = shown(&["hq"], "the master said <script>alert(1)</script> & \"more\"", 0);
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt; &amp; "), "{page}");
        assert!(!page.contains("<script"));
        let trouble = trouble("DARKTRACE_HOST is <b>wrong</b>\nand so is another");
        assert!(trouble.contains("&lt;b&gt;wrong&lt;/b&gt;</p><p class=\"advice\">and so"), "{trouble}");
    }

    #[test]
    fn the_page_needs_nothing_from_elsewhere() {
        let page = shown(&["hq", "plant"], "no", 1);
        for elsewhere in ["http://", "https://", "src=", "@import", "url("] {
            assert!(!page.contains(elsewhere), "{elsewhere}");
        }
    }

    #[test]
    fn the_first_line_says_how_many_sources_need_what() {
        assert!(shown(&["hq"], "", 0).contains("The source is well"));
        assert!(shown(&["hq", "plant"], "", 0).contains("All 2 sources are well"));
        assert!(shown(&["hq", "plant"], "", 3).contains("2 of 2 sources worth a look"));
        assert!(shown(&["hq", "plant"], "no", 0).contains("2 of 2 sources failing"));
        assert!(shown(&[], "", 0).contains("No source is enabled"));
    }

    #[test]
    fn an_order_that_cannot_be_followed_is_said_before_dead_letters() {
        let shown = |letters: u64, problem: Option<&str>, runs: usize| {
            let mut history = History::default();
            (0..runs).for_each(|_| history.note(&Report::begin("hq", Source::ModelAlerts, "run", NOW)));
            let past = history.of(Source::ModelAlerts.name());
            let found = Found { instance: "hq".to_owned(), past, ..Found::default() };
            let order_problem = problem.map(str::to_owned);
            let apart = Apart { other_dead_letters: letters, order_problem, ..Apart::default() };
            page(&Status::new(vec![found], apart, "legacy", NOW))
        };
        let wrong = shown(1, Some("the field <from> is missing"), 1);
        assert!(wrong.contains("role=\"status\">The order for the past cannot be followed</p>"), "{wrong}");
        assert!(wrong.contains("the field &lt;from&gt; is missing"));
        assert!(shown(0, Some("no"), 0).contains("1 of 1 sources worth a look, and the order for the past cannot be"));
        let letters = shown(1, None, 1);
        assert!(letters.contains("role=\"status\">Dead letters wait"), "{letters}");
        assert!(letters.contains("1 dead letter waits of sources that are not polled"));
    }

    #[test]
    fn a_backfill_is_shown_with_its_share_and_an_order_with_its_range() {
        let at = |hour: i64| Instant(NOW.0 + hour * 3_600_000);
        let half = Backfill { first: at(-10), last: at(-2), next: at(-8), done: false };
        assert_eq!(past(&half), "25 %, at 2026-01-01 04:34:00 of 2026-01-01 10:34:00");
        assert!(past(&Backfill { done: true, ..half }).starts_with("done, 2026-01-01 02:34:00 to "));
        assert_eq!(
            &past(&Backfill { first: NOW, last: NOW, next: NOW, done: false })[..3],
            "0 %",
            "a range of a moment"
        );
        let order = |completed_at| Some(Order { from: at(-10), to: at(-2), completed_at });
        let shown = |completed_at| set_apart(&Apart { order: order(completed_at), ..Apart::default() }).into_string();
        assert!(shown(None).contains("works off the past from 2026-01-01 02:34:00 to 2026-01-01 10:34:00, beside"));
        assert!(shown(Some(NOW)).contains("has stored the past") && shown(Some(NOW)).contains("complete since"));
    }

    #[test]
    fn several_masters_are_in_one_table_that_leads_to_each() {
        let page = shown(&["hq", "plant"], "", 0);
        assert!(page.contains("<a href=\"#plant\">plant</a>") && page.contains("<section id=\"plant\""));
        assert!(!shown(&["hq"], "", 0).contains("<nav"));
    }
}
