//! Looks for sizes that are much slower than their neighbours: `cargo bench --bench sweep -- --out docs/sweep.svg`.
//!
//! Convolutions from NCHW to NCHW on one thread, with kernels 1x1 to 7x7 and strides 1 to 3: 1 to 130 channels on an image 30 wide, and
//! images 1 to 70 wide with 64 channels. A cliff is a size above 1 MMAC that takes more than 1.5 times as long for a
//! multiply-add as the slower of its neighbours, along any of the four sizes. Prints them, draws everything, and fails if there are any.

#[path = "shared/pool.rs"]
mod pool;
#[path = "shared/values.rs"]
mod values;

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use lexopt::Arg;
use ndarray::{Array1, Array4};
use ndconv::{Conv2d, Conv2dLayer, Workspace};
use plotters::prelude::*;
use pool::enter_pool;
use values::values;

const CHANNELS: usize = 130;
const WIDTH: usize = 70;
const KERNEL: usize = 7;
const STRIDE: usize = 3;
/// The other size, where one is swept.
const OF_WIDTHS: usize = 64;
const OF_CHANNELS: usize = 30;

/// Multiply-adds below which the price of a call decides.
const SMALL: u64 = 1_000_000;
/// How much slower than its neighbours a size may be.
const CLIFF: f64 = 1.5;

/// A convolution with as many channels before as after it, on a square image, padded so that its size stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Size {
    stride: usize,
    kernel: usize,
    channels: usize,
    width: usize,
}

#[derive(Clone, Copy)]
struct Measured {
    macs: u64,
    /// Nanoseconds of a multiply-add.
    price: f64,
}

impl Size {
    fn config(self) -> Conv2d {
        Conv2d::new(self.channels, self.channels, self.kernel).stride(self.stride).padding(self.kernel / 2)
    }

    fn measure(self, least: Duration) -> Result<Measured, ndconv::Error> {
        let config = self.config();
        let image = [self.width, self.width];
        let layer =
            Conv2dLayer::new(&config, &values::<f32>(config.weight_shape()), Some(&Array1::zeros(self.channels)))?;
        let shape = [1, self.channels, image[0], image[1]];
        let (input, mut output) = (values(shape), Array4::zeros(layer.output_shape(shape)?));
        let mut workspace = Workspace::new();
        let (mut fastest, mut calls, begin) = (Duration::MAX, 0, Instant::now());
        while calls < 4 || begin.elapsed() < least {
            let start = Instant::now();
            layer.run_into_with(&input, &mut output, &mut workspace)?;
            fastest = fastest.min(start.elapsed());
            calls += 1;
        }
        let macs = config.macs(image)?;
        Ok(Measured { macs, price: fastest.as_secs_f64() * 1e9 / macs as f64 })
    }

    /// The sizes before and after along each axis, whether they are measured or not.
    fn neighbours(self) -> [[Size; 2]; 4] {
        let Size { stride, kernel, channels, width } = self;
        [
            [Size { channels: channels - 1, ..self }, Size { channels: channels + 1, ..self }],
            [Size { width: width - 1, ..self }, Size { width: width + 1, ..self }],
            [Size { kernel: kernel - 1, ..self }, Size { kernel: kernel + 1, ..self }],
            [Size { stride: stride - 1, ..self }, Size { stride: stride + 1, ..self }],
        ]
    }
}

type Map = BTreeMap<Size, Measured>;

/// The sizes that are swept, without what they are swept with.
fn lines() -> impl Iterator<Item = (usize, usize)> {
    (1..=STRIDE).flat_map(|stride| (1..=KERNEL).map(move |kernel| (stride, kernel)))
}

fn sizes() -> impl Iterator<Item = Size> {
    lines().flat_map(|(stride, kernel)| {
        let channels = (1..=CHANNELS).map(move |channels| Size { stride, kernel, channels, width: OF_CHANNELS });
        let widths = (1..=WIDTH).map(move |width| Size { stride, kernel, channels: OF_WIDTHS, width });
        channels.chain(widths)
    })
}

