//! What the test files share: data, memory layouts, and comparison bit for bit.
#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod cases;

use std::fmt::Debug;

use ndarray::{Array, Array1, Array4, Dimension, Ix4, s};
use ndconv::{
    Conv2d, Conv2dLayer, ConvTranspose2dLayer, DepthwiseSeparableLayer, Element, InvertedResidualLayer, Isa,
    SpatiallySeparableLayer, Workspace,
};

/// An element type as the tests see it.
pub(crate) trait TestElement: Element + Debug {
    /// A value for a random number in -1 to 1.
    fn of(number: f64) -> Self;
    /// Equal bits, or both NaN.
    fn same(self, other: Self) -> bool;
}

macro_rules! floats {
    ($($type:ident)*) => {$(
        impl TestElement for $type {
            fn of(number: f64) -> Self {
                number as $type
            }
            fn same(self, other: Self) -> bool {
                self.to_bits() == other.to_bits() || (self.is_nan() && other.is_nan())
            }
        }
    )*};
}
floats!(f32 f64);

macro_rules! integers {
    ($($type:ident)*) => {$(
        impl TestElement for $type {
            fn of(number: f64) -> Self {
                (number * 200.0) as i64 as $type
            }
            fn same(self, other: Self) -> bool {
                self == other
            }
        }
    )*};
}
integers!(i8 i16 i32 i64 u8 u16 u32 u64);

/// Random numbers, the same in every run (SplitMix64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random(seed)
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In -1 to 1.
    pub(crate) fn number(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    pub(crate) fn array4<T: TestElement>(&mut self, shape: [usize; 4]) -> Array4<T> {
        Array4::from_shape_simple_fn(shape, || T::of(self.number()))
    }

    pub(crate) fn array1<T: TestElement>(&mut self, len: usize) -> Array1<T> {
        Array1::from_shape_simple_fn(len, || T::of(self.number()))
    }
}

/// How an array lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    Standard,
    /// Channels last, seen as `NCHW`.
    ChannelsLast,
    /// First axis fastest.
    Fortran,
    /// Rows and columns run backwards.
    Reversed,
    /// Every other column of every third row of a larger array.
    Sliced,
    /// Whole rows, with gaps between them.
    Pitched,
}

pub(crate) const LAYOUTS: [Layout; 6] =
    [Layout::Standard, Layout::ChannelsLast, Layout::Fortran, Layout::Reversed, Layout::Sliced, Layout::Pitched];

/// The same elements, lying in memory as asked.
pub(crate) fn laid_out<T: TestElement>(array: &Array4<T>, layout: Layout) -> Array4<T> {
    let (n, c, h, w) = array.dim();
    let junk = T::of(0.77);
    let mut out = match layout {
        Layout::Standard => Array4::from_elem((n, c, h, w), junk),
        Layout::ChannelsLast => Array4::from_elem((n, h, w, c), junk).permuted_axes([0, 3, 1, 2]),
        Layout::Fortran => Array4::from_elem((w, h, c, n), junk).reversed_axes(),
        Layout::Reversed => Array4::from_elem((n, c, h, w), junk).slice_move(s![.., .., ..;-1, ..;-1]),
        Layout::Sliced => Array4::from_elem((n, c, h * 3, w * 2), junk).slice_move(s![.., .., ..;3, ..;2]),
        Layout::Pitched => Array4::from_elem((n, c, h, w + 3), junk).slice_move(s![.., .., .., ..w]),
    };
    out.assign(array);
    out
}

/// Panics at the first element whose bits differ.
pub(crate) fn assert_same<T: TestElement, D: Dimension<Pattern: Debug>>(
    got: &Array<T, D>,
    want: &Array<T, D>,
    what: &dyn Debug,
) {
    assert_eq!(got.shape(), want.shape(), "shape of {what:?}");
    for ((index, &got), &want) in got.indexed_iter().zip(want) {
        assert!(got.same(want), "{what:?} at {index:?}: got {got:?}, want {want:?}");
    }
}

/// A bias where the configuration has one.
pub(crate) fn bias_for<T: TestElement>(config: &Conv2d, random: &mut Random) -> Option<Array1<T>> {
    config.bias.then(|| random.array1(config.out_channels))
}

/// An output to be overwritten: every element is wrong.
pub(crate) fn spoiled<T: TestElement>(shape: [usize; 4], layout: Layout) -> Array4<T> {
    laid_out(&Array4::<T>::from_elem(Ix4(shape[0], shape[1], shape[2], shape[3]), T::of(0.77)), layout)
}

/// Runs on a pool of so many threads.
#[cfg(feature = "rayon")]
pub(crate) fn on_threads<R: Send>(threads: usize, run: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool").install(run)
}

/// Without rayon there is one thread.
#[cfg(not(feature = "rayon"))]
pub(crate) fn on_threads<R: Send>(_: usize, run: impl FnOnce() -> R + Send) -> R {
    run()
}

/// All instruction sets of this machine, or the one that the environment variable `NDCONV_TEST_ISA` names.
///
/// Naming one that the machine lacks is a failure, so that a run meant for it cannot pass without it.
pub(crate) fn isas() -> Vec<Isa> {
    let available = Isa::available();
    match std::env::var("NDCONV_TEST_ISA") {
        Err(_) => available,
        Ok(name) => {
            let found = available.iter().find(|isa| isa.name() == name);
            vec![*found.unwrap_or_else(|| panic!("this machine has no {name}, only {available:?}"))]
        }
    }
}

/// A prepared layer on one input, of any kind.
pub(crate) trait Layer<T> {
    fn run(&self, input: &Array4<T>) -> Array4<T>;
    fn run_into_with(&self, input: &Array4<T>, output: &mut Array4<T>, workspace: &mut Workspace<T>);
}

macro_rules! layers {
    ($($layer:ident)*) => {$(
        impl<T: TestElement> Layer<T> for $layer<T> {
            fn run(&self, input: &Array4<T>) -> Array4<T> {
                $layer::run(self, input).expect("a result")
            }
            fn run_into_with(&self, input: &Array4<T>, output: &mut Array4<T>, workspace: &mut Workspace<T>) {
                $layer::run_into_with(self, input, output, workspace).expect("a result");
            }
        }
    )*};
}
layers!(Conv2dLayer ConvTranspose2dLayer DepthwiseSeparableLayer InvertedResidualLayer SpatiallySeparableLayer);
