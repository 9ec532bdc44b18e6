//! The ratios of a variant as a picture: an SVG that is read on light and dark pages alike.

use std::fmt::Write as _;

use super::{
    measure::Turn,
    outcome::{Discipline, OURS, Outcome},
    statistics::{Spread, ratio},
};

/// All lengths are pixels.
const WIDTH: f64 = 760.0;
/// Where bars begin: before it stand the names.
const LEFT: f64 = 190.0;
/// Where the longest bar ends: behind it stands its figure.
const RIGHT: f64 = 700.0;
/// Above the first bar.
const TOP: f64 = 64.0;
/// Of a front with its two bars.
const ROW: f64 = 40.0;
/// Of a bar.
const BAR: f64 = 13.0;
/// Lines of the scale, at most.
const LINES: f64 = 8.0;

const SERIES: [(Discipline, &str, &str); 2] = [
    (Discipline::Saturated, "s", "as fast as it answers"),
    (Discipline::Paced, "p", "all at the same pace"),
];

struct Row {
    name: String,
    is_ours: bool,
    bars: [Spread; 2],
}

/// Draws it. The same figures give the same bytes.
pub fn draw(outcome: &Outcome) -> String {
    let reference = outcome.reference();
    let mut rows: Vec<Row> = outcome
        .fronts
        .iter()
        .map(|front| Row {
            name: front.name.clone(),
            is_ours: front.key == OURS,
            bars: SERIES.map(|(discipline, ..)| {
                let (turns, by) = (front.turns(discipline), reference.turns(discipline));
                ratio(turns, by, Turn::total)
            }),
        })
        .collect();
    rows.sort_by(|one, other| one.bars[0].median.total_cmp(&other.bars[0].median));
    let title = format!(
        "Processor time a request, {} = 1 ({}); less is better",
        reference.name, outcome.variant.says
    );
    picture(&title, &rows)
}

