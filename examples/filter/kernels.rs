//! Kernels by name, and kernels written as text.

use std::fmt::Write;

use ndconv::ndarray::{Array1, Array2, array};

/// What to do with a channel.
#[derive(Debug)]
pub(crate) enum Stencil {
    /// One kernel.
    Plain(Array2<f32>),
    /// A kernel that is `column` times `row`.
    Separable { column: Array1<f32>, row: Array1<f32> },
    /// The length of the vector that two kernels give.
    Magnitude([Array2<f32>; 2]),
}

/// What a named kernel may be told.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) size: Option<usize>,
    pub(crate) sigma: Option<f32>,
    pub(crate) amount: Option<f32>,
}

const KERNELS: [(&str, &str); 11] = [
    ("gaussian", "blur with a bell, as two 1-D steps: --size, --sigma"),
    ("box", "the mean of a square, as two 1-D steps: --size"),
    ("sobel", "edges: the steepness in any direction: --amount"),
    ("sobel-x", "the slope from left to right, around gray: --amount"),
    ("sobel-y", "the slope from top to bottom, around gray: --amount"),
    ("scharr", "as sobel, more even in all directions: --amount"),
    ("scharr-x", "as sobel-x: --amount"),
    ("scharr-y", "as sobel-y: --amount"),
    ("laplacian", "what differs from its surroundings, around gray: --amount"),
    ("sharpen", "the picture less its laplacian: --amount"),
    ("emboss", "the picture lit from the top left: --amount"),
];

/// Above this many taps in a row a filter takes too long to be meant.
const MAX_SIZE: usize = 1001;
/// A bell is cut off so many standard deviations from its middle.
const REACH: f32 = 3.0;

/// The kernels' names with what they do.
pub(crate) fn list() -> String {
    KERNELS.iter().fold(String::new(), |mut list, (name, effect)| {
        // Writing to a string does not fail.
        let _ = writeln!(list, "  {name:<10}  {effect}");
        list
    })
}

/// A kernel from its name or from its numbers.
pub(crate) fn parse(text: &str, settings: Settings) -> Result<Stencil, String> {
    if let Some((name, _)) = KERNELS.iter().find(|(name, _)| *name == text) {
        return named(name, settings);
    }
    let first = text.split(|c| c == ';' || is_separator(c)).find(|entry| !entry.is_empty());
    if first.is_some_and(|entry| number(entry).is_none()) {
        let names = KERNELS.map(|(name, _)| name).join(", ");
        return Err(format!("unknown kernel '{text}', expected one of {names}, or numbers such as \"0 1; 2 3\""));
    }
    refuse("a kernel of numbers", &settings, [true, true, true])?;
    literal(text).map(Stencil::Plain)
}

fn named(name: &str, settings: Settings) -> Result<Stencil, String> {
    let blurs = matches!(name, "gaussian" | "box");
    refuse(name, &settings, [!blurs, name != "gaussian", blurs])?;
    let amount = settings.amount.unwrap_or(1.0);
    if !amount.is_finite() {
        return Err(format!("--amount is {amount}, expected a finite number"));
    }
    let size = settings.size;
    if let Some(size) = size.filter(|size| !(1..=MAX_SIZE).contains(size)) {
        return Err(format!("--size is {size}, expected 1 to {MAX_SIZE}"));
    }
    // Divided by their reach, so that the edge from black to white is 1.
    let sobel = || slopes([1.0, 2.0, 1.0], amount / 4.0);
    let scharr = || slopes([3.0, 10.0, 3.0], amount / 16.0);
    let impulse = array![[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]];
    let laplacian = array![[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]] * amount;
    let relief = array![[-2.0, -1.0, 0.0], [-1.0, 0.0, 1.0], [0.0, 1.0, 2.0]] * amount;
    let [across, down] = if name.starts_with("scharr") { scharr() } else { sobel() };
    Ok(match name {
        "gaussian" => square(gaussian(size, settings.sigma)?),
        "box" => square(Array1::from_elem(size.unwrap_or(3), 1.0 / size.unwrap_or(3) as f32)),
        "sobel" | "scharr" => Stencil::Magnitude([across, down]),
        "sobel-x" | "scharr-x" => Stencil::Plain(across),
        "sobel-y" | "scharr-y" => Stencil::Plain(down),
        "laplacian" => Stencil::Plain(laplacian),
        "sharpen" => Stencil::Plain(impulse - laplacian),
        _ => Stencil::Plain(impulse + relief),
    })
}

