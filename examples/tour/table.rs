//! The table: one line for each operation, aligned, with units.

use std::fmt::Write;
use std::time::Duration;

use crate::operation::{Cost, Operation, Outcome};

const HEADER: [&str; 9] = ["operation", "effect", "input", "output", "params", "MACs", "time", "GFLOP/s", "max diff"];
/// The first columns are words and shapes, which line up at the left.
const LEFT: usize = 4;

/// Lines of cells, of which the widest of a column sets its width.
pub(crate) struct Table {
    rows: Vec<[String; HEADER.len()]>,
}

impl Table {
    pub(crate) fn new() -> Self {
        Table { rows: vec![HEADER.map(String::from)] }
    }

    pub(crate) fn push(&mut self, operation: &Operation, cost: Cost, outcome: &Outcome) {
        let gflops = cost.flops as f64 / outcome.time.as_secs_f64() / 1e9;
        self.rows.push([
            operation.kind.into(),
            operation.effect.into(),
            shape(operation.input.shape()),
            shape(outcome.output.shape()),
            cost.parameters.to_string(),
            count(cost.macs),
            duration(outcome.time),
            format!("{gflops:.1}"),
            difference(outcome.difference),
        ]);
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let width = |column: usize| self.rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
        let widths: [usize; HEADER.len()] = std::array::from_fn(width);
        for (index, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
                let gap = if column == 0 { "" } else { "  " };
                if column < LEFT {
                    write!(line, "{gap}{cell:<width$}")?;
                } else {
                    write!(line, "{gap}{cell:>width$}")?;
                }
            }
            writeln!(f, "{}", line.trim_end())?;
            if index == 0 {
                writeln!(f, "{}", widths.map(|width| "-".repeat(width)).join("  "))?;
            }
        }
        Ok(())
    }
}

/// `1x3x144x192`
fn shape(sizes: &[usize]) -> String {
    sizes.iter().map(ToString::to_string).collect::<Vec<_>>().join("x")
}

/// `12.3 M`
fn count(n: u64) -> String {
    let scaled = |unit: f64| three_digits(n as f64 / unit);
    match n {
        0..1_000 => n.to_string(),
        1_000..1_000_000 => format!("{} k", scaled(1e3)),
        1_000_000..1_000_000_000 => format!("{} M", scaled(1e6)),
        _ => format!("{} G", scaled(1e9)),
    }
}

/// `12.3 us`
fn duration(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    if micros < 1e3 { format!("{} us", three_digits(micros)) } else { format!("{} ms", three_digits(micros / 1e3)) }
}

fn three_digits(x: f64) -> String {
    match x {
        ..9.995 => format!("{x:.2}"),
        9.995..99.95 => format!("{x:.1}"),
        _ => format!("{x:.0}"),
    }
}

fn difference(x: f32) -> String {
    if x == 0.0 { "0".into() } else { format!("{x:.1e}") }
}
