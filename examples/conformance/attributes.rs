//! The attributes of a case, ONNX's or PyTorch's, as a [`Conv2d`].

use ndconv::{Conv2d, Padding, PaddingMode, Pads};
use serde_json::Value;

use crate::call::{Kind, Operation};
use crate::suite::Case;

/// The sizes of a four-dimensional tensor.
type Dim = (usize, usize, usize, usize);

/// The attributes of a case. Whatever they hold that a configuration cannot is an error.
pub(crate) struct Attributes<'a> {
    case: &'a Case,
    operation: Operation,
}

impl<'a> Attributes<'a> {
    pub(crate) fn of(case: &'a Case, operation: Operation) -> Self {
        Attributes { case, operation }
    }

    /// The configuration; what the attributes leave out is read off the tensors.
    pub(crate) fn config(&self, input: Dim, weight: Dim) -> Result<Conv2d, String> {
        let [stride, dilation, groups] =
            if self.operation.onnx { ["strides", "dilations", "group"] } else { ["stride", "dilation", "groups"] };
        let groups = self.number(groups)?.unwrap_or(1);
        let out_channels = match self.operation.kind {
            Kind::Standard | Kind::Deformable => Some(weight.0),
            // That there are no groups is for the library to say.
            Kind::Transposed => weight.1.checked_mul(groups.max(1)),
        };
        let out_channels = out_channels.ok_or_else(|| format!("{groups} groups of {} channels", weight.1))?;
        let kernel = self.per_axis("kernel_shape", 1)?.unwrap_or([weight.2, weight.3]);
        Ok(Conv2d::new(input.1, out_channels, kernel)
            .stride(self.per_axis(stride, 1)?.unwrap_or([1; 2]))
            .dilation(self.per_axis(dilation, 1)?.unwrap_or([1; 2]))
            .padding(if self.operation.onnx { self.onnx_padding()? } else { self.torch_padding()? })
            .padding_mode(self.padding_mode()?)
            .groups(groups)
            .output_padding(self.per_axis("output_padding", 0)?.unwrap_or_default()))
    }

    /// ONNX's request for an output of this size.
    pub(crate) fn output_shape(&self) -> Result<Option<[usize; 2]>, String> {
        self.per_axis("output_shape", 1)
    }

    /// What the padding is when worked out, where a PyTorch case says so.
    pub(crate) fn resolved_pads(&self) -> Result<Option<Pads>, String> {
        let sides = if self.operation.onnx { None } else { self.sides("pads")? };
        Ok(sides.map(|[top, left, bottom, right]| Pads { top, left, bottom, right }))
    }

    /// The offset groups of a deformable convolution.
    pub(crate) fn offset_groups(&self) -> Result<Option<usize>, String> {
        self.number(if self.operation.onnx { "offset_group" } else { "offset_groups" })
    }

    fn present(&self, name: &str) -> Option<&'a Value> {
        self.case.attributes.get(name).filter(|value| !value.is_null())
    }

    fn number(&self, name: &str) -> Result<Option<usize>, String> {
        self.present(name).map(|value| size(name, value)).transpose()
    }

    /// A list of numbers, or one number for all axes.
    fn numbers(&self, name: &str) -> Result<Option<Vec<usize>>, String> {
        let numbers = self.present(name).map(|value| match value {
            Value::Array(list) => list.iter().map(|entry| size(name, entry)).collect(),
            entry => Ok(vec![size(name, entry)?; self.operation.rank]),
        });
        numbers.transpose()
    }

    /// One number for each axis, and `row` for the height that a one-dimensional case lacks.
    fn per_axis(&self, name: &str, row: usize) -> Result<Option<[usize; 2]>, String> {
        let Some(numbers) = self.numbers(name)? else { return Ok(None) };
        match (self.operation.rank, numbers.as_slice()) {
            (1, &[width]) => Ok(Some([row, width])),
            (2, &[height, width]) => Ok(Some([height, width])),
            (rank, _) => Err(format!("{name} has {} entries for {rank} axes", numbers.len())),
        }
    }

    /// All begins, then all ends, as top, left, bottom, right.
    fn sides(&self, name: &str) -> Result<Option<[usize; 4]>, String> {
        let Some(numbers) = self.numbers(name)? else { return Ok(None) };
        match (self.operation.rank, numbers.as_slice()) {
            (1, &[begin, end]) => Ok(Some([0, begin, 0, end])),
            (2, &[top, left, bottom, right]) => Ok(Some([top, left, bottom, right])),
            (rank, _) => Err(format!("{name} has {} entries for the sides of {rank} axes", numbers.len())),
        }
    }

    fn explicit_padding(&self, name: &str) -> Result<Padding, String> {
        Ok(self.sides(name)?.map_or_else(Padding::default, Padding::from))
    }

    fn onnx_padding(&self) -> Result<Padding, String> {
        let Some(value) = self.present("auto_pad") else { return self.explicit_padding("pads") };
        match value.as_str() {
            Some("NOTSET") => self.explicit_padding("pads"),
            Some("VALID") => Ok(Padding::Valid),
            Some("SAME_UPPER") => Ok(Padding::SameUpper),
            Some("SAME_LOWER") => Ok(Padding::SameLower),
            _ => Err(format!("auto_pad is {value}")),
        }
    }

    fn torch_padding(&self) -> Result<Padding, String> {
        match self.present("padding") {
            None => self.explicit_padding("pads"),
            Some(Value::String(name)) if name == "same" => Ok(Padding::SameUpper),
            Some(Value::String(name)) if name == "valid" => Ok(Padding::Valid),
            Some(Value::Array(list)) if list.len() == 2 * self.operation.rank => self.explicit_padding("padding"),
            Some(_) => Ok(self.per_axis("padding", 0)?.unwrap_or_default().into()),
        }
    }

    fn padding_mode(&self) -> Result<PaddingMode, String> {
        let Some(value) = self.present("padding_mode") else { return Ok(PaddingMode::Zeros) };
        match value.as_str() {
            Some("zeros") => Ok(PaddingMode::Zeros),
            Some("reflect") => Ok(PaddingMode::Reflect),
            Some("symmetric") => Ok(PaddingMode::Symmetric),
            Some("replicate") => Ok(PaddingMode::Replicate),
            Some("circular") => Ok(PaddingMode::Circular),
            _ => Err(format!("padding_mode is {value}")),
        }
    }
}

/// A number that is there, whole and not negative.
fn size(name: &str, value: &Value) -> Result<usize, String> {
    let size = value.as_u64().and_then(|size| usize::try_from(size).ok());
    size.ok_or_else(|| format!("{name} has the entry {value}, which is no size"))
}
