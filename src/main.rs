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
    use darktrace_sentinel::cycle::crash::{Death, arm};
    let point = |name| environment(name).and_then(|point| point.parse().ok());
    if let Some(point) = point("DARKTRACE_SENTINEL_CRASH_AT") {
        arm(point, Death::Process);
    } else if let Some(point) = point("DARKTRACE_SENTINEL_PANIC_AT") {
        arm(point, Death::Task);
    }
}
