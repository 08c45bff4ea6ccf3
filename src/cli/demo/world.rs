//! The simulators of one demo, and the program as a child process among them.

use super::place::Place;
use super::{DemoError, say, while_doing};
use crate::sim::appliance::{Appliance, Tokens};
use crate::sim::identity::Identity;
use crate::sim::ingestion::{Ingestion, Rules, columns_of};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

/// The table of the alerts and events.
pub(super) const ALERTS: &str = "darktrace_model_alerts_CL";
/// The table of the health rows.
pub(super) const HEALTH: &str = "DarktraceConnectorHealth_CL";
const SCHEMAS: [(&str, &str); 2] = [
    (ALERTS, include_str!("../../../infra/tables/darktrace_model_alerts_CL.json")),
    (HEALTH, include_str!("../../../infra/tables/DarktraceConnectorHealth_CL.json")),
];

// Invented, and good for the simulators only.
const PUBLIC_TOKEN: &str = "demo-public-token";
const PRIVATE_TOKEN: &str = "demo-private-token";
const IDENTITY_HEADER: &str = "demo-identity-header";
const DCR: &str = "dcr-de30de30de30de30de30de30de30de30";

/// One master, one data collection rule, one identity.
#[derive(Debug)]
pub(super) struct World {
    pub(super) appliance: Appliance,
    pub(super) ingestion: Ingestion,
    pub(super) place: Place,
    /// This executable.
    pub(super) program: PathBuf,
    identity: Identity,
}

/// What a child left behind.
#[derive(Clone, Debug)]
pub(super) struct Polled {
    status: ExitStatus,
    text: String,
}

impl World {
    /// Starts the simulators on free ports. Must be called within a Tokio runtime.
    pub(super) async fn start(rows: Option<&Path>) -> Result<Self, DemoError> {
        let program = std::env::current_exe().map_err(while_doing("the program cannot find its own file"))?;
        let tokens = Tokens { public: PUBLIC_TOKEN.to_owned(), private: PRIVATE_TOKEN.to_owned() };
        Ok(Self {
            appliance: Appliance::start(listener().await?, tokens),
            ingestion: Ingestion::start(listener().await?, rules()?),
            identity: Identity::start(listener().await?, IDENTITY_HEADER),
            place: Place::make(rows)?,
            program,
        })
    }

    /// The settings with which the program finds the simulators: names and values.
    pub(super) fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("DARKTRACE_HOST", self.appliance.base_url().to_owned()),
            ("DARKTRACE_PUBLIC_TOKEN", PUBLIC_TOKEN.to_owned()),
            ("DARKTRACE_PRIVATE_TOKEN", PRIVATE_TOKEN.to_owned()),
            ("DATA_COLLECTION_ENDPOINT", self.ingestion.base_url().to_owned()),
            ("DCR_IMMUTABLE_ID", DCR.to_owned()),
            ("IDENTITY_ENDPOINT", self.identity.token_url()),
            ("IDENTITY_HEADER", IDENTITY_HEADER.to_owned()),
            ("CHECKPOINT_DIR", self.place.checkpoints().to_string_lossy().into_owned()),
        ]
    }

    /// One poll, from its start to its end, with `more` settings.
    pub(super) async fn poll(&self, more: &[(&str, String)]) -> Result<Polled, DemoError> {
        Polled::of(self.start_poll(more)?).await
    }

    /// Starts one poll; it is killed when the handle is dropped.
    pub(super) fn start_poll(&self, more: &[(&str, String)]) -> Result<Child, DemoError> {
        let mut command = Command::new(&self.program);
        command.arg("poll").env_clear().envs(self.settings()).envs(more.iter().cloned()).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().map_err(while_doing(format!("{} cannot be started", self.program.display())))
    }

    /// How many rows of alerts and events were stored so far.
    pub(super) fn stored(&self) -> usize {
        let stream = stream(ALERTS);
        let posts = self.ingestion.posts();
        posts.iter().filter(|post| post.was_taken && post.stream == stream).map(|post| post.rows).sum()
    }
}

