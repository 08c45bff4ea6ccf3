//! The simulators kept up with the function app beside them, and for a program or a Functions host that is started by hand.

use super::account::{Course, count};
use super::function_app::FunctionApp;
use super::place::short;
use super::world::World;
use super::{DemoError, Shape, Verdict, rows, say, while_doing};
use crate::handler::FUNCTION;
use crate::settings::HANDLER_PORT;
use crate::sim::appliance::{ActionSpec, AlertSpec, Appliance, EmailSpec, EventSpec, StatusSpec};
use std::time::Duration;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
/// E-mails are asked for when they are two minutes old.
const AGE_OF_EMAIL: i64 = 3 * MINUTE;
/// The master has a little history, so that the first poll has something to read.
const HISTORY: i64 = 20;
const NEWS_EVERY: Duration = Duration::from_secs(5);
const GLANCE: Duration = Duration::from_millis(500);
/// The timer of the function app.
const TICK_EVERY: Duration = Duration::from_secs(15);
/// For the examples; any free port will do.
const PORT: u16 = 7072;

pub(super) async fn perform(shape: Shape<'_>) -> Result<Verdict, DemoError> {
    let world = World::start(shape).await?;
    begin(&world.appliance);
    say("darktrace-sentinel demo --serve\n");
    say(
        "A simulated Darktrace master, Azure ingestion endpoint and identity endpoint run on this machine until Ctrl-C.",
    );
    say(format_args!(
        "The master raises an alert every {} seconds, and beside every second one there is an event, an e-mail, a response\n\
         action, or a probe that falls silent or comes back.",
        NEWS_EVERY.as_secs()
    ));
    let app = FunctionApp::start(&world).await?;
    say(format_args!(
        "\nThe function app runs beside them and polls every {} seconds. How it goes:\n\n  {}\n\n\
         It keeps its position where the settings below say, so that what is started with them goes on from there.",
        TICK_EVERY.as_secs(),
        app.status_url()
    ));
    say(host_settings(&world));
    say(shell_settings(&world));
    let ended = tokio::select! {
        ended = until_interrupted(&world) => ended,
        ended = keep_ticking(&app) => ended,
    };
    ended?;
    rows::keep(&world, &world.tables(&Course::default()))?;
    Ok(Verdict::Sound)
}

fn begin(appliance: &Appliance) {
    let now = appliance.now_ms();
    for n in 1..=HISTORY {
        let creation_ms = Some(now - n * 23 * HOUR / HISTORY);
        appliance.issue_alert(AlertSpec { creation_ms, ..AlertSpec::default() });
    }
    appliance.issue_event(EventSpec { created_ms: Some(now - HOUR), ..EventSpec::default() });
    appliance.issue_email(EmailSpec { dtime_ms: Some(now - HOUR), ..EmailSpec::default() });
    appliance.issue_action(ActionSpec { start_ms: Some(now - HOUR / 2), ..ActionSpec::default() });
}

/// What happens at turn `turn` of the clock.
fn happen(appliance: &Appliance, turn: u64) {
    appliance.issue_alert(AlertSpec::default());
    match turn % 10 {
        1 => drop(appliance.issue_event(EventSpec::default())),
        3 => {
            let dtime_ms = Some(appliance.now_ms() - AGE_OF_EMAIL);
            appliance.issue_email(EmailSpec { dtime_ms, ..EmailSpec::default() });
        }
        5 => drop(appliance.issue_action(ActionSpec::default())),
        7 => {
            let mut status = StatusSpec::default();
            status.probes.iter_mut().take(1).for_each(|probe| probe.error = Some(true.into()));
            appliance.set_status(status);
        }
        9 => appliance.set_status(StatusSpec::default()),
        _ => {}
    }
}

/// What the Functions host reads, with the settings that the host itself needs.
fn host_settings(world: &World) -> String {
    let program = world.program.to_string_lossy().into_owned();
    let own = [
        ("FUNCTIONS_WORKER_RUNTIME", "custom".to_owned()),
        ("AzureFunctionsJobHost__customHandler__description__defaultExecutablePath", program),
        ("AzureWebJobsStorage", "UseDevelopmentStorage=true".to_owned()),
        ("POLL_SCHEDULE", "*/15 * * * * *".to_owned()),
    ];
    let values: Vec<String> =
        own.into_iter().chain(world.settings()).map(|(name, value)| member(name, &value)).collect();
    format!(
        "\nFor `func start`: local.settings.json (the host keeps its timer in the storage emulator, so start Azurite first)\n\n\
         {{\n  \"IsEncrypted\": false,\n  \"Values\": {{\n{}\n  }}\n}}",
        values.join(",\n")
    )
}

