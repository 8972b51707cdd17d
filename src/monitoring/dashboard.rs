//! The dashboard of a stack.

use serde_json::{Value, json};

use super::{NAMESPACE, Subject, alarms};

/// The columns of a dashboard. Source: CloudWatch API Reference, "Dashboard Body Structure and Syntax".
const COLUMNS: u32 = 24;
const HEIGHT: u32 = 6;

/// The body of the dashboard of a stack, as JSON. `has_alarms`: it shows those of the stack.
pub fn dashboard(subject: &Subject, has_alarms: bool) -> String {
    let names = &subject.names;
    let (stack, region) = (&names.stack, &names.region);
    let function = names.function("authorizer");
    let lambda = |metric: &str, options: Value| {
        json!(["AWS/Lambda", metric, "FunctionName", function, options])
    };
    let own = |metric: &str, options: Value| json!([NAMESPACE, metric, "Stack", stack, options]);
    let sum = || json!({ "stat": "Sum" });
    let text = format!(
        "## threescale-gw: stack {stack} in {region}\n`threescale-gw up` restores what is changed here. `threescale-gw status --stack \
         {stack} --region {region}` says what is not healthy."
    );
    let mut widgets = vec![(COLUMNS, 3, "text", json!({ "markdown": text }))];
    if has_alarms {
        let arns = alarms(subject)
            .iter()
            .map(|alarm| names.alarm_arn(alarm.name))
            .collect::<Vec<_>>();
        let properties = json!({ "title": "Alarms", "alarms": arns });
        widgets.push((COLUMNS, 3, "alarm", properties));
    }
    let graph = |title: &str, metrics: Vec<Value>| {
        let properties = json!({
            "title": title, "region": region, "view": "timeSeries", "stacked": false, "period": 60, "metrics": metrics,
        });
        (COLUMNS / 2, HEIGHT, "metric", properties)
    };
    widgets.push(graph(
        "Requests",
        vec![
            lambda("Invocations", sum()),
            own("Refused", sum()),
            lambda("Errors", sum()),
            own("Unauthorized", sum()),
            lambda("Throttles", sum()),
        ],
    ));
    widgets.push(graph(
        "Time of a decision, in milliseconds",
        vec![
            lambda("Duration", json!({ "stat": "p50", "label": "p50" })),
            lambda("Duration", json!({ "stat": "p99", "label": "p99" })),
        ],
    ));
    widgets.push(graph(
        "Without Redis or 3scale, and lost usage",
        vec![own("Degraded", sum()), own("LostUsage", sum())],
    ));
    if subject.report_every.is_some() {
        widgets.push(graph(
            "Reports: waiting time in seconds, and delivered usage",
            vec![
                own("ReportLag", json!({ "stat": "Maximum" })),
                own("UsageDelivered", json!({ "stat": "Sum", "yAxis": "right" })),
            ],
        ));
    }
    let query = format!(
        "SOURCE '{}' | filter event = 'decision' and reason not in ['authorized', 'old_answer', 'outage'] \
         | stats count(*) as requests by reason | sort requests desc",
        names.log_group("authorizer")
    );
    widgets.push((
        COLUMNS,
        HEIGHT,
        "log",
        json!({ "title": "Refused requests in the log", "region": region, "view": "table", "query": query }),
    ));
    json!({ "widgets": placed(widgets) }).to_string()
}

/// The widgets with their places, from left to right.
fn placed(widgets: Vec<(u32, u32, &str, Value)>) -> Vec<Value> {
    let (mut x, mut y, mut row) = (0, 0, 0);
    let mut placed = Vec::new();
    for (width, height, kind, properties) in widgets {
        if x + width > COLUMNS {
            (x, y, row) = (0, y + row, 0);
        }
        placed.push(json!({
            "type": kind, "x": x, "y": y, "width": width, "height": height, "properties": properties,
        }));
        x += width;
        row = row.max(height);
    }
    placed
}

/// Whether two bodies say the same: CloudWatch may return one in another form.
pub fn same_body(one: &str, other: &str) -> bool {
    let read = |body: &str| serde_json::from_str::<Value>(body).ok();
    read(one).is_some_and(|one| read(other) == Some(one))
}

#[cfg(test)]
mod tests {
    use super::super::tests::subject;
    use super::*;

    #[test]
    fn widgets_do_not_overlap() {
        for (every, has_alarms) in [(Some(1), true), (None, false)] {
            let body = dashboard(&subject(every), has_alarms);
            let body: Value = serde_json::from_str(&body).expect("JSON");
            let widgets = body["widgets"].as_array().expect("widgets");
            let place = |widget: &Value| {
                ["x", "y", "width", "height"].map(|name| widget[name].as_u64().expect("a number"))
            };
            for (n, widget) in widgets.iter().enumerate() {
                let [x, y, width, height] = place(widget);
                assert!(x + width <= u64::from(COLUMNS));
                for other in &widgets[n + 1..] {
                    let [ox, oy, owidth, oheight] = place(other);
                    let apart = x + width <= ox
                        || ox + owidth <= x
                        || y + height <= oy
                        || oy + oheight <= y;
                    assert!(apart, "{widget} {other}");
                }
            }
        }
    }

    #[test]
    fn it_shows_the_alarms_that_there_are() {
        let of = |every, has_alarms| dashboard(&subject(every), has_alarms);
        assert!(of(Some(1), true).contains("alarm:threescale-gw-test-usage-lost"));
        assert!(!of(Some(1), false).contains(":alarm:"));
        assert!(!of(None, true).contains("ReportLag"));
    }

    #[test]
    fn a_body_is_compared_by_what_it_says() {
        assert!(same_body(r#"{"a": 1, "b": [2]}"#, "{\"b\":[2],\n\"a\":1}"));
        assert!(!same_body(r#"{"a": 1}"#, r#"{"a": 2}"#));
        assert!(!same_body("", ""));
    }
}
