//! Durations as people read them: one format for everything that the program says. Pure.

use std::time::Duration;

/// Formats a duration that was chosen: `500 ms`, `30 s`, `1 min`, `1 h 30 min`, `7 days`.
pub fn exact(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds == 0 {
        return format!("{} ms", duration.as_millis());
    }
    let plural = if seconds / 86_400 == 1 { "" } else { "s" };
    let parts = [
        (seconds / 86_400, format!("day{plural}")),
        (seconds / 3_600 % 24, "h".to_owned()),
        (seconds / 60 % 60, "min".to_owned()),
        (seconds % 60, "s".to_owned()),
    ];
    let parts = parts.into_iter().filter(|(count, _)| *count > 0);
    let parts: Vec<_> = parts
        .map(|(count, unit)| format!("{count} {unit}"))
        .collect();
    parts.join(" ")
}

/// Formats a duration that was measured: `0.4 s`, `12 s`, `3 min 05 s`, `1 h 07 min`.
pub fn elapsed(took: Duration) -> String {
    match took.as_secs() {
        0..10 => format!("{:.1} s", took.as_secs_f64()),
        secs @ 10..60 => format!("{secs} s"),
        secs @ 60..3_600 => format!("{} min {:02} s", secs / 60, secs % 60),
        secs => format!("{} h {:02} min", secs / 3_600, secs / 60 % 60),
    }
}

/// Formats an estimate: `40 s`, `5 min`.
pub fn about(duration: Duration) -> String {
    match duration.as_secs() {
        secs @ 0..60 => format!("{} s", secs.div_ceil(10) * 10),
        secs => format!("{} min", secs.div_ceil(60)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duration_has_its_units_in_words() {
        for (seconds, text) in [
            (1, "1 s"),
            (60, "1 min"),
            (61, "1 min 1 s"),
            (3_600, "1 h"),
            (5_400, "1 h 30 min"),
            (86_400, "1 day"),
            (7 * 86_400, "7 days"),
            (86_400 + 1, "1 day 1 s"),
            (100_000 * 86_400, "100000 days"),
        ] {
            assert_eq!(exact(Duration::from_secs(seconds)), text);
        }
        assert_eq!(exact(Duration::from_millis(500)), "500 ms");
        assert_eq!(exact(Duration::ZERO), "0 ms");
    }

    #[test]
    fn what_was_measured_keeps_its_width() {
        for (seconds, text) in [
            (0.44, "0.4 s"),
            (12.9, "12 s"),
            (185.0, "3 min 05 s"),
            (4_020.0, "1 h 07 min"),
        ] {
            assert_eq!(elapsed(Duration::from_secs_f64(seconds)), text);
        }
        assert_eq!(
            [31, 60, 61].map(|secs| about(Duration::from_secs(secs))),
            ["40 s", "1 min", "2 min"]
        );
    }
}
