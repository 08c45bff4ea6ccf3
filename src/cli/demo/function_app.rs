//! The function app beside the simulators: the program as the Functions host starts it, and a timer in place of the host's.

use super::world::World;
use super::{DemoError, while_doing};
use crate::handler::{FUNCTION, STATUS};
use crate::settings::HANDLER_PORT;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// How long the program may take until it listens.
const STARTED_WITHIN: Duration = Duration::from_secs(10);
const GLANCE: Duration = Duration::from_millis(20);

/// The program under `serve`; it is killed when this is dropped.
pub(super) struct FunctionApp {
    port: u16,
    _process: Child,
}

impl FunctionApp {
    /// Starts it with the settings that lead to the simulators.
    pub(super) async fn start(world: &World) -> Result<Self, DemoError> {
        let port = free_port().map_err(while_doing("no port is free"))?;
        let mut command = Command::new(&world.program);
        command.arg("serve").env_clear().envs(world.settings()).env(HANDLER_PORT.name, port.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
        let process = command.spawn().map_err(while_doing("the function app cannot be started"))?;
        let app = Self { port, _process: process };
        tokio::time::timeout(STARTED_WITHIN, app.listening())
            .await
            .map_err(|_| while_doing("the function app does not listen")(io::ErrorKind::TimedOut.into()))?;
        Ok(app)
    }

    /// Where the status is.
    pub(super) fn status_url(&self) -> String {
        format!("http://{}:{}/{STATUS}", Ipv4Addr::LOCALHOST, self.port)
    }

    /// One tick of the timer, from its begin to its end. What it came to is in the status.
    pub(super) async fn tick(&self) -> Result<(), DemoError> {
        self.post().await.map_err(while_doing("the function app does not answer"))
    }

    async fn post(&self) -> io::Result<()> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await?;
        let head = format!("POST /{FUNCTION} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n");
        stream.write_all(format!("{head}Content-Length: 2\r\nConnection: close\r\n\r\n{{}}").as_bytes()).await?;
        stream.read_to_end(&mut Vec::new()).await.map(drop)
    }

    async fn listening(&self) {
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.is_err() {
            tokio::time::sleep(GLANCE).await;
        }
    }
}

/// A port that was free a moment ago. The Functions host takes the same risk.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