fn picture(title: &str, rows: &[Row]) -> String {
    let largest = rows
        .iter()
        .flat_map(|row| row.bars.iter().map(|bar| bar.most))
        .filter(|most| most.is_finite())
        .fold(1.0, f64::max);
    let step = step(largest);
    let end = (largest / step).ceil() * step;
    let at = |value: f64| LEFT + value / end * (RIGHT - LEFT);
    let bottom = TOP + ROW * rows.len() as f64;
    let height = bottom + 30.0;
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" font-family="system-ui, sans-serif" font-size="12">
<title>{title}</title>
<style>
text {{ fill: #6e7781 }} .ours {{ font-weight: bold }} .s {{ fill: #3f7fbf }} .p {{ fill: #c98a2b }}
.grid {{ stroke: #808080; stroke-opacity: .35 }} .one {{ stroke: #808080 }} .range {{ stroke: #808080; stroke-width: 1.5; fill: none }}
@media (prefers-color-scheme: light) {{ text {{ fill: #1f2328 }} .range {{ stroke: #1f2328 }} }}
@media (prefers-color-scheme: dark) {{ text {{ fill: #e6edf3 }} .range {{ stroke: #e6edf3 }} }}
</style>
<text x="10" y="22" font-size="15">{title}</text>
"##,
        title = escaped(title)
    );
    let mut x = LEFT;
    for (_, class, says) in SERIES {
        let _ = writeln!(
            svg,
            r#"<rect class="{class}" x="{x:.1}" y="36" width="12" height="12"/><text x="{:.1}" y="46">{says}</text>"#,
            x + 18.0
        );
        x += 190.0;
    }
    for line in 0..=(end / step).round() as u32 {
        let value = f64::from(line) * step;
        let x = at(value);
        let class = if (value - 1.0).abs() < step / 10.0 {
            "one"
        } else {
            "grid"
        };
        let _ = writeln!(
            svg,
            r#"<line class="{class}" x1="{x:.1}" y1="{TOP:.1}" x2="{x:.1}" y2="{bottom:.1}"/><text x="{x:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
            bottom + 18.0,
            // Without the noise of adding tenths.
            (value * 100.0).round() / 100.0,
        );
    }
    for (row, y) in rows.iter().zip((0..).map(|row| TOP + ROW * f64::from(row))) {
        let class = if row.is_ours { r#" class="ours""# } else { "" };
        let _ = writeln!(
            svg,
            r#"<text{class} x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
            LEFT - 10.0,
            y + ROW / 2.0 + 4.0,
            escaped(&row.name)
        );
        for (index, ((_, kind, _), bar)) in (0..).zip(SERIES.iter().zip(row.bars)) {
            let top = y + ROW / 2.0 - BAR - 1.0 + f64::from(index) * (BAR + 2.0);
            let _ = writeln!(svg, "{}", self::bar(kind, bar, top, &at, class));
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// A bar, its whisker from least to most, and its figure.
fn bar(kind: &str, bar: Spread, top: f64, at: &impl Fn(f64) -> f64, class: &str) -> String {
    if !bar.most.is_finite() {
        return String::from("<!-- not measured -->");
    }
    let (from, median, least, most) = (at(0.0), at(bar.median), at(bar.least), at(bar.most));
    let middle = top + BAR / 2.0;
    format!(
        r#"<rect class="{kind}" x="{from:.1}" y="{top:.1}" width="{:.1}" height="{BAR}"/><path class="range" d="M{least:.1} {:.1}v6m0 -3H{most:.1}m0 -3v6"/><text{class} x="{:.1}" y="{:.1}" font-size="11">{:.2}</text>"#,
        median - from,
        middle - 3.0,
        most + 5.0,
        middle + 4.0,
        bar.median
    )
}

/// Between two lines of the scale: 1, 2 or 5 with a power of ten.
fn step(largest: f64) -> f64 {
    let mut power = 0.01;
    loop {
        for digit in [1.0, 2.0, 5.0] {
            if largest / (digit * power) <= LINES {
                return digit * power;
            }
        }
        power *= 10.0;
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{outcome::sample, variant::VARIANTS};

    fn outcome() -> Outcome {
        sample(
            &VARIANTS[0],
            &[
                ("a<b", &[30.0, 33.0, 27.0]),
                (OURS, &[8.0, 9.0, 7.0]),
                ("nginx", &[10.0, 10.0, 10.0]),
            ],
        )
    }

    #[test]
    fn fronts_stand_from_the_cheapest_to_the_dearest() {
        let svg = draw(&outcome());
        let place = |text: &str| svg.find(text).unwrap_or_else(|| panic!("{text} in {svg}"));
        assert!(place("The switchyard</text>") < place("The nginx</text>"));
        assert!(place("The nginx</text>") < place("The a&lt;b</text>"));
        assert!(place(">0.80</text>") < place(">3.00</text>"));
        assert_eq!(svg, draw(&outcome()), "the same figures, the same picture");
    }

    #[test]
    fn bars_are_as_long_as_their_ratios_and_whiskers_as_their_spread() {
        let svg = draw(&outcome());
        // From 0 at 190 to 3.5 at 700.
        let of = |value: f64| 190.0 + value / 3.5 * 510.0;
        assert!(
            svg.contains(&format!(r#"width="{:.1}" height="13""#, of(0.8) - 190.0)),
            "{svg}"
        );
        let whisker = format!("d=\"M{:.1} ", of(0.7));
        assert!(
            svg.contains(&whisker) && svg.contains(&format!("H{:.1}m", of(0.9))),
            "{svg}"
        );
    }

    #[test]
    fn every_element_is_closed_and_every_figure_one() {
        let svg = draw(&outcome());
        for tag in ["svg", "title", "style", "text"] {
            let opened = svg.matches(&format!("<{tag}")).count();
            assert_eq!(opened, svg.matches(&format!("</{tag}>")).count(), "{tag}");
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn the_scale_has_few_lines() {
        for (largest, expected) in [(1.0, 0.2), (3.3, 0.5), (8.0, 1.0), (8.1, 2.0), (90.0, 20.0)] {
            assert!(
                (step(largest) - expected).abs() < 1e-9,
                "{largest}: {}",
                step(largest)
            );
        }
    }
}