fn member(name: &str, value: &str) -> String {
    format!("    \"{name}\": {}", serde_json::Value::from(value))
}

/// The same for a shell, and what to do with it.
fn shell_settings(world: &World) -> String {
    let exports: String =
        world.settings().iter().map(|(name, value)| format!("export {name}={}\n", quoted(value))).collect();
    let (program, port) = (quoted(&short(&world.program)), HANDLER_PORT.name);
    format!(
        "\nFor `poll` and `serve`: paste this into another shell\n\n{exports}\n\
         Then try one poll\n\n  {program} poll\n\n\
         or what the Functions host does\n\n  {port}={PORT} {program} serve &\n  \
         curl -sS -X POST -H 'Content-Type: application/json' -d '{{}}' http://127.0.0.1:{PORT}/{FUNCTION}\n"
    )
}

/// A word for a POSIX shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/:.,-_=".contains(c);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// What the timer of the host does.
async fn keep_ticking(app: &FunctionApp) -> Result<(), DemoError> {
    let mut timer = tokio::time::interval(TICK_EVERY);
    loop {
        timer.tick().await;
        app.tick().await?;
    }
}

/// Lets things happen and tells what is stored, until Ctrl-C.
async fn until_interrupted(world: &World) -> Result<(), DemoError> {
    let interrupt = tokio::signal::ctrl_c();
    tokio::pin!(interrupt);
    let mut news = tokio::time::interval(NEWS_EVERY);
    let mut glance = tokio::time::interval(GLANCE);
    let (mut turn, mut told) = (0, 0);
    loop {
        tokio::select! {
            interrupted = &mut interrupt => return interrupted.map_err(while_doing("Ctrl-C cannot be waited for")),
            _ = news.tick() => {
                happen(&world.appliance, turn);
                turn += 1;
            }
            _ = glance.tick() => told = tell_news(world, told),
        }
    }
}

/// One line when there are more than `told` rows; returns how many there are.
fn tell_news(world: &World, told: usize) -> usize {
    let stored = world.stored();
    if stored > told {
        let issued = world.appliance.issued();
        let records = issued.alerts.len() + issued.events.len() + issued.emails.len() + issued.actions.len();
        say(format_args!(
            "stored {}; the master has {}, and {stored} rows are stored",
            count(stored - told, "new row"),
            count(records, "record")
        ));
    }
    stored
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::appliance::Tokens;
    use crate::source::Layout;
    use tokio::net::TcpListener;

    const SHAPE: Shape<'_> = Shape { rows: None, layout: Layout::Legacy };

    #[tokio::test]
    async fn something_of_every_kind_happens_from_time_to_time() {
        let tokens = Tokens { public: String::new(), private: String::new() };
        let appliance = Appliance::start(TcpListener::bind("127.0.0.1:0").await.unwrap(), tokens);
        let mut silent = 0;
        for turn in 0..20 {
            happen(&appliance, turn);
            silent += appliance.status().probes.iter().filter(|probe| probe.error.is_some()).count();
        }
        let issued = appliance.issued();
        assert_eq!(
            (issued.alerts.len(), issued.events.len(), issued.emails.len(), issued.actions.len()),
            (20, 2, 2, 2)
        );
        assert_eq!((silent, appliance.status()), (4, StatusSpec::default()));
    }

    #[test]
    fn a_shell_reads_a_quoted_word_as_it_was() {
        assert_eq!(quoted("http://127.0.0.1:80/a_b-c=d"), "http://127.0.0.1:80/a_b-c=d");
        assert_eq!(quoted("/tmp/it's here"), r"'/tmp/it'\''s here'");
    }

    #[tokio::test]
    async fn the_block_for_the_host_is_json_with_every_setting() {
        let world = World::start(SHAPE).await.unwrap();
        let text = host_settings(&world);
        let block: serde_json::Value = serde_json::from_str(&text[text.find('{').unwrap()..]).unwrap();
        for (name, value) in world.settings() {
            assert_eq!(block["Values"][name], value);
        }
        assert_eq!(block["Values"]["FUNCTIONS_WORKER_RUNTIME"], "custom");
    }
}
