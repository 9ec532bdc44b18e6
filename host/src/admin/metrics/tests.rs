//! The page against its documentation, and against whoever chooses names.

use super::{
    Format, Page,
    families::ALL,
    page::{Family, Kind, Number},
};

const PAGE: &str = include_str!("../../../../docs/metrics.md");

#[test]
fn every_metric_is_on_the_page_as_it_is() {
    let cells = |line: &'static str| -> Vec<&'static str> {
        line.trim_matches('|').split(" | ").map(str::trim).collect()
    };
    let rows: Vec<_> = PAGE
        .lines()
        .filter(|l| l.starts_with("| `"))
        .map(cells)
        .collect();
    for family in ALL {
        let labels: Vec<_> = family
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        let or_dash = |text: String| {
            if text.is_empty() {
                "–".to_owned()
            } else {
                text
            }
        };
        let row = [
            format!("`{}`", family.query_name()),
            family.kind.word().to_owned(),
            or_dash(family.unit.to_owned()),
            or_dash(labels.join(", ")),
            family.help.to_owned(),
        ];
        assert!(
            rows.iter().any(|told| told[..] == row),
            "docs/metrics.md lacks: | {} |",
            row.join(" | ")
        );
    }
    assert_eq!(rows.len(), ALL.len(), "docs/metrics.md tells of others too");
}

#[test]
fn names_units_and_kinds_follow_the_formats_rules() {
    let mut page = Page::new(Format::OpenMetrics);
    for family in ALL {
        assert!(!family.name.ends_with("_total"), "{}", family.name);
        assert!(family.name.ends_with(family.unit), "{}", family.name);
        assert!(family.help.ends_with('.') && !family.help.contains(['\n', '\\']));
        assert!(page.put_any(family, &[]), "{} is there twice", family.name);
    }
}

fn family(name: &'static str, kind: Kind) -> Family {
    Family {
        name: name.into(),
        kind,
        unit: "",
        labels: &["a"],
        help: "Help.",
    }
}

#[test]
fn label_values_cannot_forge_lines() {
    let mut page = Page::new(Format::Prometheus);
    let value = "x\"} 1\nforged 2\\".to_owned();
    page.put(&family("hits", Kind::Counter), [([value], 7_u64.into())]);
    assert_eq!(
        page.finish(),
        "# TYPE hits_total counter\n# HELP hits_total Help.\nhits_total{a=\"x\\\"} 1\\nforged 2\\\\\"} 7\n"
    );
}

#[test]
fn histograms_are_cumulated() {
    let mut page = Page::new(Format::OpenMetrics);
    let spread = Number::Spread {
        bounds: vec![0.5, 1.0],
        counts: vec![1, 2, 4],
        sum: 9.25,
    };
    page.put(
        &family("time", Kind::Histogram),
        [(["x".to_owned()], spread)],
    );
    let expected = [
        "# TYPE time histogram",
        "# HELP time Help.",
        "time_bucket{a=\"x\",le=\"0.5\"} 1",
        "time_bucket{a=\"x\",le=\"1.0\"} 3",
        "time_bucket{a=\"x\",le=\"+Inf\"} 7",
        "time_count{a=\"x\"} 7",
        "time_sum{a=\"x\"} 9.25",
        "# EOF",
    ];
    assert_eq!(page.finish(), expected.join("\n") + "\n");
}

#[test]
fn a_name_means_one_thing_on_a_page() {
    let mut page = Page::new(Format::OpenMetrics);
    assert!(page.put_any(&family("x", Kind::Counter), &[]));
    for (name, kind) in [
        ("x", Kind::Gauge),
        ("x_total", Kind::Gauge),
        ("x_created", Kind::Gauge),
        ("x", Kind::Histogram),
    ] {
        assert!(!page.put_any(&family(name, kind), &[]), "{name} {kind:?}");
    }
    assert!(page.put_any(&family("x_sum", Kind::Gauge), &[]));
    assert!(page.put_any(&family("y", Kind::Gauge), &[]));
}

#[test]
fn the_format_is_the_one_that_is_asked_for() {
    for (accept, format) in [
        ("", Format::Prometheus),
        ("*/*", Format::Prometheus),
        ("text/plain;version=0.0.4", Format::Prometheus),
        (
            "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5",
            Format::OpenMetrics,
        ),
    ] {
        assert_eq!(Format::accepted(accept), format, "{accept}");
    }
}
