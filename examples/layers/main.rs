//! Times a workload, layer by layer.
//!
//! ```text
//! cargo run --release --example layers -- WORKLOAD.csv --out OUT.jsonl [--threads T] [--clock cpu]
//! ```
//!
//! A workload is a CSV file with a row for each layer; `workload.rs` has the columns. For each layer a line of JSON
//! is appended to `OUT.jsonl`: `engine` (always `ours`), `threads`, `workload` (the file's name without its ending),
//! `name`, `kind`, `count`, `macs`, `reps` (times taken), `min_ms` and `median_ms`, or `error` instead of the last
//! three.
//!
//! What is timed is `run_into_with` of a prepared layer, with bias, from NCHW to NCHW, with an output and a
//! workspace that exist already: no packing of weights and no allocation. The values are random.
//!
//! Pin the process to as many cores as it has threads (`taskset -c 0`), and leave them alone meanwhile.

mod clock;
#[path = "../../benches/shared/pool.rs"]
mod pool;
mod random;
mod workload;

use std::error::Error;
use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use lexopt::{Arg, ValueExt};
use ndarray::{Array1, Array4};
use ndconv::{Conv2dLayer, ConvTranspose2dLayer, DeformConv2dLayer, DeformInput, Numerics, Workspace};
use regex_lite::Regex;
use serde_json::json;

use clock::{Clock, ClockKind};
use pool::enter_pool;
use random::Random;
use workload::{Kind, Row};

const HELP: &str = "\
Times the layers of a workload and appends a line of JSON for each to OUT.jsonl.

Usage: layers WORKLOAD.csv --out OUT.jsonl [options]

  --threads T              [1]      threads; more than one needs the feature rayon
  --layers REGEX                    only layers whose name matches
  --seconds-per-layer S    [0.3]    how long to repeat each layer, after a warm-up of a fifth of that
  --min-reps R             [5]      and how often at least
  --numerics exact|fast    [exact]  whether algorithms that reorder sums are admitted
  --clock wall|cpu         [wall]   cpu: only the time that the process itself ran; Linux, one thread
  --out OUT.jsonl                   where lines are appended
  --help                            this text

A time is that of one call; with --clock cpu, which takes 2 us to read, the mean over as many calls
as fill 50 us.
";

fn main() -> ExitCode {
    match Arguments::parse().map_err(Into::into).and_then(|arguments| match arguments {
        Some(arguments) => time_workload(&arguments),
        None => Ok(io::stdout().write_all(HELP.as_bytes())?),
    }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("layers: {error}");
            ExitCode::from(2)
        }
    }
}

struct Arguments {
    workload: PathBuf,
    threads: usize,
    layers: Option<Regex>,
    seconds: Duration,
    min_reps: usize,
    numerics: Numerics,
    clock: ClockKind,
    out: PathBuf,
}

impl Arguments {
    /// The command line, or nothing where it asks for help.
    fn parse() -> Result<Option<Self>, lexopt::Error> {
        let (mut workload, mut out, mut layers) = (None, None, None);
        let (mut threads, mut seconds, mut min_reps) = (1, Duration::from_millis(300), 5);
        let (mut numerics, mut clock) = (Numerics::Exact, ClockKind::Wall);
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Arg::Long("threads") => threads = parser.value()?.parse_with(at_least_one)?,
                Arg::Long("layers") => layers = Some(parser.value()?.parse_with(Regex::new)?),
                Arg::Long("seconds-per-layer") => seconds = parser.value()?.parse_with(duration)?,
                Arg::Long("min-reps") => min_reps = parser.value()?.parse_with(at_least_one)?,
                Arg::Long("numerics") => {
                    numerics = one_of(&parser.value()?, &[("exact", Numerics::Exact), ("fast", Numerics::Fast)])?;
                }
                Arg::Long("clock") => {
                    clock = one_of(&parser.value()?, &[("wall", ClockKind::Wall), ("cpu", ClockKind::Cpu)])?;
                }
                Arg::Long("out") => out = Some(PathBuf::from(parser.value()?)),
                Arg::Long("help") | Arg::Short('h') => return Ok(None),
                Arg::Value(value) if workload.is_none() => workload = Some(PathBuf::from(value)),
                other => return Err(other.unexpected()),
            }
        }
        if threads > 1 && clock == ClockKind::Cpu {
            return Err("--clock cpu is for one thread".into());
        }
        let workload = workload.ok_or("the workload is missing (--help says more)")?;
        let out = out.ok_or("--out is missing (--help says more)")?;
        Ok(Some(Arguments { workload, threads, layers, seconds, min_reps, numerics, clock, out }))
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&number| number > 0).ok_or_else(|| "not a positive number".to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map_err(|_| "not a number of seconds")?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

fn one_of<T: Copy>(value: &OsStr, choices: &[(&str, T)]) -> Result<T, lexopt::Error> {
    let chosen = choices.iter().find(|(name, _)| value == *name);
    chosen.map(|&(_, choice)| choice).ok_or_else(|| {
        let names: Vec<_> = choices.iter().map(|&(name, _)| name).collect();
        format!("{value:?} is none of {}", names.join(", ")).into()
    })
}

/// Times the chosen rows and appends their lines.
fn time_workload(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let Arguments { workload, threads, layers, out, .. } = arguments;
    let rows = Row::read_all(workload, arguments.numerics).map_err(|error| in_file(workload, &*error))?;
    let workload = workload.file_stem().unwrap_or_default().to_string_lossy();
    let mut lines = OpenOptions::new().create(true).append(true).open(out).map_err(|error| in_file(out, &error))?;
    let mut clock = Clock::new(arguments.clock)?;
    let _pool = enter_pool(*threads)?;
    for row in rows.iter().filter(|row| layers.as_ref().is_none_or(|layers| layers.is_match(&row.name))) {
        let macs = row.macs();
        let mut line = json!({
            "engine": "ours", "threads": threads, "workload": workload, "name": row.name,
            "kind": row.kind.name(), "count": row.count, "macs": macs,
        });
        match time_row(row, arguments, &mut clock) {
            Ok(times) => {
                let (min, median) = (times[0], median(&times));
                (line["reps"], line["min_ms"], line["median_ms"]) = (times.len().into(), rounded(min), rounded(median));
                let speed = 2.0 * macs as f64 / min / 1e6;
                eprintln!("{}  {min:.4} ms min, {median:.4} ms median, {speed:.1} GFLOP/s", row.name);
            }
            // One bad layer does not end the run.
            Err(error) => {
                line["error"] = error.to_string().into();
                eprintln!("{}  {error}", row.name);
            }
        }
        lines.write_all(format!("{line}\n").as_bytes())?;
    }
    Ok(())
}

fn in_file(path: &Path, error: &dyn Error) -> String {
    format!("{}: {error}", path.display())
}

/// To 10 ns.
fn rounded(milliseconds: f64) -> serde_json::Value {
    ((milliseconds * 1e5).round() / 1e5).into()
}

fn median(sorted: &[f64]) -> f64 {
    let half = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[half] } else { (sorted[half - 1] + sorted[half]) / 2.0 }
}

