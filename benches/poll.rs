//! What one poll costs: `cargo bench` runs the release build against the simulators and prints time, memory and bytes.
//!
//! Three polls of a fresh process each: nothing to read, 1,000 alerts and 50,000 alerts of a day, every post answered after
//! 50 ms. Each round runs all of them, so that a busy machine disturbs all alike; medians are printed, and the memory of
//! the largest poll as a ratio to that of the small one. It proves what it times: every alert has to be stored once.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark is a program for its reader")]

use darktrace_sentinel::sim::appliance::{Appliance, Tokens};
use darktrace_sentinel::sim::identity::Identity;
use darktrace_sentinel::sim::ingestion::{Ingestion, Modes, Rules, columns_of};
use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::time::Instant;

const ROUNDS: usize = 5;
const SIZES: [usize; 3] = [0, 1_000, 50_000];
const LATENCY_MS: u64 = 50;
const ALERTS: &str = "Custom-darktrace_model_alerts_CL";
const HEALTH: &str = "Custom-DarktraceConnectorHealth_CL";
const DCR: &str = "dcr-0123456789abcdef0123456789abcdef";
const HOUR_MS: i64 = 3_600_000;
/// Linux counts the CPU time of processes in hundredths of a second (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

#[derive(Clone, Copy)]
struct Cost {
    wall: Duration,
    cpu: Duration,
    peak_kib: u64,
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut costs: BTreeMap<usize, Vec<Cost>> = BTreeMap::new();
    for round in 0..ROUNDS {
        for turn in 0..SIZES.len() {
            let size = SIZES[(round + turn) % SIZES.len()];
            costs.entry(size).or_default().push(runtime.block_on(poll(size)));
        }
    }
    println!("{:>8} {:>10} {:>10} {:>14} {:>12}", "alerts", "wall s", "CPU s", "alerts/CPU s", "peak MiB");
    for (size, costs) in &costs {
        let (wall, cpu) = (median(costs, |c| c.wall.as_secs_f64()), median(costs, |c| c.cpu.as_secs_f64()));
        let rate = if *size == 0 { "-".to_owned() } else { format!("{:.0}", *size as f64 / cpu) };
        println!("{size:>8} {wall:>10.3} {cpu:>10.3} {rate:>14} {:>12.1}", peak(costs));
    }
    println!("memory, {} alerts to {}: {:.2}", SIZES[2], SIZES[1], peak(&costs[&SIZES[2]]) / peak(&costs[&SIZES[1]]));
}

async fn poll(alerts: usize) -> Cost {
    let listener = async || TcpListener::bind("127.0.0.1:0").await.unwrap();
    let appliance = Appliance::start(listener().await, Tokens { public: "public".into(), private: "private".into() });
    let ingestion = Ingestion::start(listener().await, rules());
    let identity = Identity::start(listener().await, "header");
    ingestion.set_modes(Modes { latency_ms: LATENCY_MS, ..Modes::default() });
    if alerts > 0 {
        let now = appliance.now_ms();
        appliance.issue_many(alerts, now - 20 * HOUR_MS, now - 60_000);
    }
    let state = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_darktrace-sentinel"))
        .arg("poll")
        .env_clear()
        .envs([
            ("DARKTRACE_HOST", appliance.base_url()),
            ("DARKTRACE_PUBLIC_TOKEN", "public"),
            ("DARKTRACE_PRIVATE_TOKEN", "private"),
            ("DARKTRACE_SOURCES", "model-alerts"),
            ("DATA_COLLECTION_ENDPOINT", ingestion.base_url()),
            ("DCR_IMMUTABLE_ID", DCR),
            ("IDENTITY_ENDPOINT", &identity.token_url()),
            ("IDENTITY_HEADER", "header"),
            ("CHECKPOINT_DIR", &state.path().to_string_lossy()),
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let (began, before) = (Instant::now(), cpu_of_children());
    let pid = child.id().unwrap();
    let mut peak_kib = 0;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status.unwrap(),
            () = tokio::time::sleep(Duration::from_millis(2)) => peak_kib = peak_kib.max(peak_of(pid)),
        }
    };
    let cost = Cost { wall: began.elapsed(), cpu: cpu_of_children() - before, peak_kib };
    assert!(status.success(), "the poll failed");
    assert_eq!(ingestion.rows(ALERTS).len(), alerts, "every alert is stored once");
    cost
}

fn rules() -> Rules {
    let columns = |text| columns_of(text).unwrap();
    let alerts = columns(include_str!("../infra/tables/darktrace_model_alerts_CL.json"));
    let health = columns(include_str!("../infra/tables/DarktraceConnectorHealth_CL.json"));
    Rules {
        dcr: DCR.to_owned(),
        audience: "https://monitor.azure.com".to_owned(),
        streams: BTreeMap::from([(ALERTS.to_owned(), alerts), (HEALTH.to_owned(), health)]),
    }
}

/// The CPU time, user and system, of the children that have ended: fields 16 and 17 of `/proc/self/stat`.
fn cpu_of_children() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit_once(')').unwrap().1.split_whitespace().skip(13).take(2);
    fields.map(|ticks| TICK * ticks.parse::<u32>().unwrap()).sum()
}

/// The largest resident set so far, in KiB; nothing once the process has ended.
fn peak_of(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|value| value.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or_default()
}

fn median(costs: &[Cost], of: impl Fn(&Cost) -> f64) -> f64 {
    let mut values: Vec<f64> = costs.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn peak(costs: &[Cost]) -> f64 {
    median(costs, |cost| cost.peak_kib as f64 / 1024.0)
}
