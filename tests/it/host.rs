//! A stand-in of the Azure Functions host (runtime v4), as far as a custom handler can tell.
//!
//! It starts the handler as the host does, probes it, posts invocations byte for byte in both of the forms that exist, and
//! judges the answers and the output by the host's rules, which are those of azure-functions-host's sources
//! (<https://github.com/Azure/azure-functions-host>, `src/WebJobs.Script/Workers`). It is stricter in one point: where the
//! host would hang until the function times out, the test fails at once.
//!
//! It knows nothing of the product. [`wire`] is the protocol and drives any port; [`process`] is the child and its output;
//! [`verdict`] is the host's opinion of an answer.

pub(crate) mod process;
pub(crate) mod verdict;
pub(crate) mod wire;

use process::{Builder, Exit, Line, Process, Signal};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use wire::Wire;

/// How long the host waits for the handler's first answer (`customHandler.initializationTimeout`).
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How often it tries.
const PROBE_EVERY: Duration = Duration::from_millis(25);

/// A handler that runs as a child process. Dropping it kills the child, as the host does.
pub(crate) struct Host {
    /// The way to post invocations to it.
    pub(crate) wire: Arc<Wire>,
    process: Process,
}

impl Host {
    /// A handler that listens already, in this process or another.
    pub(crate) fn at(port: u16) -> Wire {
        Wire::at(port)
    }

    /// A handler to be started: `program` in the folder `root`, which holds `host.json`.
    pub(crate) fn of(program: impl AsRef<Path>, root: impl AsRef<Path>) -> Builder {
        Builder::new(program.as_ref(), root.as_ref())
    }

    /// Probes until the handler answers. Panics, with all that it printed, when it ends first or does not answer in time.
    async fn until_ready(&mut self) {
        let deadline = tokio::time::Instant::now() + READY_WITHIN;
        while !self.wire.probe().await {
            if let Some(exit) = self.process.ended() {
                panic!("the handler ended before it was ready: {exit:?}\n{:#?}", self.lines());
            }
            assert!(tokio::time::Instant::now() < deadline, "the handler was not ready in time\n{:#?}", self.lines());
            tokio::time::sleep(PROBE_EVERY).await;
        }
    }

    /// What it printed so far.
    pub(crate) fn lines(&self) -> Vec<Line> {
        self.process.lines()
    }

    /// Waits for a line that contains `text`. Panics, with all that was printed, after ten seconds.
    pub(crate) async fn line_with(&self, text: &str) -> Line {
        self.process.line_with(text).await
    }

    /// The child's number, for what the system knows of it under `/proc`.
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Sends a signal. The host itself sends none but `Kill`.
    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits for the end of the process and of its output. Panics after ten seconds.
    pub(crate) async fn exit(&mut self) -> Exit {
        self.process.exit().await
    }
}