impl Polled {
    /// Waits for the end of a child.
    pub(super) async fn of(child: Child) -> Result<Self, DemoError> {
        let output = child.wait_with_output().await.map_err(while_doing("a poll could not be waited for"))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Self { status: output.status, text: text(&output.stderr) + &text(&output.stdout) })
    }

    /// Repeats what the poll says of itself.
    pub(super) fn tell(&self) {
        for line in self.summary() {
            say(format_args!("      {line}"));
        }
    }

    /// The lines in which the poll itself says what it did. A source that had nothing to do is left out, unless all had
    /// nothing to do.
    fn summary(&self) -> Vec<&str> {
        let (idle, busy): (Vec<&str>, Vec<&str>) =
            self.text.lines().filter(|line| is_summary(line)).partition(|line| is_idle(line));
        if busy.is_empty() { idle } else { busy }
    }

    /// Holds the poll to what the story says of it.
    pub(super) fn must(&self, expected: Expected) -> Result<(), DemoError> {
        let fits = match expected {
            Expected::Success => self.status.success(),
            Expected::Failure => self.status.code().is_some_and(|code| code != 0),
            Expected::Kill => self.status.code().is_none(),
        };
        if fits {
            return Ok(());
        }
        let (status, said) = (self.status.to_string(), self.text.trim().to_owned());
        Err(DemoError::Poll { status, expected: expected.name(), said })
    }
}

/// How a poll should end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Success,
    Failure,
    /// Ended by a signal.
    Kill,
}

impl Expected {
    const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "a failure",
            Self::Kill => "a kill half-way",
        }
    }
}

fn is_summary(line: &str) -> bool {
    ["INFO darktrace ", "WARN darktrace ", "ERROR darktrace "].iter().any(|begin| line.starts_with(begin))
}

fn is_idle(line: &str) -> bool {
    line.starts_with("INFO") && line.contains("new 0, changed 0, sent 0")
}

/// The stream of a table in the data collection rule.
pub(super) fn stream(table: &str) -> String {
    format!("Custom-{table}")
}

async fn listener() -> Result<TcpListener, DemoError> {
    TcpListener::bind("127.0.0.1:0").await.map_err(while_doing("127.0.0.1 cannot be listened on"))
}

fn rules() -> Result<Rules, DemoError> {
    let mut rules = Rules { dcr: DCR.to_owned(), audience: "https://monitor.azure.com".to_owned(), ..Rules::default() };
    for (table, schema) in SCHEMAS {
        rules.streams.insert(stream(table), columns_of(schema)?);
    }
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{ALL, Settings};
    use std::os::unix::process::ExitStatusExt as _;

    #[tokio::test]
    async fn the_settings_of_the_demo_are_complete_and_known() {
        let world = World::start(None).await.unwrap();
        let settings = world.settings();
        assert!(settings.iter().all(|(name, _)| ALL.iter().any(|known| known.name == *name)));
        let value = |name: &str| settings.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
        assert!(Settings::read(&value).is_ok());
    }

    #[test]
    fn a_poll_is_summed_up_by_the_sources_that_had_something_to_do() {
        let idle = "INFO darktrace default ai-analyst: fetched 0, new 0, changed 0, sent 0, lag 0 s";
        let busy = "INFO darktrace default model-alerts: fetched 3, new 3, changed 0, sent 3, lag 0 s";
        let polled = |text: String| Polled { status: ExitStatus::from_raw(0), text };
        assert_eq!(polled(format!("{idle}\n{busy}\n\ninstance source\n")).summary(), [busy]);
        assert_eq!(polled(format!("{idle}\nsomething else\n")).summary(), [idle]);
    }

    #[test]
    fn a_poll_that_ends_otherwise_than_told_is_an_error_with_its_words() {
        let failed = Polled { status: ExitStatus::from_raw(1 << 8), text: "ERROR darktrace x\n".to_owned() };
        assert!(failed.must(Expected::Failure).is_ok());
        let error = failed.must(Expected::Success).unwrap_err().to_string();
        assert!(error.contains("where success was expected") && error.ends_with("ERROR darktrace x"), "{error}");
    }
}
