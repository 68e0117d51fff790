//! Is a result the expected one?

use ndarray::Array4;

use crate::call::{Element, Operation};
use crate::suite::{Case, Dtype, Suite};

/// How far the order of summation may move a result, in units of `epsilon * abs_bound`.
///
/// One rounding for each of a few hundred terms would allow much more; sums cut into blocks stay far below.
const UNITS: f64 = 4.0;

/// The expected result of a case.
pub(crate) struct Expected<'a, T> {
    values: Array4<T>,
    /// The class of each element, where not all are finite.
    classes: Option<&'a [u8]>,
    tolerance: Tolerance,
}

struct Tolerance {
    relative: f64,
    absolute: f64,
}

/// What an element has to be.
#[derive(Clone, Copy)]
enum Class {
    Finite,
    Infinity,
    NegativeInfinity,
    Nan,
    Anything,
}

impl Class {
    fn from_byte(byte: u8) -> Result<Self, String> {
        match byte {
            0 => Ok(Class::Finite),
            1 => Ok(Class::Infinity),
            2 => Ok(Class::NegativeInfinity),
            3 => Ok(Class::Nan),
            4 => Ok(Class::Anything),
            other => Err(format!("there is no class {other}")),
        }
    }

    fn of(value: f64) -> Self {
        match value {
            f64::INFINITY => Class::Infinity,
            f64::NEG_INFINITY => Class::NegativeInfinity,
            value if value.is_nan() => Class::Nan,
            _ => Class::Finite,
        }
    }

    fn describe(self, want: f64, allowed: f64) -> String {
        match self {
            Class::Finite => format!("{want:e} within {allowed:.2e}"),
            Class::Infinity => "inf".to_owned(),
            Class::NegativeInfinity => "-inf".to_owned(),
            Class::Nan => "NaN".to_owned(),
            Class::Anything => "anything".to_owned(),
        }
    }
}

impl<'a, T: Element> Expected<'a, T> {
    /// Reads the expected result of a case.
    pub(crate) fn of(suite: &'a Suite, case: &Case, operation: Operation) -> Result<Self, String> {
        let name = operation.output_name();
        let tensor = case.result(name).ok_or_else(|| format!("the case has no {name} to compare with"))?;
        let values = operation.image::<T>(suite, tensor)?;
        // Zeros around an image are values that are multiplied like any other.
        let classes = case.result("output_class_multiplied").or_else(|| case.result("output_class"));
        if let Some(classes) = classes
            && (classes.dtype != Dtype::U8 || classes.shape != tensor.shape)
        {
            return Err(format!("{} is not a u8 tensor of the shape of {name}", classes.name));
        }
        let classes = classes.map(|classes| suite.bytes(classes));

        let largest =
            || values.iter().map(|&value| value.into().abs()).filter(|size| size.is_finite()).fold(0.0, f64::max);
        let mut tolerance = match tensor.abs_bound {
            _ if operation.onnx => Tolerance { relative: 1e-3, absolute: 1e-7 },
            Some(bound) => Tolerance { relative: 0.0, absolute: UNITS * T::EPSILON * bound },
            None => Tolerance { relative: 0.0, absolute: T::COARSE * largest() },
        };
        if classes.is_some() {
            // Such suites have sums among the subnormals, where a unit in the last place is no share of the bound.
            tolerance.absolute += 4.0 * T::SMALLEST;
        }
        Ok(Expected { values, classes, tolerance })
    }

    /// Compares every element; the error describes the first that is wrong and counts the others.
    pub(crate) fn check(&self, got: &Array4<T>) -> Result<(), String> {
        if got.dim() != self.values.dim() {
            return Err(format!("the result has shape {:?}, expected {:?}", got.shape(), self.values.shape()));
        }
        let (mut wrong, mut first) = (0usize, None);
        for (index, ((at, &got), &want)) in got.indexed_iter().zip(&self.values).enumerate() {
            let (got, want): (f64, f64) = (got.into(), want.into());
            let class = self.classes.map_or(Ok(Class::of(want)), |classes| Class::from_byte(classes[index]))?;
            let allowed = self.tolerance.absolute + self.tolerance.relative * want.abs();
            let right = match class {
                Class::Finite => (got - want).abs() <= allowed,
                Class::Infinity => got == f64::INFINITY,
                Class::NegativeInfinity => got == f64::NEG_INFINITY,
                Class::Nan => got.is_nan(),
                Class::Anything => true,
            };
            if !right {
                wrong += 1;
                first.get_or_insert_with(|| format!("{at:?} is {got:e}, expected {}", class.describe(want, allowed)));
            }
        }
        match first {
            None => Ok(()),
            Some(first) => Err(format!("{wrong} of {} elements are wrong: {first}", got.len())),
        }
    }
}

/// The same numbers to the last bit; all NaN count as one.
pub(crate) fn same_bits<T: Element>(a: &Array4<T>, b: &Array4<T>) -> Result<(), String> {
    for ((at, &a), &b) in a.indexed_iter().zip(b) {
        // The conversion to f64 is exact.
        let (a, b): (f64, f64) = (a.into(), b.into());
        if a.to_bits() != b.to_bits() && !(a.is_nan() && b.is_nan()) {
            return Err(format!("{at:?} is {b:e}, but {a:e} from the one-shot call"));
        }
    }
    Ok(())
}
