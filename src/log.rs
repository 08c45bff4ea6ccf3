//! The process's log: one plain line per event, INFO and below on stdout, WARN and ERROR on stderr.
//!
//! The Functions host reads both streams by line and sets the level of its own records by the stream: stdout is
//! Information; stderr is Warning where the line contains "warn" in any case, and Error otherwise. So a line begins with
//! its level, and an ERROR message had better not use that word. The host adds time and instance itself, and it diverts
//! lines that begin with `LanguageWorkerConsoleLog` or `azfuncjsonlog:`, which none can that begins with a level.
//!
//! A line is one write, and nothing is buffered: the host kills without a signal, and a buffered tail would be lost.
//!
//! This module does not know what is logged, nor does it look for secrets: those types do not print themselves. It does see
//! to it that one event stays one line, whatever text a remote system put into it.

use std::fmt::{self, Debug, Write as _};
use std::io;
use std::panic::{self, Location};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::writer::MakeWriterExt;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

/// What is logged where `RUST_LOG` says nothing else. A name covers every crate that begins with it; these libraries tell
/// at INFO what they ask and whom, several lines for each of our requests.
const DEFAULT: &str = "info,azure_core=warn,azure_identity=warn,azure_storage=warn,typespec_client_core=warn,hyper=warn,\
                       reqwest=warn,rustls=warn";

/// Bytes of a line with its newline. Application Insights takes 32 KiB, but nobody reads that much of one line.
const LIMIT: usize = 8 * 1024;

/// The end of a line that was cut.
const CUT: &str = "...\n";

/// Starts the log of this process. A second call changes nothing.
///
/// `filter` is the text of `RUST_LOG`: directives of tracing's filter
/// (<https://docs.rs/tracing-subscriber/latest/tracing_subscriber/filter/struct.EnvFilter.html>), which are added to the
/// default of `info` for us and `warn` for the libraries, and replace it where they name the same. Text that is not a
/// filter is reported in one line and otherwise ignored.
pub fn init(filter: &str) {
    let (filter, complaint) = choose(filter);
    let fresh = subscriber(filter, io::stderr, io::stdout).try_init().is_ok();
    if let (true, Some(complaint)) = (fresh, complaint) {
        tracing::warn!("{complaint}");
    }
}

/// Makes a panic one ERROR line with its place. The payload is left out, because it may quote anything.
pub fn install_panic_hook() {
    panic::set_hook(Box::new(|info| {
        tracing::error!("{}", panic_message(info.location(), std::thread::current().name()));
    }));
}

/// An event as it is written, newline included: the level, a blank, and the message with every control character and line
/// separator escaped, cut at 8 KiB.
#[must_use]
pub fn line(level: Level, message: &str) -> String {
    let mut line = format!("{level} ");
    for character in message.chars() {
        let before = line.len();
        push_escaped(&mut line, character);
        if line.len() > LIMIT - CUT.len() {
            line.truncate(before);
            line.push_str(CUT);
            return line;
        }
    }
    line.push('\n');
    line
}

/// U+2028 and U+2029 are line ends to some readers of logs and to JavaScript.
fn push_escaped(line: &mut String, character: char) {
    if character.is_control() || matches!(character, '\u{2028}' | '\u{2029}') {
        line.extend(character.escape_default());
    } else {
        line.push(character);
    }
}

fn panic_message(location: Option<&Location<'_>>, thread: Option<&str>) -> String {
    let thread = thread.unwrap_or("without a name");
    match location {
        Some(at) => format!("panic at {}:{} in thread {thread}", at.file(), at.line()),
        None => format!("panic at an unknown place in thread {thread}"),
    }
}

/// The filter to use, and what to tell the operator when it is not the one that was given.
fn choose(filter: &str) -> (EnvFilter, Option<String>) {
    match parse(filter) {
        Ok(filter) => (filter, None),
        Err(error) => (
            EnvFilter::new(DEFAULT),
            Some(format!("RUST_LOG is ignored: {error}; an example is RUST_LOG=info,azure_core=debug")),
        ),
    }
}

/// A later directive replaces an earlier one for the same target, so what the operator says comes last.
fn parse(filter: &str) -> Result<EnvFilter, ParseError> {
    let given = filter.split(',').map(str::trim).filter(|directive| !directive.is_empty());
    let all: Vec<&str> = DEFAULT.split(',').chain(given).collect();
    EnvFilter::builder().parse(all.join(","))
}

