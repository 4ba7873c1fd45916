//! What is printed.

use std::fmt::Write;

use super::{fill::Extent, turn::Measured};

/// Both installations' turns.
pub(super) struct Report {
    extents: Vec<Extent>,
    settings: String,
    turns: Vec<(usize, Measured)>,
    descriptions: Vec<(usize, Vec<String>)>,
}

impl Report {
    pub(super) fn new(extents: Vec<Extent>, settings: &[String]) -> Self {
        Self { extents, settings: settings.join(" "), turns: vec![], descriptions: vec![] }
    }

    /// Adds what was measured in a turn, and shows it.
    #[expect(clippy::print_stderr, reason = "it takes minutes, and should show that it goes on")]
    pub(super) fn add(&mut self, site: usize, measured: Measured) {
        eprintln!("{} events: {}: {:.0} events/s", self.extents[site].events(), measured.what, measured.rate);
        self.turns.push((site, measured));
    }

    pub(super) fn describe(&mut self, site: usize, lines: Vec<String>) {
        self.descriptions.push((site, lines));
    }

    /// Prints all of it: of each figure the median of the turns.
    #[expect(clippy::print_stdout, reason = "this is what the benchmark is for")]
    pub(super) fn print(&self) {
        print!("{}", self.text());
    }

    fn text(&self) -> String {
        let mut text = String::new();
        if !self.settings.is_empty() {
            let _ = writeln!(text, "with {}", self.settings);
        }
        let heads = [
            "events",
            "tenants",
            "events/s",
            "p50",
            "p99",
            "server/event",
            "PG/event",
            "WAL/event",
            "images/event",
            "memory",
            "cost",
        ];
        let _ = write!(text, "{:<36}", "");
        let _ = writeln!(text, "{}", heads.map(|head| format!("{head:>13}")).concat());
        let mut kinds: Vec<&str> = Vec::new();
        for (_, measured) in &self.turns {
            if !kinds.contains(&measured.what) {
                kinds.push(measured.what);
            }
        }
        for what in kinds {
            for (site, extent) in self.extents.iter().enumerate() {
                let of = |figure: fn(&Measured) -> f64| self.median(site, what, figure);
                let cost = self.median(0, what, |one| one.rate) / of(|one| one.rate);
                let quantile = |seconds: f64| format!("{:.2} ms", seconds * 1e3);
                let cells = [
                    extent.events().to_string(),
                    extent.tenants.to_string(),
                    format!("{:.0}", of(|one| one.rate)),
                    quantile(of(|one| one.latencies.map_or(0.0, |latencies| latencies.p50.as_secs_f64()))),
                    quantile(of(|one| one.latencies.map_or(0.0, |latencies| latencies.p99.as_secs_f64()))),
                    format!("{:.0} us", of(|one| one.server * 1e6)),
                    format!("{:.0} us", of(|one| one.postgres * 1e6)),
                    format!("{:.0} B", of(|one| one.wal)),
                    format!("{:.2}", of(|one| one.images)),
                    format!("{:.0} MB", of(|one| one.memory as f64) / 1e6),
                    format!("{cost:.2} x"),
                ];
                let _ = writeln!(text, "{what:<36}{}", cells.map(|cell| format!("{cell:>13}")).concat());
            }
        }
        for (site, lines) in &self.descriptions {
            let _ = writeln!(text, "\nat {} events:\n  {}", self.extents[*site].events(), lines.join("\n  "));
        }
        text
    }

    fn median(&self, site: usize, what: &str, figure: fn(&Measured) -> f64) -> f64 {
        let of_it = |(at, measured): &&(usize, Measured)| *at == site && measured.what == what;
        let mut figures: Vec<f64> =
            self.turns.iter().filter(of_it).map(|(_, measured)| figure(measured)).collect();
        figures.sort_unstable_by(f64::total_cmp);
        figures.get(figures.len() / 2).copied().unwrap_or_default()
    }
}
