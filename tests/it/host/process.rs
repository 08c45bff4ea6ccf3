//! The handler as a child process: what it is given, what it prints and how it ends.

use super::Host;
use super::wire::Wire;
use serde_json::Value;
use std::ffi::OsString;
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::timeout;

/// For things that take milliseconds when they work.
const PATIENCE: Duration = Duration::from_secs(10);

/// A handler to be started.
#[derive(Clone)]
pub(crate) struct Builder {
    program: PathBuf,
    root: PathBuf,
    env: Vec<(OsString, OsString)>,
    port: Option<u16>,
}

impl Builder {
    pub(super) fn new(program: &Path, root: &Path) -> Self {
        Self { program: program.to_owned(), root: root.to_owned(), env: Vec::new(), port: None }
    }

    /// Adds an app setting. The child gets these, `PATH` and the host's own, and nothing else of this process.
    pub(crate) fn env(mut self, key: &str, value: &str) -> Self {
        self.env.push((key.into(), value.into()));
        self
    }

    /// Uses this port, as a restart does; a free one is taken otherwise.
    pub(crate) fn port(self, port: u16) -> Self {
        Self { port: Some(port), ..self }
    }

    /// Starts the handler and waits until it is ready. Panics when it does not get there.
    pub(crate) async fn start(self) -> Host {
        let mut host = self.spawn();
        host.until_ready().await;
        host
    }

    /// Starts the handler without waiting.
    pub(crate) fn spawn(self) -> Host {
        let port = self.port.unwrap_or_else(free_port);
        let child = self.command(port).spawn().unwrap_or_else(|error| panic!("start {:?}: {error}", self.program));
        Host { wire: Arc::new(Wire::at(port)), process: Process::watch(child) }
    }

    fn command(&self, port: u16) -> Command {
        let id = uuid::Uuid::new_v4().to_string();
        let mut command = Command::new(&self.program);
        command
            .args(arguments(&self.root))
            .current_dir(&self.root)
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .envs(self.env.iter().cloned())
            .env("FUNCTIONS_CUSTOMHANDLER_PORT", port.to_string())
            .env("FUNCTIONS_HTTPWORKER_PORT", port.to_string())
            .env("FUNCTIONS_CUSTOMHANDLER_WORKER_ID", &id)
            .env("FUNCTIONS_HTTPWORKER_ID", &id)
            .env("FUNCTIONS_APP_ROOT_PATH", &self.root)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }
}

/// The arguments in `host.json`. The host joins them unquoted and expands `%NAME%`, so neither may be needed.
fn arguments(root: &Path) -> Vec<String> {
    let path = root.join("host.json");
    let text = std::fs::read(&path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()));
    let host: Value = serde_json::from_slice(&text).expect("host.json is JSON");
    let arguments = &host["customHandler"]["description"]["arguments"];
    let arguments: Vec<String> = serde_json::from_value(arguments.clone()).expect("arguments is a list of texts");
    assert!(!arguments.iter().any(|a| a.contains([' ', '%', '"'])), "the host mangles {arguments:?}");
    arguments
}

/// A port that was free a moment ago. The host takes the same risk.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// One line of output as the host records it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) level: Level,
    pub(crate) category: Category,
    /// Without the prefix that chose the category.
    pub(crate) text: String,
}

/// The level of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Information,
    Warning,
    Error,
}

/// Where the record goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Category {
    /// `Host.Function.Console`, which operators read.
    Console,
    /// The platform's own log, which they cannot see.
    System,
    /// `Host.Function.ToolingConsoleLog`.
    Tooling,
}

#[derive(Clone, Copy)]
enum Stream {
    Stdout,
    Stderr,
}

impl Line {
    /// By the rules of `WorkerProcess` with `useStdErrorStreamForErrorsOnly`.
    fn of(stream: Stream, text: &str) -> Self {
        let level = match stream {
            Stream::Stdout => Level::Information,
            Stream::Stderr if text.to_ascii_lowercase().contains("warn") => Level::Warning,
            Stream::Stderr => Level::Error,
        };
        let (category, text) = if let Some(text) = text.strip_prefix("LanguageWorkerConsoleLog") {
            (Category::System, text)
        } else if let Some(text) = text.strip_prefix("azfuncjsonlog:") {
            (Category::Tooling, text)
        } else {
            (Category::Console, text)
        };
        Self { level, category, text: text.to_owned() }
    }
}

