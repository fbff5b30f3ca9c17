//! The plots: ratios beside what they are to be, curves of wake-ups, and growth. Plain SVG, readable on light and on dark.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::report::{Report, number};
use super::result::{Curve, JudgedBy, Reach, Row, Spread};

const WIDTH: f64 = 860.0;
const COLOURS: [&str; 3] = ["ours", "theirs", "third"];
/// The reader's own preference decides.
const STYLE: &str = "
  text { font: 13px system-ui, sans-serif; fill: #24292f; }
  .title { font-size: 15px; font-weight: 600; }
  .small { font-size: 11px; }
  .inside { fill: #ffffff; font-weight: 600; }
  .page { fill: #ffffff; }
  .axis { stroke: #8c959f; stroke-width: 1; }
  .grid { stroke: #d0d7de; stroke-width: 1; }
  .limit { stroke: #24292f; stroke-width: 2; }
  .good { fill: #2da44e; } .bad { fill: #cf222e; }
  .line { fill: none; stroke-width: 2.5; }
  .ours { stroke: #0969da; } .theirs { stroke: #bc4c00; } .third { stroke: #8250df; }
  .spread { stroke: #57606a; stroke-width: 1.5; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; } .page { fill: #0d1117; } .grid { stroke: #30363d; } .limit { stroke: #e6edf3; }
    .spread { stroke: #c9d1d9; } .ours { stroke: #58a6ff; } .theirs { stroke: #f0883e; } .third { stroke: #bc8cff; }
    .good { fill: #3fb950; } .bad { fill: #f85149; }
  }
";

/// Writes all of them; says which there are.
pub fn write_all(report: &Report, directory: &Path) -> anyhow::Result<Vec<&'static str>> {
    fs::create_dir_all(directory)?;
    let rows: Vec<&Row> = report.families.iter().flat_map(|family| &family.rows).collect();
    let curves: Vec<&Curve> = report.families.iter().flat_map(|family| &family.curves).collect();
    let mut written = Vec::new();
    for (name, svg) in [
        ("ratios.svg", ratios(&rows)),
        ("wake-ups.svg", wake_ups(&curves)),
        ("growth.svg", growth(&rows)),
    ] {
        if let Some(svg) = svg {
            fs::write(directory.join(name), svg)?;
            written.push(name);
        }
    }
    Ok(written)
}

fn page(height: f64, content: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n<style>{STYLE}</style>\n\
         <rect class=\"page\" width=\"{WIDTH}\" height=\"{height}\"/>\n{content}</svg>\n"
    )
}

fn text(x: f64, y: f64, class: &str, anchor: &str, words: &str) -> String {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\" text-anchor=\"{anchor}\">{words}</text>\n")
}

fn line(class: &str, from: (f64, f64), to: (f64, f64)) -> String {
    format!(
        "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>\n",
        from.0, from.1, to.0, to.1
    )
}

/// One bar for each row with a bound on a ratio, as a share of that bound: left of the line is reached.
fn ratios(rows: &[&Row]) -> Option<String> {
    let bars = rows.iter().filter(|row| row.judged_by == JudgedBy::Ratio);
    let bars: Vec<(&Row, [f64; 3])> = bars.filter_map(|row| Some((*row, share_of_bound(row)?))).collect();
    if bars.is_empty() {
        return None;
    }
    let (left, right, top, step) = (400.0, WIDTH - 30.0, 70.0, 34.0);
    let farthest = bars.iter().map(|(_, share)| share[2]).fold(1.2, f64::max).min(3.0);
    let x = |share: f64| left + (right - left) * share.min(farthest) / farthest;
    let bottom = top + step * bars.len() as f64;
    let mut content = text(
        20.0,
        28.0,
        "title",
        "start",
        "Each row beside what it is to reach (shorter is better)",
    );
    content += &text(x(1.0), top - 12.0, "small", "middle", "to reach");
    for (at, (row, share)) in bars.iter().enumerate() {
        let y = top + step * at as f64;
        let class = if row.reached() == Some(true) { "good" } else { "bad" };
        content += &text(20.0, y + 12.0, "", "start", &shortened(&row.what));
        content += &text(20.0, y + 25.0, "small", "start", &format!("beside {}", row.peer));
        let width = x(share[1]) - left;
        let _ = writeln!(
            content,
            "<rect class=\"{class}\" x=\"{left}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"14\" rx=\"2\"/>",
            y + 5.0
        );
        content += &line("spread", (x(share[0]), y + 12.0), (x(share[2]), y + 12.0));
        let value = format!("{} ×", number(Spread::of(&row.values()).median()));
        let end = x(share[2].max(share[1]));
        content += &if end + 50.0 < WIDTH {
            text(end + 6.0, y + 16.0, "small", "start", &value)
        } else {
            let beyond = if share[1] > farthest { " →" } else { "" };
            text(
                right - 8.0,
                y + 16.0,
                "small inside",
                "end",
                &format!("{value}{beyond}"),
            )
        };
    }
    content += &line("axis", (left, top), (left, bottom));
    content += &line("limit", (x(1.0), top - 6.0), (x(1.0), bottom));
    let axis = "share of what is to be reached; the thin line spans the lowest and the highest pair; the figure is the ratio itself";
    content += &text(WIDTH / 2.0, bottom + 24.0, "small", "middle", axis);
    Some(page(bottom + 40.0, &content))
}

/// Lowest, median and highest as a share of the bound; for a bound from below the other way round.
fn share_of_bound(row: &Row) -> Option<[f64; 3]> {
    let values = Spread::of(&row.values());
    let values = [values.min(), values.median(), values.max()];
    Some(match row.reach? {
        Reach::AtMost(bound) => values.map(|value| value / bound),
        Reach::AtLeast(bound) => [bound / values[2], bound / values[1], bound / values[0]],
    })
}

fn shortened(words: &str) -> String {
    const MOST: usize = 56;
    if words.chars().count() <= MOST {
        return words.to_owned();
    }
    words.chars().take(MOST - 1).collect::<String>() + "…"
}

/// One panel for each kind of wake-up: the share of the answers over the time that they took, logarithmic.
fn wake_ups(curves: &[&Curve]) -> Option<String> {
    let mut panels: Vec<&str> = curves.iter().map(|curve| curve.plot.as_str()).collect();
    panels.dedup();
    if panels.is_empty() {
        return None;
    }
    let (panel_height, left, right) = (250.0, 70.0, WIDTH - 30.0);
    let mut content = text(
        20.0,
        28.0,
        "title",
        "start",
        "Wake-ups: how soon the answers arrive (further left is better)",
    );
    for (at, panel) in panels.iter().enumerate() {
        let (top, bottom) = (70.0 + panel_height * at as f64, 70.0 + panel_height * at as f64 + 160.0);
        let curves: Vec<_> = curves.iter().filter(|curve| curve.plot == **panel).collect();
        let all = curves
            .iter()
            .flat_map(|curve| &curve.percentiles)
            .copied()
            .filter(|time| *time > 0.0);
        let all = Spread::of(&all.collect::<Vec<_>>());
        let (low, high) = (all.min().log10().floor(), all.max().log10().ceil());
        let x = |time: f64| left + (right - left) * (time.max(1e-3).log10() - low) / (high - low).max(1.0);
        let y = |percent: f64| bottom - (bottom - top) * percent / 100.0;
        content += &text(left, top - 12.0, "", "start", panel);
        for percent in [0, 25, 50, 75, 99] {
            let at = y(f64::from(percent));
            content += &line("grid", (left, at), (right, at));
            content += &text(left - 8.0, at + 4.0, "small", "end", &format!("{percent} %"));
        }
        for power in low as i32..=high as i32 {
            let time = 10_f64.powi(power);
            content += &line("grid", (x(time), top), (x(time), bottom));
            content += &text(x(time), bottom + 16.0, "small", "middle", &format!("{time} ms"));
        }
        for (which, curve) in curves.iter().enumerate() {
            let colour = COLOURS[which % COLOURS.len()];
            let points = curve.percentiles.iter().enumerate();
            let points: Vec<_> = points
                .map(|(at, time)| format!("{:.1},{:.1}", x(*time), y((at + 1) as f64)))
                .collect();
            let _ = writeln!(
                content,
                "<polyline class=\"line {colour}\" points=\"{}\"/>",
                points.join(" ")
            );
            let legend = left + 260.0 * which as f64;
            content += &line(
                &format!("line {colour}"),
                (legend, bottom + 32.0),
                (legend + 24.0, bottom + 32.0),
            );
            content += &text(legend + 30.0, bottom + 36.0, "small", "start", &curve.name);
        }
    }
    Some(page(70.0 + panel_height * panels.len() as f64, &content))
}

/// Processor time at each size, as a ratio to the smallest.
fn growth(rows: &[&Row]) -> Option<String> {
    const KINDS: [&str; 3] = ["poll,", "report and wake-up,", "poll of any order,"];
    let points_of = |kind: &str| -> Vec<(f64, f64)> {
        let start = format!("processor time for a {kind} with ");
        let rows = rows
            .iter()
            .filter_map(|row| Some((row, row.what.strip_prefix(&start)?)));
        rows.filter_map(|(row, rest)| {
            let size: f64 = rest.strip_suffix(" orders")?.replace(',', "").parse().ok()?;
            Some((size, Spread::of(&row.values()).median()))
        })
        .collect()
    };
    let lines: Vec<_> = KINDS
        .iter()
        .map(|kind| (*kind, points_of(kind)))
        .filter(|(_, points)| !points.is_empty())
        .collect();
    let sizes: Vec<f64> = lines.first()?.1.iter().map(|(size, _)| *size).collect();
    let (first, last) = (1000.0_f64, sizes.iter().copied().fold(10_000.0, f64::max));
    let highest = lines
        .iter()
        .flat_map(|(_, points)| points)
        .map(|(_, ratio)| *ratio)
        .fold(1.3, f64::max)
        + 0.1;
    let (left, right, top, bottom) = (70.0, WIDTH - 30.0, 60.0, 300.0);
    let x = |size: f64| left + (right - left) * (size / first).log10() / (last / first).log10();
    let y = |ratio: f64| bottom - (bottom - top) * ratio / highest;
    let mut content = text(
        20.0,
        28.0,
        "title",
        "start",
        "Growth: the server's processor time, beside itself with 1,000 orders",
    );
    for step in 0..=(highest / 0.25) as u32 {
        let ratio = f64::from(step) * 0.25;
        content += &line("grid", (left, y(ratio)), (right, y(ratio)));
        content += &text(left - 8.0, y(ratio) + 4.0, "small", "end", &format!("{ratio} ×"));
    }
    content += &line("limit", (left, y(1.1)), (right, y(1.1)));
    content += &text(right, y(1.1) - 5.0, "small", "end", "to reach: 1.1 ×");
    for size in [first].into_iter().chain(sizes) {
        content += &text(x(size), bottom + 18.0, "small", "middle", &number(size));
    }
    content += &text(
        f64::midpoint(left, right),
        bottom + 36.0,
        "small",
        "middle",
        "orders in memory and in the table",
    );
    for (which, (kind, points)) in lines.iter().enumerate() {
        let colour = COLOURS[which % COLOURS.len()];
        let points = [(first, 1.0)].into_iter().chain(points.iter().copied());
        let points: Vec<_> = points
            .map(|(size, ratio)| format!("{:.1},{:.1}", x(size), y(ratio)))
            .collect();
        let _ = writeln!(
            content,
            "<polyline class=\"line {colour}\" points=\"{}\"/>",
            points.join(" ")
        );
        let legend = left + 240.0 * which as f64;
        content += &line(
            &format!("line {colour}"),
            (legend, bottom + 56.0),
            (legend + 24.0, bottom + 56.0),
        );
        content += &text(
            legend + 30.0,
            bottom + 60.0,
            "small",
            "start",
            kind.trim_end_matches(','),
        );
    }
    Some(page(bottom + 76.0, &content))
}
