//! Every kind of convolution on one picture: a table of what each costs, how fast it ran and whether it agrees with
//! the reference, and a contact sheet of the results.
//!
//! ```text
//! cargo run --release --example tour
//! cargo run --release --example tour -- photo.jpg --out sheet.png --threads 1
//! cargo run --release --example tour -- --checkerboard --out checkerboard.png
//! ```

mod catalogue;
mod checkerboard;
mod font;
mod kernels;
mod operation;
mod picture;
#[path = "../shared/samples.rs"]
mod samples;
mod sheet;
mod table;
mod views;

use std::error::Error;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use lexopt::prelude::*;
use ndconv::{Isa, Numerics};
use png::Compression;

use sheet::Panel;
use table::Table;

const HELP: &str = "\
Runs every kind of convolution on a picture, prints a table and draws a contact sheet.

Usage: tour [IMAGE] [--out SHEET.png] [--threads T] [--exact | --fast | --checkerboard]

  IMAGE            a PNG or JPEG file, reduced to at most 256x256 (default: a harbour at dusk)
  --out SHEET.png  where to write the contact sheet (default: tour.png)
  --threads T      threads to use (default: one for each processor)
  --exact          sum in the one documented order, as the reference does (default)
  --fast           admit other orders of summation
  --checkerboard   draw what transposed convolutions of several kernels and strides make of the picture instead
  --help           this text

Each time is the best of up to 20 runs of a prepared layer. GFLOP/s counts two operations for a
multiply-add and one for a bias, and neither interpolation nor activations. In exact mode every
difference from the reference must be 0: the exit code is 1 if one is not, and 2 for wrong usage.
";

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

struct Arguments {
    image: Option<PathBuf>,
    out: PathBuf,
    /// None for one for each processor.
    threads: Option<usize>,
    numerics: Numerics,
    checkerboard: bool,
}

fn main() -> ExitCode {
    let arguments = match parse() {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("tour: {error}\nTry --help.");
            return ExitCode::from(2);
        }
    };
    match on_threads(arguments.threads, || tour(&arguments)).and_then(|outcome| outcome) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("tour: {error}");
            ExitCode::FAILURE
        }
    }
}

/// None if the user asks for help.
fn parse() -> std::result::Result<Option<Arguments>, lexopt::Error> {
    let mut arguments = Arguments {
        image: None,
        out: "tour.png".into(),
        threads: None,
        numerics: Numerics::default(),
        checkerboard: false,
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") | Short('h') => return Ok(None),
            Long("out") => arguments.out = parser.value()?.into(),
            Long("threads") => arguments.threads = Some(threads(parser.value()?.parse()?)?),
            Long("exact") => arguments.numerics = Numerics::Exact,
            Long("checkerboard") => arguments.checkerboard = true,
            Long("fast") => arguments.numerics = Numerics::Fast,
            Value(path) if arguments.image.is_none() => arguments.image = Some(path.into()),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Some(arguments))
}

fn threads(threads: usize) -> std::result::Result<usize, lexopt::Error> {
    if !(1..=1024).contains(&threads) {
        return Err(format!("--threads is {threads}, expected 1 to 1024").into());
    }
    if threads > 1 && !cfg!(feature = "rayon") {
        return Err(format!("--threads is {threads}, expected 1: this build is without the feature rayon").into());
    }
    Ok(threads)
}

/// Does the work in a pool of so many threads.
#[cfg(feature = "rayon")]
fn on_threads<T: Send>(threads: Option<usize>, work: impl FnOnce() -> T + Send) -> Result<T> {
    // 0 is rayon's default.
    Ok(rayon::ThreadPoolBuilder::new().num_threads(threads.unwrap_or(0)).build()?.install(work))
}

#[cfg(not(feature = "rayon"))]
fn on_threads<T>(_: Option<usize>, work: impl FnOnce() -> T) -> Result<T> {
    Ok(work())
}

fn thread_count() -> usize {
    #[cfg(feature = "rayon")]
    {
        rayon::current_num_threads()
    }
    #[cfg(not(feature = "rayon"))]
    {
        1
    }
}

/// Whether all is as it should be.
fn tour(arguments: &Arguments) -> Result<bool> {
    let picture = views::load(arguments.image.as_deref())?;
    if arguments.checkerboard {
        let panels = checkerboard::panels(&picture)?;
        picture::to_samples(&sheet::draw(&panels)).write(&arguments.out, Compression::High)?;
        println!("Contact sheet: {}", arguments.out.display());
        return Ok(true);
    }
    let (height, width) = picture.dim();
    let operations = catalogue::operations(&views::tensor(&picture), arguments.numerics);
    println!(
        "{width}x{height} picture, f32, {:?} numerics, {}, threads: {}\n",
        arguments.numerics,
        Isa::best().name(),
        thread_count()
    );

    let mut table = Table::new();
    let mut panels = vec![Panel { picture, title: "original".into(), caption: format!("1x3x{height}x{width}") }];
    let mut all_zero = true;
    for (index, operation) in operations.iter().enumerate() {
        progress(&format!("{}/{} {}", index + 1, operations.len(), operation.kind));
        let outcome = operation.measure()?;
        all_zero &= outcome.difference == 0.0;
        table.push(operation, operation.cost()?, &outcome);
        panels.push(Panel {
            picture: (operation.view)(&outcome.output),
            title: operation.kind.into(),
            caption: operation.effect.into(),
        });
    }
    progress("");
    println!("{table}");

    picture::to_samples(&sheet::draw(&panels)).write(&arguments.out, Compression::High)?;
    let verdict = if all_zero { "all differences are 0" } else { "NOT all differences are 0" };
    println!("Contact sheet: {}; {verdict}.", arguments.out.display());
    Ok(all_zero || arguments.numerics != Numerics::Exact)
}

/// Replaces the line of progress, where somebody watches.
fn progress(line: &str) {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        // Nothing is lost if it cannot be written.
        let _ = write!(stderr, "\r\x1b[K{line}").and_then(|()| stderr.flush());
    }
}