/// Refuses those of size, sigma and amount that do not apply.
fn refuse(kernel: &str, settings: &Settings, [size, sigma, amount]: [bool; 3]) -> Result<(), String> {
    let wrong = [
        ("--size", size && settings.size.is_some()),
        ("--sigma", sigma && settings.sigma.is_some()),
        ("--amount", amount && settings.amount.is_some()),
    ];
    match wrong.into_iter().find(|&(_, wrong)| wrong) {
        Some((option, _)) => Err(format!("{option} does not apply to {kernel}")),
        None => Ok(()),
    }
}

fn square(taps: Array1<f32>) -> Stencil {
    Stencil::Separable { column: taps.clone(), row: taps }
}

/// A bell of sum 1. Either of size and sigma follows from the other.
fn gaussian(size: Option<usize>, sigma: Option<f32>) -> Result<Array1<f32>, String> {
    let sigma = sigma.unwrap_or_else(|| size.map_or(1.5, |size| (size as f32 / (2.0 * REACH)).max(0.3)));
    let largest = (MAX_SIZE / 2) as f32 / REACH;
    // Written so that NaN is refused.
    if !(sigma > 0.0 && sigma <= largest) {
        return Err(format!("--sigma is {sigma}, expected more than 0 and at most {largest:.0}"));
    }
    let size = size.unwrap_or(2 * (REACH * sigma).ceil() as usize + 1);
    let middle = (size - 1) as f32 / 2.0;
    let bell = Array1::from_shape_fn(size, |i| (-((i as f32 - middle) / sigma).powi(2) / 2.0).exp());
    let sum = bell.sum();
    if sum > 0.0 { Ok(bell / sum) } else { Err(format!("--sigma is {sigma}, too narrow for --size {size}")) }
}

/// The slopes from left to right and from top to bottom, smoothed the other way.
fn slopes([a, b, c]: [f32; 3], factor: f32) -> [Array2<f32>; 2] {
    let across = array![[-a, 0.0, a], [-b, 0.0, b], [-c, 0.0, c]] * factor;
    let down = across.t().to_owned();
    [across, down]
}

/// Rows of numbers.
fn literal(text: &str) -> Result<Array2<f32>, String> {
    let rows = text.split(';').enumerate().map(|(index, row)| {
        let entries = row.split(is_separator).filter(|entry| !entry.is_empty());
        let numbers: Result<Vec<f32>, String> = entries
            .map(|entry| match number(entry) {
                Some(number) if number.is_finite() => Ok(number),
                Some(_) => Err(format!("the kernel's '{entry}' is not a finite number")),
                None => Err(format!("the kernel's '{entry}' is not a number")),
            })
            .collect();
        match numbers {
            Ok(numbers) if numbers.is_empty() => Err(format!("row {} of the kernel is empty", index + 1)),
            other => other,
        }
    });
    let rows: Vec<Vec<f32>> = rows.collect::<Result<_, _>>()?;
    let width = rows[0].len();
    if let Some((index, row)) = rows.iter().enumerate().find(|(_, row)| row.len() != width) {
        return Err(format!("row {} of the kernel has {} columns, and row 1 has {width}", index + 1, row.len()));
    }
    let shape = (rows.len(), width);
    Ok(Array2::from_shape_fn(shape, |(i, j)| rows[i][j]))
}

/// What stands between the numbers of a row.
fn is_separator(c: char) -> bool {
    c.is_whitespace() || c == ','
}

/// `0.5`, `-1e-3` or `1/9`.
fn number(text: &str) -> Option<f32> {
    match text.split_once('/') {
        Some((above, below)) => Some(above.parse::<f32>().ok()? / below.parse::<f32>().ok()?),
        None => text.parse().ok(),
    }
}
