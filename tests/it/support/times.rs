//! Records how long each test takes, which the harness of stable Rust does not report. `.ci/run` shows the times.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

/// Measures the time until the thread of its test ends.
struct Stopwatch {
    since: Instant,
    test: Option<String>,
}

thread_local! {
    static STOPWATCH: Stopwatch = Stopwatch {
        since: Instant::now(),
        // The harness names each thread after its test. The worker threads of a test have no name.
        test: std::thread::current().name().map(str::to_owned),
    };
}

/// Starts to measure the test of this thread. Every slow helper calls this first.
pub fn measure() {
    STOPWATCH.with(|_| {});
}

impl Drop for Stopwatch {
    fn drop(&mut self) {
        let Some(test) = &self.test else { return };
        let line = format!("{:.2}\t{test}\n", self.since.elapsed().as_secs_f64());
        let target = Path::new(env!("CARGO_BIN_EXE_threescale-gw"))
            .ancestors()
            .nth(2);
        let path = target.expect("a target folder").join("test-times.tsv");
        // One short write, so that lines of several processes are not interleaved.
        let file = File::options().create(true).append(true).open(path);
        let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
    }
}