/// How many times slower a size is than the slower of its neighbours along the axis where that is most.
fn steepness(measured: &Map, size: Size) -> f64 {
    let Measured { macs, price } = measured[&size];
    if macs < SMALL {
        return 0.0;
    }
    let slower = |axis: [Size; 2]| axis.iter().filter_map(|size| measured.get(size)).map(|m| m.price).reduce(f64::max);
    size.neighbours().into_iter().filter_map(slower).map(|slower| price / slower).fold(0.0, f64::max)
}

fn cliffs(measured: &Map) -> Vec<(Size, f64)> {
    let all = measured.keys().map(|&size| (size, steepness(measured, size)));
    all.filter(|&(_, steepness)| steepness > CLIFF).collect()
}

fn sweep() -> Result<Map, ndconv::Error> {
    let mut measured = Map::new();
    for size in sizes() {
        measured.insert(size, size.measure(Duration::from_millis(2))?);
    }
    // Noise only ever makes a size look slow, so what looks like a cliff is measured again.
    for _ in 0..3 {
        for (size, _) in cliffs(&measured) {
            let again = size.measure(Duration::from_millis(50))?;
            let kept = measured.get_mut(&size).expect("measured before");
            kept.price = kept.price.min(again.price);
        }
    }
    Ok(measured)
}

fn draw(measured: &Map, path: &Path) -> Result<(), Box<dyn Error>> {
    let root = SVGBackend::new(path, (1200, 800)).into_drawing_area();
    root.fill(&WHITE)?;
    let most = measured.values().filter(|m| m.macs >= SMALL).map(|m| 2.0 / m.price).fold(0.0, f64::max);
    for (panel, area) in root.split_evenly((2, STRIDE)).iter().enumerate() {
        let (stride, by_channels) = (panel % STRIDE + 1, panel < STRIDE);
        let (swept, last) =
            if by_channels { ("channels, image 30x30", CHANNELS) } else { ("width, 64 channels", WIDTH) };
        let mut chart = ChartBuilder::on(area)
            .caption(format!("stride {stride}, by {swept}"), ("sans-serif", 16))
            .margin(8)
            .x_label_area_size(28)
            .y_label_area_size(44)
            .build_cartesian_2d(0..last, 0.0..most * 1.05)?;
        chart.configure_mesh().y_desc("GFLOP/s").light_line_style(WHITE).draw()?;
        for kernel in 1..=KERNEL {
            let at = |swept: usize| match by_channels {
                true => Size { stride, kernel, channels: swept, width: OF_CHANNELS },
                false => Size { stride, kernel, channels: OF_WIDTHS, width: swept },
            };
            let points = (1..=last).map(|swept| (swept, measured[&at(swept)]));
            let points = points.filter(|(_, m)| m.macs >= SMALL).map(|(swept, m)| (swept, 2.0 / m.price));
            let color = HSLColor((kernel - 1) as f64 / KERNEL as f64, 0.8, 0.4);
            chart
                .draw_series(LineSeries::new(points, color))?
                .label(format!("{kernel}x{kernel}"))
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], color));
        }
        let mut labels = chart.configure_series_labels();
        labels.position(SeriesLabelPosition::LowerRight).background_style(WHITE.mix(0.8)).draw()?;
    }
    Ok(root.present()?)
}

fn run() -> Result<bool, Box<dyn Error>> {
    let mut out = PathBuf::from("target/sweep.svg");
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("out") => out = parser.value()?.into(),
            // Cargo says so to every bench.
            Arg::Long("bench") => {}
            other => return Err(other.unexpected().into()),
        }
    }
    let _pool = enter_pool(1)?;
    let measured = sweep()?;
    draw(&measured, &out)?;
    let cliffs = cliffs(&measured);
    for (size, steepness) in &cliffs {
        println!("{size:?}: {:.3} ns for a multiply-add, {steepness:.2} times its neighbours", measured[size].price);
    }
    let large: Vec<_> = measured.iter().filter(|(_, m)| m.macs >= SMALL).map(|(&size, _)| size).collect();
    let steepest = large.iter().map(|&size| (steepness(&measured, size), size)).max_by(|a, b| a.0.total_cmp(&b.0));
    println!(
        "{} sizes, {} above 1 MMAC, {} cliffs; the steepest is {steepest:?}",
        measured.len(),
        large.len(),
        cliffs.len()
    );
    println!("drawn in {}", out.display());
    Ok(cliffs.is_empty())
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("sweep: {error}");
            ExitCode::from(2)
        }
    }
}
