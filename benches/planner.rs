//! Whether the algorithm that is chosen is the fastest: `cargo bench --bench planner -- [--threads T] [--fast] [--all] [WORKLOAD.csv]...`
//!
//! Times every convolution with each algorithm, in turns, and compares the chosen one with the fastest. Prints the
//! layers where it is more than 5 % behind, or with `--all` the times of all, and fails if those are more than 5 %. A workload is a CSV file as `examples/layers` reads
//! them; without one, convolutions of all kinds are made up. With `--fast` the algorithms are those that fast numerics admit; then the choice
//! gives up to 2 % away for smaller errors.

#[path = "shared/pool.rs"]
mod pool;
#[path = "shared/values.rs"]
mod values;
#[path = "../examples/layers/workload.rs"]
#[allow(dead_code, reason = "the example times the other kinds of layers too")]
mod workload;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use lexopt::{Arg, ValueExt};
use ndarray::{Array1, Array4};
use ndconv::{Algorithm, Conv2d, Conv2dLayer, Numerics, Options, Workspace};
use pool::enter_pool;
use values::values;
use workload::{Kind, Row};

/// How far behind the fastest a choice may be, and the share of layers where it must not be further.
const MARGIN: f64 = 1.05;
const SHARE: f64 = 0.95;
/// Turns, and the time of each: with noise on a turn the others count.
const TURNS: usize = 5;
const TURN: Duration = Duration::from_millis(8);

struct Case {
    name: String,
    config: Conv2d,
    input: [usize; 4],
}

/// Channels, kernels, strides and sizes in a coarse grid: dense, in groups of a few channels, depthwise.
fn made_up(numerics: Numerics) -> Vec<Case> {
    let mut cases = Vec::new();
    for (channels, size) in [(2, 300), (8, 150), (24, 90), (32, 17), (64, 56), (96, 28), (160, 7), (320, 14), (512, 1)]
    {
        for (kernel, stride) in [(1, 1), (1, 2), (3, 1), (3, 2), (5, 1), (7, 2)] {
            for per_group in [1, 2, 4, 8, channels] {
                if kernel > size || per_group > channels || (per_group == channels && [1, 2, 8].contains(&channels)) {
                    continue;
                }
                let config = Conv2d::new(channels, channels, kernel)
                    .stride(stride)
                    .padding(kernel / 2)
                    .groups(channels / per_group)
                    .numerics(numerics);
                let name =
                    format!("{channels}x{size}x{size} {kernel}x{kernel} stride {stride}, {per_group} in a group");
                cases.push(Case { name, config, input: [1, channels, size, size] });
            }
        }
    }
    cases
}

fn read(path: &Path, numerics: Numerics) -> Result<impl Iterator<Item = Case>, Box<dyn Error>> {
    let rows = Row::read_all(path, numerics)?.into_iter();
    let workload = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(rows.filter(|row| matches!(row.kind, Kind::Convolution)).map(move |Row { name, config, input, .. }| Case {
        name: format!("{workload} {name}"),
        config,
        input,
    }))
}

/// The chosen algorithm, and each with the seconds of a call.
fn measure(Case { config, input, .. }: &Case) -> Result<(Algorithm, Vec<(Algorithm, f64)>), ndconv::Error> {
    let (weight, bias) = (values::<f32>(config.weight_shape()), Array1::zeros(config.out_channels));
    let layer = Conv2dLayer::new(config, &weight, Some(&bias))?;
    let chosen = layer.algorithm(*input)?;
    let mut algorithms = Algorithm::EXACT.to_vec();
    let others = layer.candidates(*input)?.into_iter().filter(|candidate| candidate.admitted);
    algorithms.extend(others.map(|candidate| candidate.algorithm).filter(|other| !Algorithm::EXACT.contains(other)));
    let mut layers = Vec::new();
    for algorithm in algorithms {
        let options = Options::new().algorithm(algorithm);
        match Conv2dLayer::with_options(config, &weight, Some(&bias), options) {
            Ok(layer) => layers.push((algorithm, layer, Duration::MAX)),
            Err(ndconv::Error::Unsupported { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let (values, mut workspace) = (values(*input), Workspace::new());
    let mut output = Array4::zeros(layers[0].1.output_shape(*input)?);
    for _ in 0..TURNS {
        for (_, layer, fastest) in &mut layers {
            layer.run_into_with(&values, &mut output, &mut workspace)?;
            let begin = Instant::now();
            while begin.elapsed() < TURN {
                let start = Instant::now();
                layer.run_into_with(&values, &mut output, &mut workspace)?;
                *fastest = (*fastest).min(start.elapsed());
            }
        }
    }
    Ok((chosen, layers.into_iter().map(|(algorithm, _, fastest)| (algorithm, fastest.as_secs_f64())).collect()))
}

fn run() -> Result<bool, Box<dyn Error>> {
    let (mut threads, mut numerics, mut all, mut paths) = (1, Numerics::Exact, false, Vec::new());
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("threads") => threads = parser.value()?.parse()?,
            // Cargo says so to every bench.
            Arg::Long("bench") => {}
            Arg::Long("fast") => numerics = Numerics::Fast,
            Arg::Long("all") => all = true,
            Arg::Value(path) => paths.push(PathBuf::from(path)),
            other => return Err(other.unexpected().into()),
        }
    }
    let mut cases = if paths.is_empty() { made_up(numerics) } else { Vec::new() };
    for path in &paths {
        cases.extend(read(path, numerics)?);
    }
    let _pool = enter_pool(threads)?;
    let mut behind = 0;
    for case in &cases {
        let (chosen, times) = measure(case)?;
        let of = |wanted| times.iter().find(|(algorithm, _)| *algorithm == wanted).map_or(f64::INFINITY, |t| t.1);
        let (fastest, least) = times.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1)).ok_or("no algorithm")?;
        if all {
            let times: Vec<String> = times.iter().map(|(way, time)| format!("{way} {:.4}", time * 1e3)).collect();
            println!("{}: {chosen}; in ms {}", case.name, times.join(", "));
        }
        if of(chosen) > MARGIN * least {
            behind += 1;
            println!(
                "{}: {chosen} takes {:.4} ms, {:.2} times as long as {fastest}",
                case.name,
                of(chosen) * 1e3,
                of(chosen) / least
            );
        }
    }
    let share = 1.0 - f64::from(behind) / cases.len() as f64;
    println!(
        "{} convolutions, {threads} threads: the choice is within 5 % of the fastest for {:.1} %",
        cases.len(),
        100.0 * share
    );
    Ok(share >= SHARE)
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("planner: {error}");
            ExitCode::from(2)
        }
    }
}
