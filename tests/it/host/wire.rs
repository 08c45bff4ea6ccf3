//! The host's side of the protocol, byte for byte, over sockets that are kept open and used again.

use super::verdict::Verdict;
use serde_json::Value;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

/// No handler of ours takes this long in a test, and a test that hangs says nothing.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
const VERSION: &str = "4.1045.200.25556";

/// How the host sends the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyMode {
    /// As in Azure: chunked, without a length.
    Chunked,
    /// As under Core Tools: with a length.
    Sized,
}

/// Both, for tests that have to hold in either.
pub(crate) const BODY_MODES: [BodyMode; 2] = [BodyMode::Chunked, BodyMode::Sized];

/// One invocation.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    function: String,
    payload: String,
    mode: BodyMode,
    traced: Traced,
    /// The invocation's identifier, fresh for each call.
    pub(crate) id: String,
}

/// Whether the host's telemetry is on, which adds `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Traced {
    Yes,
    No,
}

impl Call {
    /// Posts `payload` to `function`, chunked and without `traceparent`.
    pub(crate) fn new(function: &str, payload: &str) -> Self {
        let id = uuid::Uuid::new_v4().to_string();
        Self { function: function.into(), payload: payload.into(), mode: BodyMode::Chunked, traced: Traced::No, id }
    }

    /// Sends the body in this form.
    pub(crate) fn mode(self, mode: BodyMode) -> Self {
        Self { mode, ..self }
    }

    /// Adds the `traceparent` of a host with Application Insights.
    pub(crate) fn traced(self) -> Self {
        Self { traced: Traced::Yes, ..self }
    }

    /// The request as .NET's HTTP client writes it.
    pub(crate) fn bytes(&self, port: u16) -> Vec<u8> {
        let Self { function, id, .. } = self;
        let trace = match self.traced {
            Traced::Yes => "traceparent: 00-df18f802dae3424589c31c3fcf570962-95a8ba2a05d76f46-00\r\n",
            Traced::No => "",
        };
        let (framing, body) = match self.mode {
            BodyMode::Chunked => ("Transfer-Encoding: chunked".to_owned(), chunked(self.payload.as_bytes())),
            BodyMode::Sized => (format!("Content-Length: {}", self.payload.len()), self.payload.clone().into_bytes()),
        };
        let head = format!(
            "POST /{function} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-Azure-Functions-HostVersion: {VERSION}\r\n\
             X-Azure-Functions-InvocationId: {id}\r\nUser-Agent: Azure-Functions-Host/{VERSION}\r\n{trace}{framing}\r\n\
             Content-Type: application/json; charset=utf-8\r\n\r\n"
        );
        [head.into_bytes(), body].concat()
    }
}

fn chunked(payload: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for chunk in payload.chunks(4096) {
        body.extend(format!("{:x}\r\n", chunk.len()).bytes());
        body.extend(chunk);
        body.extend(b"\r\n");
    }
    body.extend(b"0\r\n\r\n");
    body
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The first header of this name, in any case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body, which has to be a JSON object of the right type. Panics otherwise.
    pub(crate) fn object(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        assert!(body.is_object(), "{self:?}");
        body
    }
}

/// The way to a handler at a port of 127.0.0.1.
pub(crate) struct Wire {
    port: u16,
    idle: Mutex<Vec<Connection>>,
    opened: AtomicUsize,
}

impl Wire {
    pub(super) fn at(port: u16) -> Self {
        Self { port, idle: Mutex::default(), opened: AtomicUsize::new(0) }
    }

    /// Where it leads.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Posts an invocation and judges the answer; a connection that breaks is a failure. Panics where the host would hang.
    pub(crate) async fn invoke(&self, call: &Call) -> Verdict {
        let answer = match self.try_exchange(&call.bytes(self.port)).await {
            Ok(answer) => answer,
            Err(error) => return Verdict::Failed { reason: format!("HttpRequestException: {error}") },
        };
        let verdict = Verdict::of(&answer);
        assert_ne!(verdict, Verdict::Hangs, "the host would wait for ever, then kill the process: {answer:?}");
        verdict
    }

    /// Posts an invocation and returns the answer, failures included.
    pub(crate) async fn post(&self, call: &Call) -> Answer {
        self.exchange(&call.bytes(self.port)).await
    }

    /// Sends a request that has no body.
    pub(crate) async fn request(&self, method: &str, path: &str) -> Answer {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", self.port);
        self.exchange(request.as_bytes()).await
    }

    /// Sends raw bytes and returns the answer, which has to come.
    pub(crate) async fn exchange(&self, request: &[u8]) -> Answer {
        self.try_exchange(request).await.expect("an answer")
    }

    /// Sends raw bytes over an idle connection or a new one.
    async fn try_exchange(&self, request: &[u8]) -> io::Result<Answer> {
        let idle = self.idle.lock().unwrap().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let answer = timeout(ANSWER_WITHIN, connection.exchange(request)).await.expect("an answer in time")?;
        if answer.header("connection") != Some("close") {
            self.idle.lock().unwrap().push(connection);
        }
        Ok(answer)
    }

    /// A new connection, which the caller may drop at any point.
    pub(crate) async fn connect(&self) -> io::Result<Connection> {
        let (reader, writer) = TcpStream::connect(("127.0.0.1", self.port)).await?.into_split();
        self.opened.fetch_add(1, Ordering::Relaxed);
        Ok(Connection { reader: BufReader::new(reader), writer })
    }

    /// How many connections were opened so far.
    pub(crate) fn opened(&self) -> usize {
        self.opened.load(Ordering::Relaxed)
    }

