//! What is printed and written about a run.

use std::{fmt::Write, fs, path::Path};

use anyhow::Context;
use serde::Serialize;
use serde_json::json;

use super::{
    figure::{Figure, Goal},
    measure::{procfs::Processor, quantiles::Quantiles, stopwatch::Done},
};

/// All of a run.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// What it ran on.
    pub(super) machine: String,
    /// Whether the figures mean little.
    pub(super) quick: bool,
    /// The table of figures to reach.
    pub(super) figures: Vec<Figure>,
    /// Everything that was timed.
    pub(super) measurements: Vec<Measurement>,
    /// What else there is to say.
    pub(super) notes: Vec<String>,
}

/// Something that was timed.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Measurement {
    /// What.
    pub(super) what: String,
    /// How many.
    pub(super) count: u64,
    /// How many a second.
    pub(super) rate: f64,
    /// Of what.
    pub(super) unit: &'static str,
    /// How long it took, in seconds.
    pub(super) seconds: f64,
    /// Of single requests, transactions or commands.
    #[serde(flatten)]
    pub(super) latencies: Option<Quantiles>,
    /// What the server had resident afterwards, in bytes; a second process is not in it.
    pub(super) memory: Option<u64>,
    /// Cores that were in use on average.
    pub(super) cores: Processor,
}

impl Measurement {
    pub(super) fn new(what: String, unit: &'static str, done: Done, memory: Option<u64>) -> Self {
        let (count, rate, seconds) = (done.count, done.rate(), done.elapsed.as_secs_f64());
        let latencies = done.latencies.quantiles();
        Self { what, count, rate, unit, seconds, latencies, memory, cores: done.cores }
    }
}

impl Report {
    /// Prints it.
    #[expect(clippy::print_stdout, reason = "this is what the benchmark is for")]
    pub(super) fn print(&self) {
        print!("{}", self.text());
    }

    /// Writes it as JSON, with each figure's ratio and verdict.
    pub(super) fn write(&self, file: &Path) -> anyhow::Result<()> {
        let mut report = serde_json::to_value(self)?;
        for (value, figure) in report["figures"].as_array_mut().into_iter().flatten().zip(&self.figures) {
            value["ratio"] = json!(figure.ratio());
            value["verdict"] = json!(figure.verdict());
        }
        let text = serde_json::to_string_pretty(&report)?;
        fs::write(file, text + "\n").with_context(|| format!("can't write {}", file.display()))
    }

    fn text(&self) -> String {
        let mut text = format!("\n{}\n\n", self.machine);
        let heads = ["figure", "measured", "peer", "ratio", "at least", "aim", "verdict", "p50", "p99"];
        table(&mut text, &heads, self.figures.iter().map(figure_row).collect());
        text += "\n";
        let heads = [
            "everything timed",
            "rate",
            "seconds",
            "p50",
            "p99",
            "memory",
            "cores: load",
            "server",
            "PostgreSQL",
            "others",
        ];
        table(&mut text, &heads, self.measurements.iter().map(measurement_row).collect());
        text += "\n";
        for note in &self.notes {
            let _ = writeln!(text, "{note}");
        }
        if self.quick {
            text += "This was a quick run: it shows that everything works, not how fast.\n";
        }
        text
    }
}

fn figure_row(figure: &Figure) -> Vec<String> {
    let amount = |value: Option<f64>| value.map_or("-".to_owned(), |value| amount(value, figure.unit));
    let (least, aim) = match figure.goal {
        Goal::TimesPeer { least, aim } => (format!("{least} x"), format!("{aim} x")),
        Goal::Within { least, aim } => (amount(Some(least)), amount(Some(aim))),
    };
    let ratio = figure.ratio().map_or("-".to_owned(), |ratio| format!("{ratio:.2} x"));
    let mut row =
        vec![figure.what.to_owned(), amount(figure.measured), amount(figure.peer), ratio, least, aim];
    row.push(figure.verdict().to_owned());
    row.extend(quantile_cells(figure.latencies));
    row
}

fn measurement_row(measurement: &Measurement) -> Vec<String> {
    let Measurement { what, rate, unit, seconds, latencies, memory, cores, .. } = measurement;
    let mut row = vec![what.clone(), amount(*rate, unit), format!("{seconds:.2}")];
    row.extend(quantile_cells(*latencies));
    row.push(memory.map_or("-".to_owned(), |memory| amount(memory as f64 / 1e6, "MB")));
    row.extend([cores.load, cores.server, cores.postgres, cores.others].map(|cores| format!("{cores:.2}")));
    row
}

fn quantile_cells(quantiles: Option<Quantiles>) -> [String; 2] {
    let cell = |duration: std::time::Duration| amount(duration.as_secs_f64() * 1e3, "ms");
    quantiles.map_or(["-".to_owned(), "-".to_owned()], |quantiles| [cell(quantiles.p50), cell(quantiles.p99)])
}

fn amount(value: f64, unit: &str) -> String {
    if value < 10.0 {
        format!("{value:.2} {unit}")
    } else {
        format!("{} {unit}", grouped(value.round() as u64))
    }
}

/// With a space between thousands.
fn grouped(number: u64) -> String {
    match number {
        0..1_000 => number.to_string(),
        _ => format!("{} {:03}", grouped(number / 1_000), number % 1_000),
    }
}

fn table(text: &mut String, heads: &[&str], rows: Vec<Vec<String>>) {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([heads[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        for (column, (cell, width)) in cells.zip(&widths).enumerate() {
            let _ = match column {
                0 => write!(text, "{cell:<width$}"),
                _ => write!(text, "  {cell:>width$}"),
            };
        }
        text.push('\n');
    };
    line(&mut heads.iter().copied());
    line(&mut widths.iter().map(|width| "-".repeat(*width)).collect::<Vec<_>>().iter().map(String::as_str));
    for row in &rows {
        line(&mut row.iter().map(String::as_str));
    }
}
