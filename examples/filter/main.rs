//! Filters a picture with a kernel that has a name or is written on the command line.
//!
//! ```text
//! cargo run --release --example filter -- examples/data/harbour.png blurred.png --kernel gaussian --sigma 3
//! cargo run --release --example filter -- examples/data/harbour.png sharp.png --kernel "0 -1 0; -1 5 -1; 0 -1 0"
//! ```
//!
//! Every colour channel is filtered by itself, which is a depthwise convolution; alpha stays as it is.

mod filter;
mod kernels;
mod picture;
#[path = "../shared/samples.rs"]
mod samples;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lexopt::prelude::*;
use ndconv::PaddingMode;

use filter::Filter;
use kernels::Settings;
use picture::Picture;

const HELP: &str = "\
Filters every colour channel of a picture with a kernel; the size stays the same.

Usage: filter INPUT OUTPUT --kernel NAME|LITERAL [options]

  INPUT             a PNG or JPEG file: gray or colour, with or without alpha (which is not
                    filtered), 8 or 16 bits a channel
  OUTPUT            a PNG file, with the channels and bits of the input
  --kernel NAME     one of the kernels that --list shows
  --kernel LITERAL  rows separated by ';', columns by spaces or commas; '1/9' is a number too
  --size K          gaussian, box: taps (default: 3 for a box, and enough for sigma)
  --sigma S         gaussian: standard deviation in pixels (default: 1.5, or what fits --size)
  --padding MODE    what lies around the picture: zeros, reflect, symmetric, replicate,
                    circular (default: reflect)
  --amount A        sharpen, emboss: how strong; edges: a factor for the result (default: 1)
  --flip            turn the kernel by 180 degrees, for the convolution of mathematics; without
                    it this is a cross-correlation, as in deep learning
  --list            the names of kernels
  --help            this text

A kernel whose numbers sum to 0 has results around 0: they are shown around middle gray. The
middle of a kernel with an even number of rows or columns is the upper or left one of the two
in the middle: the padding has one row or column more at the bottom or right.

Examples:
  filter photo.jpg soft.png --kernel gaussian --sigma 4 --padding replicate
  filter photo.jpg edges.png --kernel sobel --amount 2
  filter photo.jpg relief.png --kernel \"-2 -1 0; -1 1 1; 0 1 2\" --flip
  filter photo.jpg mean.png --kernel \"1/9 1/9 1/9; 1/9 1/9 1/9; 1/9 1/9 1/9\"

The exit code is 2 for wrong usage and 1 for files that cannot be read or written.
";

const PADDINGS: [(&str, PaddingMode); 5] = [
    ("zeros", PaddingMode::Zeros),
    ("reflect", PaddingMode::Reflect),
    ("symmetric", PaddingMode::Symmetric),
    ("replicate", PaddingMode::Replicate),
    ("circular", PaddingMode::Circular),
];

enum Command {
    Help,
    List,
    Run { input: PathBuf, output: PathBuf, filter: Filter },
}

fn main() -> ExitCode {
    match parse() {
        Ok(Command::Help) => print!("{HELP}"),
        Ok(Command::List) => print!("{}", kernels::list()),
        Ok(Command::Run { input, output, filter }) => {
            if let Err(error) = run(&input, &output, &filter) {
                eprintln!("filter: {error}");
                return ExitCode::FAILURE;
            }
        }
        Err(error) => {
            eprintln!("filter: {error}\nTry --help.");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn run(input: &Path, output: &Path, filter: &Filter) -> Result<(), Box<dyn Error>> {
    let mut picture = Picture::read(input)?;
    let filtered = filter.apply(&picture.colours())?;
    picture.set_colours(&filtered);
    Ok(picture.write(output)?)
}

fn parse() -> Result<Command, lexopt::Error> {
    let mut files = Vec::new();
    let mut kernel: Option<String> = None;
    let mut settings = Settings::default();
    let (mut padding, mut flip) = (PaddingMode::Reflect, false);
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") | Short('h') => return Ok(Command::Help),
            Long("list") => return Ok(Command::List),
            Long("kernel") => kernel = Some(parser.value()?.string()?),
            Long("size") => settings.size = Some(parser.value()?.parse()?),
            Long("sigma") => settings.sigma = Some(parser.value()?.parse()?),
            Long("amount") => settings.amount = Some(parser.value()?.parse()?),
            Long("padding") => padding = padding_mode(&parser.value()?.string()?)?,
            Long("flip") => flip = true,
            Value(path) if files.len() < 2 => files.push(PathBuf::from(path)),
            other => return Err(other.unexpected()),
        }
    }
    let files: Result<[PathBuf; 2], _> = files.try_into();
    let [input, output] = files.map_err(|_| "expected two files, INPUT and OUTPUT")?;
    if !output.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png")) {
        return Err(format!("OUTPUT is {}, expected a name that ends in .png", output.display()).into());
    }
    let kernel = kernel.ok_or("expected a kernel: --kernel NAME or --kernel LITERAL")?;
    let filter = Filter { stencil: kernels::parse(&kernel, settings)?, padding, flip };
    Ok(Command::Run { input, output, filter })
}

fn padding_mode(name: &str) -> Result<PaddingMode, String> {
    let known = PADDINGS.iter().find(|(known, _)| *known == name);
    known.map(|&(_, mode)| mode).ok_or_else(|| {
        let names = PADDINGS.map(|(name, _)| name).join(", ");
        format!("unknown padding mode '{name}', expected one of {names}")
    })
}