    /// Whether the handler is ready in the host's eyes: it answered anything, or took the connection and closed it.
    pub(crate) async fn probe(&self) -> bool {
        let Ok(mut connection) = self.connect().await else { return false };
        let request = format!("GET / HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", self.port);
        // Either outcome will do, but one of them has to come: here the host itself is blocked by a silent handler.
        let _ = timeout(ANSWER_WITHIN, connection.exchange(request.as_bytes())).await.expect("an answer to the probe");
        true
    }
}

/// A connection with nothing under way.
pub(crate) struct Connection {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
}

impl Connection {
    /// Sends without waiting for an answer.
    pub(crate) async fn send(&mut self, request: &[u8]) -> io::Result<()> {
        self.writer.write_all(request).await
    }

    /// Sends and reads at once, because a server may answer before it has read everything, and then stop reading.
    async fn exchange(&mut self, request: &[u8]) -> io::Result<Answer> {
        let head_only = request.starts_with(b"HEAD ");
        let (sent, answer) =
            tokio::join!(self.writer.write_all(request), read_answer(&mut self.reader, head_only.then_some(0)));
        answer.or_else(|error| sent.and(Err(error)))
    }
}

async fn read_answer(reader: &mut BufReader<OwnedReadHalf>, length: Option<usize>) -> io::Result<Answer> {
    let status_line = read_line(reader).await?;
    let status = status_line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("no HTTP: {status_line:?}")))?;
    let mut answer = Answer { status, headers: Vec::new(), body: Vec::new() };
    loop {
        let line = read_line(reader).await?;
        let Some((name, value)) = line.split_once(':') else { break };
        answer.headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let length = length.or_else(|| answer.header("content-length")?.parse().ok());
    match length {
        Some(length) => {
            answer.body = vec![0; length];
            reader.read_exact(&mut answer.body).await?;
        }
        None if answer.header("transfer-encoding") == Some("chunked") => answer.body = read_chunks(reader).await?,
        None => _ = reader.read_to_end(&mut answer.body).await?,
    }
    Ok(answer)
}

async fn read_chunks(reader: &mut BufReader<OwnedReadHalf>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = read_line(reader).await?;
        let length = usize::from_str_radix(&line, 16).map_err(|_| io::Error::other(format!("no chunk: {line:?}")))?;
        let start = body.len();
        body.resize(start + length, 0);
        reader.read_exact(&mut body[start..]).await?;
        read_line(reader).await?;
        if length == 0 {
            return Ok(body);
        }
    }
}

/// A line without its end; the end of the connection is an error.
async fn read_line(reader: &mut BufReader<OwnedReadHalf>) -> io::Result<String> {
    let mut line = String::new();
    if reader.read_line(&mut line).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[test]
    fn an_invocation_is_written_as_in_azure_and_as_under_core_tools() {
        let call = Call { id: "4bd9".into(), ..Call::new("TimerFn", r#"{"Data":{},"Metadata":{}}"#) };
        let azure = String::from_utf8(call.clone().traced().bytes(34035)).unwrap();
        let expected = concat!(
            "POST /TimerFn HTTP/1.1\r\nHost: 127.0.0.1:34035\r\nX-Azure-Functions-HostVersion: 4.1045.200.25556\r\n",
            "X-Azure-Functions-InvocationId: 4bd9\r\nUser-Agent: Azure-Functions-Host/4.1045.200.25556\r\n",
            "traceparent: 00-df18f802dae3424589c31c3fcf570962-95a8ba2a05d76f46-00\r\nTransfer-Encoding: chunked\r\n",
            "Content-Type: application/json; charset=utf-8\r\n\r\n19\r\n{\"Data\":{},\"Metadata\":{}}\r\n0\r\n\r\n"
        );
        assert_eq!(azure, expected);
        let tools = String::from_utf8(call.mode(BodyMode::Sized).bytes(34035)).unwrap();
        assert!(
            tools.contains("\r\nContent-Length: 25\r\n") && tools.ends_with("\r\n\r\n{\"Data\":{},\"Metadata\":{}}")
        );
        assert!(!tools.contains("traceparent") && !tools.contains("Transfer-Encoding"));
    }

    /// A server that gives the same answer to one request and closes.
    async fn scripted(answer: &'static str) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let wire = Wire::at(listener.local_addr().unwrap().port());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut request).await.unwrap();
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        wire
    }

    #[tokio::test]
    async fn bodies_are_read_by_length_by_chunk_and_to_the_end() {
        for answer in [
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}trailing",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
            "HTTP/1.0 200 OK\r\n\r\n{}",
        ] {
            assert_eq!(scripted(answer).await.request("GET", "/").await.body, b"{}", "{answer}");
        }
    }

    #[tokio::test]
    #[should_panic = "the host would wait for ever"]
    async fn an_answer_that_hangs_the_host_fails_the_test() {
        scripted("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.invoke(&Call::new("TimerFn", "{}")).await;
    }

    #[tokio::test]
    async fn a_handler_that_is_gone_or_goes_away_fails_the_invocation() {
        let gone = Wire::at(super::super::process::free_port());
        for wire in [gone, scripted("").await, scripted("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{").await] {
            let verdict = wire.invoke(&Call::new("TimerFn", "{}")).await;
            let Verdict::Failed { reason } = verdict else { panic!("{verdict:?}") };
            assert!(reason.starts_with("HttpRequestException"), "{reason}");
        }
    }

    #[tokio::test]
    async fn a_port_where_nobody_listens_is_not_ready() {
        let port = super::super::process::free_port();
        assert!(!Wire::at(port).probe().await);
    }
}
