//! Measures how long the program takes to answer what needs no request: help, and a configuration that is wrong.
//!
//! `cargo bench --bench startup` prints the median of each. With `--profile dev`, it needs no optimized build.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const RUNS: usize = 30;

/// The median time of a run with these arguments.
fn median(folder: &std::path::Path, arguments: &[&str]) -> Duration {
    let mut times: Vec<_> = (0..RUNS)
        .map(|_| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_threescale-gw"));
            command
                .args(arguments)
                .current_dir(folder)
                .env_clear()
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            let began = Instant::now();
            command.status().expect("the binary runs");
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[RUNS / 2]
}

#[allow(clippy::print_stdout, reason = "the table is the result")]
fn main() {
    let folder = std::env::temp_dir().join(format!("threescale-gw-startup-{}", std::process::id()));
    std::fs::create_dir(&folder).expect("a folder");
    let wrong = "stack: Orders\nnetwork: {zoness: 2}\n";
    std::fs::write(folder.join("threescale-gw.yaml"), wrong).expect("a file");
    for arguments in [
        &["--help"][..],
        &["version"],
        &["validate"],
        &["plan"],
        &["up", "--yes"],
    ] {
        let took = median(&folder, arguments);
        println!(
            "{:<12} {:>6.1} ms",
            arguments.join(" "),
            took.as_secs_f64() * 1000.0
        );
    }
    std::fs::remove_dir_all(folder).expect("the folder goes");
}