/// What the host does after the end of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Code 0: nothing. Every later invocation fails.
    NeverRestarted,
    /// Code 200: starts it again, and does not count it.
    Restarted,
    /// Any other code, or 128 and the signal's number: starts it again, and stops the whole host at the third of them.
    Counted(i32),
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        match status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)) {
            0 => Self::NeverRestarted,
            200 => Self::Restarted,
            code => Self::Counted(code),
        }
    }
}

/// A signal by the name that `kill` takes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Signal {
    /// What the host does at a time-out, at a restart and at its own end.
    Kill,
    /// What a container gets when it is stopped.
    Term,
    /// Ctrl-C under `func start`.
    Int,
}

/// A running child and what it has printed.
pub(crate) struct Process {
    child: Child,
    pid: u32,
    output: Output,
}

impl Process {
    fn watch(mut child: Child) -> Self {
        let output = Output::default();
        // The sender goes when both readers are done, and that ends the output.
        let (more, changed) = watch::channel(());
        let more = Arc::new(more);
        let stdout = child.stdout.take().expect("stdout is piped");
        let stderr = child.stderr.take().expect("stderr is piped");
        tokio::spawn(read_lines(stdout, Stream::Stdout, Arc::clone(&output.lines), Arc::clone(&more)));
        tokio::spawn(read_lines(stderr, Stream::Stderr, Arc::clone(&output.lines), more));
        Self { pid: child.id().expect("it was just started"), child, output: Output { changed, ..output } }
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) fn lines(&self) -> Vec<Line> {
        self.output.lines.lock().unwrap().clone()
    }

    pub(super) async fn line_with(&self, text: &str) -> Line {
        let mut changed = self.output.changed.clone();
        let wait = async {
            loop {
                changed.mark_unchanged();
                if let Some(line) = self.lines().into_iter().find(|line| line.text.contains(text)) {
                    return line;
                }
                assert!(changed.changed().await.is_ok(), "the output ended without {text:?}\n{:#?}", self.lines());
            }
        };
        timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("no line with {text:?}\n{:#?}", self.lines()))
    }

    /// Resolves when nobody holds the other end of the output any more.
    pub(super) fn output_ended(&self) -> impl Future<Output = ()> + use<> {
        let mut changed = self.output.changed.clone();
        async move { while changed.changed().await.is_ok() {} }
    }

    pub(super) fn signal(&self, signal: Signal) {
        let name = match signal {
            Signal::Kill => "-KILL",
            Signal::Term => "-TERM",
            Signal::Int => "-INT",
        };
        let sent = std::process::Command::new("kill").args([name, &self.pid.to_string()]).status().expect("run kill");
        assert!(sent.success(), "kill {name} {}", self.pid);
    }

    pub(super) fn ended(&mut self) -> Option<Exit> {
        self.child.try_wait().expect("ask for the child's end").map(Exit::from)
    }

    pub(super) async fn exit(&mut self) -> Exit {
        let output = self.output_ended();
        let both = async { tokio::join!(self.child.wait(), output).0.expect("wait for the child") };
        timeout(PATIENCE, both).await.expect("the handler did not end").into()
    }
}

/// The lines so far, and a bell that rings at each and falls silent at the end.
struct Output {
    lines: Arc<Mutex<Vec<Line>>>,
    changed: watch::Receiver<()>,
}

impl Default for Output {
    fn default() -> Self {
        Self { lines: Arc::default(), changed: watch::channel(()).1 }
    }
}

async fn read_lines(
    pipe: impl AsyncRead + Unpin,
    stream: Stream,
    lines: Arc<Mutex<Vec<Line>>>,
    more: Arc<watch::Sender<()>>,
) {
    let mut pipe = BufReader::new(pipe);
    let mut bytes = Vec::new();
    while pipe.read_until(b'\n', &mut bytes).await.is_ok_and(|length| length > 0) {
        let text = String::from_utf8_lossy(&bytes);
        lines.lock().unwrap().push(Line::of(stream, text.trim_end_matches(['\r', '\n'])));
        bytes.clear();
        more.send_replace(());
    }
}
