//! From a case to a [`Call`]: the configuration and tensors as the library takes them.
//!
//! One-dimensional cases become images of one row. What the library's types cannot express (a negative stride,
//! a tensor of another rank or element type) is an error here, a refusal before the call.

use ndarray::{Array, Array1, Array4, Dimension, IntoDimension};
use ndconv::Conv2d;

use crate::attributes::Attributes;
use crate::suite::{Case, Dtype, Suite, Tensor};

/// The element types that suites use.
pub(crate) trait Element: ndconv::Float + Into<f64> {
    const DTYPE: Dtype;
    /// Distance from 1 to the next number.
    const EPSILON: f64;
    /// The smallest positive number.
    const SMALLEST: f64;
    /// The tolerance, relative to the largest result, of results without a bound.
    const COARSE: f64;

    /// The elements of a tensor of this type.
    fn from_bytes(bytes: &[u8]) -> Vec<Self>;
}

macro_rules! element {
    ($type:ident, $dtype:expr, $coarse:expr) => {
        impl Element for $type {
            const DTYPE: Dtype = $dtype;
            const EPSILON: f64 = $type::EPSILON as f64;
            const SMALLEST: f64 = $type::from_bits(1) as f64;
            const COARSE: f64 = $coarse;

            fn from_bytes(bytes: &[u8]) -> Vec<Self> {
                let (elements, _) = bytes.as_chunks();
                elements.iter().map(|&element| $type::from_le_bytes(element)).collect()
            }
        }
    };
}

element!(f32, Dtype::F32, 1e-5);
element!(f64, Dtype::F64, 1e-12);

/// What kind of convolution.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Standard,
    Transposed,
    Deformable,
}

/// The operation of a case, apart from its attributes and tensors.
#[derive(Clone, Copy)]
pub(crate) struct Operation {
    pub(crate) kind: Kind,
    /// Spatial dimensions: 1 or 2.
    pub(crate) rank: usize,
    /// ONNX names, attributes and tolerance, instead of PyTorch's.
    pub(crate) onnx: bool,
    unbatched: bool,
}

impl Operation {
    /// The operation, or why this example does not know it.
    pub(crate) fn of(case: &Case) -> Result<Self, String> {
        let (kind, onnx) = match case.op.as_str() {
            "conv2d" | "conv1d" => (Kind::Standard, false),
            "conv_transpose2d" | "conv_transpose1d" => (Kind::Transposed, false),
            "deform_conv2d" => (Kind::Deformable, false),
            "Conv" => (Kind::Standard, true),
            "ConvTranspose" => (Kind::Transposed, true),
            "DeformConv" => (Kind::Deformable, true),
            other => return Err(format!("unknown operation {other}")),
        };
        let rank = match case.rank {
            _ if case.op.ends_with("1d") => 1,
            _ if case.op.ends_with("2d") => 2,
            1 if kind != Kind::Deformable => 1,
            2 => 2,
            other => return Err(format!("{} with {other} spatial dimensions", case.op)),
        };
        Ok(Operation { kind, rank, onnx, unbatched: case.has_tag("unbatched") })
    }

    /// The name of a tensor that ONNX calls otherwise.
    fn name(self, torch: &'static str, onnx: &'static str) -> &'static str {
        if self.onnx { onnx } else { torch }
    }

    /// The name of the expected result.
    pub(crate) fn output_name(self) -> &'static str {
        self.name("output", "Y")
    }

    /// A tensor as `[n, c, h, w]`.
    pub(crate) fn image<T: Element>(self, suite: &Suite, tensor: &Tensor) -> Result<Array4<T>, String> {
        let mut shape = tensor.shape.clone();
        if self.unbatched {
            shape.insert(0, 1);
        }
        self.four_axes(suite, tensor, &shape)
    }

    /// A tensor with these axes as one of four, with a height of 1 where there is none.
    fn four_axes<T: Element>(self, suite: &Suite, tensor: &Tensor, shape: &[usize]) -> Result<Array4<T>, String> {
        match (self.rank, shape) {
            (1, &[n, c, w]) => array(suite, tensor, (n, c, 1, w)),
            (2, &[n, c, h, w]) => array(suite, tensor, (n, c, h, w)),
            _ => Err(wrong_rank(tensor)),
        }
    }
}

fn wrong_rank(tensor: &Tensor) -> String {
    format!("{} has {} axes", tensor.name, tensor.shape.len())
}

/// A tensor as an array of this shape.
fn array<T: Element, D: Dimension>(
    suite: &Suite,
    tensor: &Tensor,
    shape: impl IntoDimension<Dim = D>,
) -> Result<Array<T, D>, String> {
    let (found, expected) = (&tensor.dtype, &T::DTYPE);
    if found != expected {
        let [found, expected] = [found, expected].map(Dtype::name);
        return Err(format!("{} has elements of type {found} in a case of {expected}", tensor.name));
    }
    let elements = T::from_bytes(suite.bytes(tensor));
    Array::from_shape_vec(shape.into_dimension(), elements).map_err(|error| format!("{}: {error}", tensor.name))
}

/// A call of the library.
pub(crate) struct Call<T> {
    pub(crate) operation: Operation,
    pub(crate) config: Conv2d,
    /// ONNX's `output_shape`: solved for by the library.
    pub(crate) output_shape: Option<[usize; 2]>,
    pub(crate) input: Array4<T>,
    pub(crate) weight: Array4<T>,
    pub(crate) bias: Option<Array1<T>>,
    pub(crate) function: Function<T>,
}

/// Which function of the library, with the tensors that only it takes.
pub(crate) enum Function<T> {
    Standard,
    Transposed,
    Deformable { offset: Array4<T>, mask: Option<Array4<T>> },
}

impl<T: Element> Call<T> {
    /// The call, or why it cannot be written down.
    pub(crate) fn of(suite: &Suite, case: &Case, operation: Operation) -> Result<Self, String> {
        let image = |name| case.argument(name).map(|tensor| operation.image(suite, tensor)).transpose();
        let required = |name| image(name)?.ok_or_else(|| format!("there is no {name}"));
        let input = required(operation.name("input", "X"))?;
        let weight_name = operation.name("weight", "W");
        let weight = case.argument(weight_name).ok_or_else(|| format!("there is no {weight_name}"))?;
        let weight = operation.four_axes(suite, weight, &weight.shape)?;
        let bias = case.argument(operation.name("bias", "B")).map(|tensor| match *tensor.shape {
            [channels] => array(suite, tensor, channels),
            _ => Err(wrong_rank(tensor)),
        });
        let bias = bias.transpose()?;
        let function = match operation.kind {
            Kind::Standard => Function::Standard,
            Kind::Transposed => Function::Transposed,
            Kind::Deformable => Function::Deformable { offset: required("offset")?, mask: image("mask")? },
        };
        let attributes = Attributes::of(case, operation);
        let config = attributes.config(input.dim(), weight.dim())?.bias(bias.is_some());
        Ok(Call { operation, config, output_shape: attributes.output_shape()?, input, weight, bias, function })
    }
}