fn subscriber<E, O>(filter: EnvFilter, stderr: E, stdout: O) -> impl Subscriber + Send + Sync + 'static
where
    E: for<'w> MakeWriter<'w> + Send + Sync + 'static,
    O: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    // Errors of the log itself would be printed with `eprintln!`, which panics when the host has closed the stream.
    let lines = tracing_subscriber::fmt::layer()
        .event_format(PlainLine)
        .log_internal_errors(false)
        .with_writer(stderr.with_max_level(Level::WARN).or_else(stdout));
    tracing_subscriber::registry().with(filter).with(lines)
}

/// Prints an event by [`line`]. The layer hands the result to the stream in one call.
struct PlainLine;

impl<S, N> FormatEvent<S, N> for PlainLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut text = Text::default();
        event.record(&mut text);
        writer.write_str(&line(*event.metadata().level(), text.message.as_deref().unwrap_or(&text.fields)))
    }
}

/// The message of an event, and its fields for an event that has none.
#[derive(Default)]
struct Text {
    message: Option<String>,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record(field, value.to_owned());
    }
}

impl Text {
    fn record(&mut self, field: &Field, value: String) {
        if field.name() == "message" {
            self.message = Some(value);
            return;
        }
        let gap = if self.fields.is_empty() { "" } else { " " };
        // Writing to a string cannot fail.
        let _ = write!(self.fields, "{gap}{field}={value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use tracing::subscriber::with_default;
    use tracing_subscriber::fmt::writer::BoxMakeWriter;

    /// A stream that remembers each write call by itself.
    #[derive(Clone, Default)]
    struct Writes(Arc<Mutex<Vec<String>>>);

    impl io::Write for Writes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().push(String::from_utf8(bytes.to_vec()).unwrap());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What `log` writes to stderr and to stdout, a write call each.
    fn written(filter: &str, log: impl FnOnce()) -> (Vec<String>, Vec<String>) {
        let (stderr, stdout) = (Writes::default(), Writes::default());
        let make = |writes: &Writes| {
            let writes = writes.clone();
            BoxMakeWriter::new(move || writes.clone())
        };
        with_default(subscriber(choose(filter).0, make(&stderr), make(&stdout)), log);
        (stderr.0.lock().unwrap().clone(), stdout.0.lock().unwrap().clone())
    }

    #[test]
    fn a_line_is_its_level_and_its_message() {
        assert_eq!(line(Level::INFO, "fetched 12, new 3"), "INFO fetched 12, new 3\n");
        assert_eq!(line(Level::ERROR, ""), "ERROR \n");
    }

    #[test]
    fn one_event_stays_one_line() {
        let text = "a\nb\rc\td\u{0}e\u{1b}[31mf\u{7f}g\u{85}h\u{2028}i\u{2029}j";
        assert_eq!(
            line(Level::WARN, text),
            "WARN a\\nb\\rc\\td\\u{0}e\\u{1b}[31mf\\u{7f}g\\u{85}h\\u{2028}i\\u{2029}j\n"
        );
    }

    #[test]
    fn other_alphabets_are_left_alone() {
        assert_eq!(line(Level::INFO, "C:\\temp „Grüße“ 日本 🦀"), "INFO C:\\temp „Grüße“ 日本 🦀\n");
    }

    #[test]
    fn a_line_is_cut_between_characters_and_never_longer_than_the_limit() {
        for filler in ["x", "ü", "日", "🦀", "\n", "\u{2028}", "\u{10ffff}"] {
            for offset in 0..10 {
                let text = format!("{}{}", "a".repeat(offset), filler.repeat(LIMIT));
                let line = line(Level::INFO, &text);
                assert!((LIMIT - 12..=LIMIT).contains(&line.len()), "{} bytes of {filler:?}", line.len());
                assert!(line.ends_with("...\n") && !line.ends_with("\\...\n"));
            }
        }
    }

    #[test]
    fn a_line_that_fits_is_not_cut() {
        let text = "x".repeat(LIMIT - CUT.len() - "INFO ".len());
        assert_eq!(line(Level::INFO, &text), format!("INFO {text}\n"));
        assert!(line(Level::INFO, &format!("{text}x")).ends_with("x...\n"));
    }

    #[test]
    fn no_line_begins_with_a_prefix_that_the_host_diverts() {
        for message in ["LanguageWorkerConsoleLog gone", "azfuncjsonlog:{}"] {
            for level in [Level::TRACE, Level::DEBUG, Level::INFO, Level::WARN, Level::ERROR] {
                assert!(line(level, message).starts_with(level.as_str()));
            }
        }
    }

    #[test]
    fn warnings_and_errors_go_to_stderr_and_the_rest_to_stdout() {
        let (stderr, stdout) = written("trace", || {
            tracing::trace!("one");
            tracing::debug!("two");
            tracing::info!("three");
            tracing::warn!("four");
            tracing::error!("five");
        });
        assert_eq!(stderr, ["WARN four\n", "ERROR five\n"]);
        assert_eq!(stdout, ["TRACE one\n", "DEBUG two\n", "INFO three\n"]);
    }

    #[test]
    fn a_line_is_one_write_however_long() {
        let (_, stdout) = written("", || tracing::info!("{}\n{}", "x".repeat(5000), "y".repeat(5000)));
        assert_eq!(stdout.len(), 1);
        assert_eq!(stdout[0].matches('\n').count(), 1);
        assert_eq!(stdout[0].len(), LIMIT);
    }

    #[test]
    fn fields_are_printed_only_when_there_is_no_message() {
        let (_, stdout) = written("", || {
            tracing::info!(lag_seconds = 41, "lag 41 s");
            tracing::info!(lag_seconds = 41, source = "email", text = ?"a\nb");
            tracing::info!(message = "a message given as a field", lag_seconds = 41);
        });
        assert_eq!(
            stdout,
            [
                "INFO lag 41 s\n",
                "INFO lag_seconds=41 source=email text=\"a\\nb\"\n",
                "INFO a message given as a field\n"
            ]
        );
    }

    #[test]
    fn spans_leave_no_trace_in_a_line() {
        let (_, stdout) = written("trace", || {
            tracing::info_span!("request", url = "https://example.net").in_scope(|| tracing::info!("inside"));
        });
        assert_eq!(stdout, ["INFO inside\n"]);
    }

    fn chatter() {
        tracing::debug!("ours in detail");
        tracing::info!("ours");
        tracing::info!(target: "azure_core::http", "theirs");
        tracing::info!(target: "azure_storage_blob", "theirs too");
        tracing::info!(target: "hyper_util::client", "and theirs");
    }

    #[test]
    fn libraries_are_quiet_unless_they_are_named() {
        for quiet in ["", "info", " , "] {
            assert_eq!(written(quiet, chatter).1, ["INFO ours\n"], "{quiet}");
        }
        assert_eq!(written("debug", chatter).1, ["DEBUG ours in detail\n", "INFO ours\n"]);
        assert_eq!(written("info, azure_core=info", chatter).1, ["INFO ours\n", "INFO theirs\n"]);
        assert_eq!(written("azure_core::http=info", chatter).1, ["INFO ours\n", "INFO theirs\n"]);
    }

    #[test]
    fn an_operator_can_silence_us_too() {
        let (stderr, stdout) = written("error", || {
            chatter();
            tracing::warn!("gone");
            tracing::error!("kept");
        });
        assert_eq!((stderr, stdout), (vec!["ERROR kept\n".to_owned()], vec![]));
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_reported_and_the_default_taken() {
        for filter in ["info=loud", "a=b=c", "=", "[", "error,azure_core=everything"] {
            let complaint = choose(filter).1.unwrap();
            assert!(complaint.starts_with("RUST_LOG is ignored: "), "{complaint}");
            assert_eq!(written(filter, chatter).1, ["INFO ours\n"], "{filter}");
        }
        assert_eq!(choose("error,azure_core=debug").1, None);
    }

    #[test]
    fn a_panic_is_one_error_line_without_its_payload() {
        let (stderr, stdout) = written("", || {
            let previous = panic::take_hook();
            install_panic_hook();
            let caught = panic::catch_unwind(|| panic!("the token is hunter2"));
            panic::set_hook(previous);
            assert!(caught.is_err());
        });
        let thread = std::thread::current().name().unwrap().to_owned();
        assert_eq!((stderr.len(), stdout.len()), (1, 0));
        assert!(stderr[0].starts_with("ERROR panic at src/log.rs:"), "{stderr:?}");
        assert!(stderr[0].ends_with(&format!(" in thread {thread}\n")), "{stderr:?}");
        assert!(!stderr[0].contains("hunter2"));
    }
}