/// The milliseconds that calls of one layer took, sorted.
fn time_row(row: &Row, arguments: &Arguments, clock: &mut Clock) -> Result<Vec<f64>, Box<dyn Error>> {
    let Row { kind, config, input: [n, channels, height, width], .. } = *row;
    let (weight_shape, [out_height, out_width]) = match kind {
        Kind::Transposed => (config.transposed_weight_shape(), config.transposed_output_size([height, width])?),
        Kind::Convolution | Kind::Deformable => (config.weight_shape(), config.output_size([height, width])?),
    };
    let taps = config.kernel[0] * config.kernel[1];
    // Sums of as many terms then have about the deviation of the input.
    let scale = ((channels / config.groups * taps) as f32).powf(-0.5);

    let mut random = Random::new(1);
    let input = random.normals(row.input);
    let weight = random.normals(weight_shape) * scale;
    let bias = Array1::from_shape_simple_fn(config.out_channels, || random.normal());
    let mut output = Array4::zeros((n, config.out_channels, out_height, out_width));
    let mut workspace = Workspace::new();
    match kind {
        Kind::Convolution => {
            let layer = Conv2dLayer::new(&config, &weight, Some(&bias))?;
            time_runs(arguments, clock, || layer.run_into_with(&input, &mut output, &mut workspace))
        }
        Kind::Transposed => {
            let layer = ConvTranspose2dLayer::new(&config, &weight, Some(&bias))?;
            time_runs(arguments, clock, || layer.run_into_with(&input, &mut output, &mut workspace))
        }
        Kind::Deformable => {
            let layer = DeformConv2dLayer::new(&config, &weight, Some(&bias))?;
            let samples = [n, row.offset_groups * taps, out_height, out_width];
            let offset = random.normals([n, 2 * samples[1], out_height, out_width]);
            let mask = row.mask.then(|| Array4::from_shape_simple_fn(samples, || random.uniform()));
            let input = DeformInput { input: &input, offset: &offset, mask: mask.as_deref() };
            time_runs(arguments, clock, || layer.run_into_with(input, &mut output, &mut workspace))
        }
    }
}

/// The milliseconds of a call, again and again, sorted; before that a warm-up of a fifth of the time.
fn time_runs(
    arguments: &Arguments,
    clock: &mut Clock,
    mut run: impl FnMut() -> Result<(), ndconv::Error>,
) -> Result<Vec<f64>, Box<dyn Error>> {
    let (mut fastest, mut warm_ups) = (Duration::MAX, 0);
    let begin = Instant::now();
    while warm_ups < 2 || begin.elapsed() < arguments.seconds / 5 {
        let start = Instant::now();
        run()?;
        fastest = fastest.min(start.elapsed());
        warm_ups += 1;
    }
    let calls = clock.calls_per_reading(fastest);
    let mut times = Vec::new();
    let begin = Instant::now();
    while times.len() < arguments.min_reps || begin.elapsed() < arguments.seconds {
        let start = clock.now()?;
        for _ in 0..calls {
            run()?;
        }
        let elapsed = clock.since(start)?;
        times.push(elapsed.as_secs_f64() * 1e3 / f64::from(calls));
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}
