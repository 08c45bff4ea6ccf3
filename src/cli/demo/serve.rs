//! The simulators kept up, for a program or a Functions host that is started by hand.

use super::account::count;
use super::place::short;
use super::world::{ALERTS, World, stream};
use super::{DemoError, Verdict, rows, say, while_doing};
use crate::handler::FUNCTION;
use crate::settings::HANDLER_PORT;
use crate::sim::appliance::{AlertSpec, EventSpec};
use std::path::Path;
use std::time::Duration;

const HOUR: i64 = 3_600_000;
/// The master has a little history, so that the first poll has something to read.
const HISTORY: i64 = 20;
const NEW_ALERT_EVERY: Duration = Duration::from_secs(5);
const GLANCE: Duration = Duration::from_millis(500);
/// For the examples; any free port will do.
const PORT: u16 = 7072;

pub(super) async fn perform(rows_to: Option<&Path>) -> Result<Verdict, DemoError> {
    let world = World::start(rows_to).await?;
    let now = world.appliance.now_ms();
    for n in 1..=HISTORY {
        let creation_ms = Some(now - n * 23 * HOUR / HISTORY);
        world.appliance.issue_alert(AlertSpec { creation_ms, ..AlertSpec::default() });
    }
    world.appliance.issue_event(EventSpec { created_ms: Some(now - HOUR), ..EventSpec::default() });
    say("darktrace-sentinel demo --serve\n");
    say(
        "A simulated Darktrace master, Azure ingestion endpoint and identity endpoint run on this machine until Ctrl-C.",
    );
    say(format_args!("The master raises an alert every {} seconds.", NEW_ALERT_EVERY.as_secs()));
    say(host_settings(&world));
    say(shell_settings(&world));
    until_interrupted(&world).await?;
    rows::keep(&world, &world.ingestion.rows(&stream(ALERTS)))?;
    Ok(Verdict::Sound)
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
    let plain = |c: char| c.is_ascii_alphanumeric() || "/:.-_=".contains(c);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// Raises alerts and tells what is stored, until Ctrl-C.
async fn until_interrupted(world: &World) -> Result<(), DemoError> {
    let interrupt = tokio::signal::ctrl_c();
    tokio::pin!(interrupt);
    let mut new_alert = tokio::time::interval(NEW_ALERT_EVERY);
    let mut glance = tokio::time::interval(GLANCE);
    let mut told = 0;
    loop {
        tokio::select! {
            interrupted = &mut interrupt => return interrupted.map_err(while_doing("Ctrl-C cannot be waited for")),
            _ = new_alert.tick() => drop(world.appliance.issue_alert(AlertSpec::default())),
            _ = glance.tick() => told = tell_news(world, told),
        }
    }
}

/// One line when there are more than `told` rows; returns how many there are.
fn tell_news(world: &World, told: usize) -> usize {
    let stored = world.stored();
    if stored > told {
        let issued = world.appliance.issued();
        let issued = issued.alerts.len() + issued.events.len();
        say(format_args!(
            "stored {}; the master has {issued}, and {stored} are stored",
            count(stored - told, "new row")
        ));
    }
    stored
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_a_quoted_word_as_it_was() {
        assert_eq!(quoted("http://127.0.0.1:80/a_b-c=d"), "http://127.0.0.1:80/a_b-c=d");
        assert_eq!(quoted("/tmp/it's here"), r"'/tmp/it'\''s here'");
    }

    #[tokio::test]
    async fn the_block_for_the_host_is_json_with_every_setting() {
        let world = World::start(None).await.unwrap();
        let text = host_settings(&world);
        let block: serde_json::Value = serde_json::from_str(&text[text.find('{').unwrap()..]).unwrap();
        for (name, value) in world.settings() {
            assert_eq!(block["Values"][name], value);
        }
        assert_eq!(block["Values"]["FUNCTIONS_WORKER_RUNTIME"], "custom");
    }
}