mod tests {
    use super::process::{Category, Level};
    use super::*;
    use std::fs;
    use tempfile::TempDir;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    /// An application whose handler is a shell script.
    fn app(script: &str) -> TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("run.sh"), script).unwrap();
        let host = r#"{"customHandler":{"description":{"defaultExecutablePath":"sh","arguments":["run.sh","serve"]}}}"#;
        fs::write(root.path().join("host.json"), host).unwrap();
        root
    }

    #[tokio::test]
    async fn the_child_gets_five_variables_its_arguments_and_the_root_as_its_folder() {
        let root = app(concat!(
            "echo $1 in $(pwd) $EXTRA\n",
            "echo $FUNCTIONS_CUSTOMHANDLER_PORT $FUNCTIONS_HTTPWORKER_PORT $FUNCTIONS_APP_ROOT_PATH\n",
            "test ${#FUNCTIONS_CUSTOMHANDLER_WORKER_ID} = 36 && ",
            "test $FUNCTIONS_CUSTOMHANDLER_WORKER_ID = $FUNCTIONS_HTTPWORKER_ID && echo same id\n",
            "echo home $HOME cargo $CARGO_MANIFEST_DIR\n",
        ));
        let mut host = Host::of("sh", &root).env("EXTRA", "given").port(7071).spawn();
        assert_eq!(host.exit().await, Exit::NeverRestarted);
        let path = root.path().canonicalize().unwrap();
        let texts: Vec<String> = host.lines().into_iter().map(|line| line.text).collect();
        let expected = [
            format!("serve in {} given", path.display()),
            format!("7071 7071 {}", root.path().display()),
            "same id".to_owned(),
            "home cargo".to_owned(),
        ];
        assert_eq!(texts, expected);
    }

    #[tokio::test]
    async fn lines_get_the_level_of_their_stream_and_the_category_of_their_prefix() {
        let root = app(concat!(
            "echo ERROR on stdout\n",
            "echo WARN careful >&2\n",
            "echo ERROR broken >&2\n",
            "echo LanguageWorkerConsoleLog inner\n",
            "echo azfuncjsonlog:{}\n",
            "printf torn\n",
        ));
        let mut host = Host::of("sh", &root).spawn();
        host.exit().await;
        let of = |text: &str| {
            let line = host.lines().into_iter().find(|line| line.text == text).unwrap();
            (line.level, line.category)
        };
        assert_eq!(of("ERROR on stdout"), (Level::Information, Category::Console));
        assert_eq!(of("WARN careful"), (Level::Warning, Category::Console));
        assert_eq!(of("ERROR broken"), (Level::Error, Category::Console));
        assert_eq!(of(" inner"), (Level::Information, Category::System));
        assert_eq!(of("{}"), (Level::Information, Category::Tooling));
        assert_eq!(of("torn"), (Level::Information, Category::Console));
    }

    #[tokio::test]
    async fn the_exit_code_decides_about_the_restart() {
        for (script, exit) in [
            ("exit 0", Exit::NeverRestarted),
            ("exit 200", Exit::Restarted),
            ("exit 70", Exit::Counted(70)),
            ("kill -ABRT $$", Exit::Counted(134)),
        ] {
            let root = app(script);
            assert_eq!(Host::of("sh", &root).spawn().exit().await, exit, "{script}");
        }
    }

    #[tokio::test]
    async fn signals_reach_the_child() {
        for (signal, trap, exit) in [
            (Signal::Term, "trap 'exit 3' TERM", Exit::Counted(3)),
            (Signal::Int, "trap 'exit 4' INT", Exit::Counted(4)),
            (Signal::Kill, "trap 'exit 5' TERM INT", Exit::Counted(137)),
        ] {
            // The shell traps between two commands, so it has to run short ones.
            let root = app(&format!("{trap}\necho up\nwhile :; do sleep 0.02; done"));
            let mut host = Host::of("sh", root.path()).spawn();
            host.line_with("up").await;
            host.signal(signal);
            assert_eq!(host.exit().await, exit);
        }
    }

    #[tokio::test]
    async fn dropping_the_host_kills_the_child() {
        let root = app("echo up\nexec sleep 60");
        let host = Host::of("sh", root.path()).spawn();
        host.line_with("up").await;
        let gone = host.process.output_ended();
        drop(host);
        tokio::time::timeout(Duration::from_secs(10), gone).await.expect("the child outlived its host");
    }

    #[tokio::test]
    async fn the_probe_is_bare_and_a_closed_connection_counts_as_ready() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let root = app("exec sleep 60");
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = [0; 100];
            let length = stream.read(&mut bytes).await.unwrap();
            String::from_utf8(bytes[..length].to_vec()).unwrap()
        });
        Host::of("sh", &root).port(port).start().await;
        assert_eq!(server.await.unwrap(), format!("GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"));
    }

    #[tokio::test]
    #[should_panic = "the handler ended before it was ready: Counted(70)"]
    async fn a_handler_that_ends_before_it_is_ready_fails_the_test() {
        let root = app("echo no settings >&2\nexit 70");
        Host::of("sh", &root).start().await;
    }
}
