//! A router on a listener, until told to stop.

use axum::Router;
use axum::serve::Listener;
use std::io;
use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Ends a simulator: used once for the server and by every answer that would otherwise wait for ever.
#[derive(Debug)]
pub(super) struct Switch(watch::Sender<bool>);

/// The other end of a [`Switch`].
#[derive(Clone, Debug)]
pub(super) struct Stop(watch::Receiver<bool>);

impl Switch {
    pub(super) fn new() -> (Self, Stop) {
        let (sender, receiver) = watch::channel(false);
        (Self(sender), Stop(receiver))
    }
}

impl Stop {
    /// Returns once the switch was thrown or dropped.
    pub(super) async fn wait(mut self) {
        let _ = self.0.wait_for(|stopped| *stopped).await;
    }
}

/// A running server. Dropping it drops the switch, which stops the server.
#[derive(Debug)]
pub(super) struct Running {
    base_url: String,
    switch: Switch,
    open: watch::Receiver<()>,
}

impl Running {
    /// Serves `router` on `listener`. Must be called within a Tokio runtime.
    pub(super) fn start(listener: TcpListener, router: Router, switch: Switch) -> Self {
        let base_url = listener.local_addr().map_or_else(|_| String::new(), |address| format!("http://{address}"));
        let (open, closed) = watch::channel(());
        let stop = Stop(switch.0.subscribe());
        let serve = axum::serve(Watched { listener, _open: open }, router).with_graceful_shutdown(stop.wait());
        tokio::spawn(async move { serve.await });
        Self { base_url, switch, open: closed }
    }

    /// `http://127.0.0.1:port`, without a trailing slash.
    pub(super) fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Stops accepting; returns when the port is closed. Answers under way may still be finished.
    pub(super) async fn shutdown(&self) {
        self.switch.0.send_replace(true);
        let mut open = self.open.clone();
        while open.changed().await.is_ok() {}
    }
}

/// A listener whose end can be waited for: its fields are dropped in this order, the socket first.
struct Watched {
    listener: TcpListener,
    _open: watch::Sender<()>,
}

impl Listener for Watched {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.listener).await;
        // Many small chunks: without this, delayed acknowledgements would add 40 ms to some of them.
        let _ = stream.set_nodelay(true);
        (stream, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}
