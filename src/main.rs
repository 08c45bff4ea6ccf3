//! Arguments and environment in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(feature = "crash-points")]
    arm_crash_point();
    darktrace_sentinel::cli::run(std::env::args_os(), environment)
}

/// The only reading of the environment. Text that is not Unicode counts as absent.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(feature = "crash-points")]
fn arm_crash_point() {
    let point = environment("DARKTRACE_SENTINEL_CRASH_AT").and_then(|n| n.parse().ok());
    darktrace_sentinel::cycle::crash::arm(point.unwrap_or_default());
}
