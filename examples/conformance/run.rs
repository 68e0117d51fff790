//! Running a case: the call of the library, and what to think of its result.

use std::panic::{self, AssertUnwindSafe};
use std::sync::{Mutex, PoisonError};

use ndarray::{Array4, ArrayView3, Axis, ShapeBuilder};
use ndconv::{Conv2d, Conv2dLayer, ConvTranspose2dLayer, DeformConv2dLayer, DeformInput, Error};

use crate::attributes::Attributes;
use crate::call::{Call, Element, Function, Kind, Operation};
use crate::compare::{Expected, same_bits};
use crate::suite::{Case, Dtype, Expect, Suite};

/// What became of a case, with the reason; for a passed one that is the error it was right to give.
pub(crate) enum Verdict {
    Passed(String),
    Failed(String),
    Skipped(String),
}

/// Runs a case. A panic is a failure.
pub(crate) fn run(suite: &Suite, case: &Case) -> Verdict {
    let operation = match Operation::of(case) {
        Ok(operation) => operation,
        Err(reason) => return Verdict::Skipped(reason),
    };
    let outcome = quietly(|| match (&case.dtype, &case.expect) {
        (Dtype::F32, _) => judge::<f32>(suite, case, operation),
        (Dtype::F64, _) => judge::<f64>(suite, case, operation),
        (other, Expect::Result) => Verdict::Skipped(format!("elements of type {}", other.name())),
        (other, _) => Verdict::Passed(format!("refused: elements of type {}", other.name())),
    });
    outcome.unwrap_or_else(|panicked| Verdict::Failed(format!("panicked: {panicked}")))
}

fn judge<T: Element>(suite: &Suite, case: &Case, operation: Operation) -> Verdict {
    let call = Call::<T>::of(suite, case, operation);
    let result = call.as_ref().map_err(Clone::clone).and_then(|call| result(call, case));
    match (&case.expect, result) {
        (Expect::Result, Ok(output)) => match call.and_then(|call| check(suite, case, &call, &output)) {
            Ok(()) => Verdict::Passed(String::new()),
            Err(reason) => Verdict::Failed(reason),
        },
        (Expect::Result, Err(error)) => Verdict::Failed(format!("refused: {error}")),
        (Expect::Error | Expect::Either, Err(error)) => Verdict::Passed(format!("refused: {error}")),
        (Expect::Either, Ok(_)) => Verdict::Passed("accepted".to_owned()),
        (Expect::Error, Ok(output)) => {
            Verdict::Failed(format!("accepted with a result of shape {:?}, expected an error", output.shape()))
        }
    }
}

/// The library's result, or its error.
fn result<T: Element>(call: &Call<T>, case: &Case) -> Result<Array4<T>, String> {
    let output = call.one_shot().map_err(|error| error.to_string())?;
    // The library takes the number of offset groups from the offset, so there is no argument for another number.
    let taps = call.config.kernel[0] * call.config.kernel[1];
    match (Attributes::of(case, call.operation).offset_groups()?, &call.function) {
        (Some(groups), Function::Deformable { offset, .. }) if groups.checked_mul(2 * taps) != Some(offset.dim().1) => {
            Err(format!("{} offset channels are not those of {groups} offset groups", offset.dim().1))
        }
        _ => Ok(output),
    }
}

/// Checks the result against the expected one, and the prepared layer and the resolved padding with it.
fn check<T: Element>(suite: &Suite, case: &Case, call: &Call<T>, output: &Array4<T>) -> Result<(), String> {
    Expected::<T>::of(suite, case, call.operation)?.check(output)?;
    let again = call.prepared(output.dim()).map_err(|error| format!("run_into: {error}"))?;
    same_bits(output, &again).map_err(|difference| format!("run_into: {difference}"))?;
    if let Some(wanted) = Attributes::of(case, call.operation).resolved_pads()? {
        let (_, _, height, width) = call.input.dim();
        let resolved = match call.operation.kind {
            Kind::Standard | Kind::Deformable => call.config.resolved_pads([height, width]),
            Kind::Transposed => call.config.transposed_resolved_pads([height, width]),
        };
        if resolved.as_ref() != Ok(&wanted) {
            return Err(format!("the padding is resolved to {resolved:?}, expected {wanted:?}"));
        }
    }
    Ok(())
}

impl<T: Element> Call<T> {
    /// By the function that takes everything at once.
    fn one_shot(&self) -> Result<Array4<T>, Error> {
        let (input, weight, bias) = (&self.input, &self.weight, self.bias.as_deref());
        let config = &self.solved()?;
        match (&self.function, self.operation.rank) {
            (Function::Standard, 1) => {
                Ok(ndconv::conv1d(config, &row(input), &row(weight), bias)?.insert_axis(Axis(2)))
            }
            (Function::Standard, _) => ndconv::conv2d(config, input, weight, bias),
            (Function::Transposed, 1) => {
                Ok(ndconv::conv_transpose1d(config, &row(input), &row(weight), bias)?.insert_axis(Axis(2)))
            }
            (Function::Transposed, _) => ndconv::conv_transpose2d(config, input, weight, bias),
            (Function::Deformable { offset, mask }, _) => {
                ndconv::deform_conv2d(config, DeformInput { input, offset, mask: mask.as_deref() }, weight, bias)
            }
        }
    }

    /// By a prepared layer, into an array that is laid out the other way round and must not keep what it holds.
    fn prepared(&self, dim: (usize, usize, usize, usize)) -> Result<Array4<T>, Error> {
        let (input, weight, bias) = (&self.input, &self.weight, self.bias.as_deref());
        let config = &self.solved()?;
        let mut output = Array4::from_elem(dim.f(), T::nan());
        match &self.function {
            Function::Standard => Conv2dLayer::new(config, weight, bias)?.run_into(input, &mut output)?,
            Function::Transposed => ConvTranspose2dLayer::new(config, weight, bias)?.run_into(input, &mut output)?,
            Function::Deformable { offset, mask } => DeformConv2dLayer::new(config, weight, bias)?
                .run_into(DeformInput { input, offset, mask: mask.as_deref() }, &mut output)?,
        }
        Ok(output)
    }

    /// The configuration, with the padding that ONNX's `output_shape` stands for.
    fn solved(&self) -> Result<Conv2d, Error> {
        let (_, _, height, width) = self.input.dim();
        match (&self.function, self.output_shape) {
            (Function::Transposed, Some(output)) => self.config.with_output_shape([height, width], output),
            _ => Ok(self.config),
        }
    }
}

/// A one-dimensional tensor without the row that it was given.
fn row<T>(array: &Array4<T>) -> ArrayView3<'_, T> {
    array.index_axis(Axis(2), 0)
}

/// Runs `work` without a word on stderr; if it panics, where and why.
fn quietly<R>(work: impl FnOnce() -> R) -> Result<R, String> {
    static PANIC: Mutex<String> = Mutex::new(String::new());
    let lock = || PANIC.lock().unwrap_or_else(PoisonError::into_inner);
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let payload = info.payload();
        let message = payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
        let place = info.location().map(|place| format!(", {place}")).unwrap_or_default();
        *lock() = format!("{}{place}", message.unwrap_or("without a message"));
    }));
    let outcome = panic::catch_unwind(AssertUnwindSafe(work));
    panic::set_hook(usual);
    outcome.map_err(|_| lock().clone())
}
