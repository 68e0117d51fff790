//! Reading a suite: `cases.jsonl` into [`Case`]s, and bytes of `tensors.bin` for each of their tensors.
//!
//! Everything that later code relies on is checked here: whatever is wrong with the files is one error that
//! names the line, and no tensor reaches outside the data.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

/// All cases of a folder, and the bytes of their tensors.
pub(crate) struct Suite {
    pub(crate) cases: Vec<Case>,
    data: Vec<u8>,
}

/// One line of `cases.jsonl`.
pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) op: String,
    pub(crate) tags: Vec<String>,
    /// Number of spatial dimensions.
    pub(crate) rank: u64,
    pub(crate) dtype: Dtype,
    pub(crate) expect: Expect,
    pub(crate) attributes: Map<String, Value>,
    tensors: Vec<Tensor>,
}

/// What the call has to do.
pub(crate) enum Expect {
    /// Succeed with the `out` tensors.
    Result,
    /// Return an error.
    Error,
    /// Return an error or a result, but not panic.
    Either,
}

/// The type of a tensor's elements.
#[derive(PartialEq)]
pub(crate) enum Dtype {
    F32,
    F64,
    U8,
    /// One that this example cannot read, by its name.
    Other(String),
}

impl Dtype {
    fn from_name(name: &str) -> Self {
        match name {
            "f32" => Dtype::F32,
            "f64" => Dtype::F64,
            "u8" => Dtype::U8,
            other => Dtype::Other(other.to_owned()),
        }
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Dtype::F32 => "f32",
            Dtype::F64 => "f64",
            Dtype::U8 => "u8",
            Dtype::Other(name) => name,
        }
    }

    fn bytes(&self) -> Option<usize> {
        match self {
            Dtype::F32 => Some(4),
            Dtype::F64 => Some(8),
            Dtype::U8 => Some(1),
            Dtype::Other(_) => None,
        }
    }
}

#[derive(PartialEq)]
pub(crate) enum Role {
    In,
    Out,
    Info,
}

/// A tensor of a case: its place in the data is known to be there.
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    /// The largest sum of magnitudes behind any element.
    pub(crate) abs_bound: Option<f64>,
    role: Role,
    offset: usize,
    nbytes: usize,
}

impl Suite {
    /// Reads `cases.jsonl` and `tensors.bin` of a folder.
    pub(crate) fn read(folder: &Path) -> Result<Self, String> {
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))
        };
        let (lines, data) = (read("cases.jsonl")?, read("tensors.bin")?);
        let lines = String::from_utf8(lines).map_err(|error| format!("cases.jsonl is not UTF-8: {error}"))?;
        let cases = lines.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(|(index, line)| {
            Case::parse(line, data.len()).map_err(|error| format!("cases.jsonl, line {}: {error}", index + 1))
        });
        Ok(Suite { cases: cases.collect::<Result<_, _>>()?, data })
    }

    /// The elements of a tensor, little-endian, back to back.
    pub(crate) fn bytes(&self, tensor: &Tensor) -> &[u8] {
        &self.data[tensor.offset..][..tensor.nbytes]
    }
}

impl Case {
    fn parse(line: &str, data_len: usize) -> Result<Self, String> {
        let line: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
        let fields = Fields::of(&line)?;
        let op = fields.text("op")?.to_owned();
        let rank = match fields.present("rank") {
            Some(_) => fields.count("rank")? as u64,
            None if op.ends_with("1d") => 1,
            None => 2,
        };
        let attributes = fields.present("attrs").map(|value| value.as_object().ok_or("attrs is not an object"));
        let tensors = fields.list("tensors")?.iter().map(|tensor| Tensor::parse(tensor, data_len));
        Ok(Case {
            id: fields.text("id")?.to_owned(),
            tags: fields.tags()?,
            dtype: Dtype::from_name(fields.text("dtype")?),
            expect: fields.expect()?,
            attributes: attributes.transpose()?.cloned().unwrap_or_default(),
            tensors: tensors.collect::<Result<_, _>>()?,
            op,
            rank,
        })
    }

    pub(crate) fn has_tag(&self, tag: &str) -> bool {
        self.tags.iter().any(|own| own == tag)
    }

    /// An argument of the call.
    pub(crate) fn argument(&self, name: &str) -> Option<&Tensor> {
        self.tensors.iter().find(|tensor| tensor.role == Role::In && tensor.name == name)
    }

    /// An expected result.
    pub(crate) fn result(&self, name: &str) -> Option<&Tensor> {
        self.tensors.iter().find(|tensor| tensor.role == Role::Out && tensor.name == name)
    }
}

impl Tensor {
    fn parse(value: &Value, data_len: usize) -> Result<Self, String> {
        let fields = Fields::of(value)?;
        let name = fields.text("name")?.to_owned();
        let shape = fields.list("shape")?.iter().map(|size| size.as_u64().and_then(|size| usize::try_from(size).ok()));
        let tensor = Tensor {
            dtype: Dtype::from_name(fields.text("dtype")?),
            shape: shape.collect::<Option<_>>().ok_or_else(|| format!("{name}: shape is not a list of sizes"))?,
            abs_bound: fields.present("abs_bound").and_then(Value::as_f64),
            role: fields.role()?,
            offset: fields.count("offset")?,
            nbytes: fields.count("nbytes")?,
            name,
        };
        tensor.check(data_len)?;
        Ok(tensor)
    }

    fn check(&self, data_len: usize) -> Result<(), String> {
        let Tensor { name, dtype, shape, offset, nbytes, .. } = self;
        if let Some(bytes) = dtype.bytes() {
            let product = || shape.iter().try_fold(bytes, |total, &size| total.checked_mul(size));
            let wanted = if shape.contains(&0) { Some(0) } else { product() };
            if wanted != Some(*nbytes) {
                return Err(format!("{name}: {nbytes} bytes do not hold shape {shape:?} of {bytes} bytes each"));
            }
        }
        match offset.checked_add(*nbytes) {
            Some(end) if end <= data_len => Ok(()),
            _ => Err(format!("{name}: {nbytes} bytes at {offset} reach beyond tensors.bin ({data_len} bytes)")),
        }
    }
}

/// The fields of a JSON object, with errors that name them.
struct Fields<'a>(&'a Map<String, Value>);

impl<'a> Fields<'a> {
    fn of(value: &'a Value) -> Result<Self, String> {
        value.as_object().map(Fields).ok_or_else(|| "not a JSON object".to_owned())
    }

    fn present(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn text(&self, name: &str) -> Result<&'a str, String> {
        self.present(name).and_then(Value::as_str).ok_or_else(|| format!("{name} is missing or not a string"))
    }

    fn list(&self, name: &str) -> Result<&'a [Value], String> {
        let list = self.present(name).and_then(Value::as_array);
        list.map(Vec::as_slice).ok_or_else(|| format!("{name} is missing or not a list"))
    }

    fn count(&self, name: &str) -> Result<usize, String> {
        let count = self.present(name).and_then(Value::as_u64).and_then(|count| usize::try_from(count).ok());
        count.ok_or_else(|| format!("{name} is missing or not a size"))
    }

    fn tags(&self) -> Result<Vec<String>, String> {
        if self.present("tags").is_none() {
            return Ok(Vec::new());
        }
        let tags = self.list("tags")?.iter().map(|tag| tag.as_str().map(str::to_owned));
        tags.collect::<Option<_>>().ok_or_else(|| "tags is not a list of strings".to_owned())
    }

    /// What is static in other languages, a negative size say, is an error at run time or before: `must` all the same.
    fn expect(&self) -> Result<Expect, String> {
        match self.text("expect")? {
            "ok" => return Ok(Expect::Result),
            "error" => {}
            other => return Err(format!("expect is {other:?}, neither ok nor error")),
        }
        match self.present("reject").map_or(Some("must"), Value::as_str) {
            Some("must" | "static") => Ok(Expect::Error),
            Some("may") => Ok(Expect::Either),
            _ => Err("reject is none of must, may and static".to_owned()),
        }
    }

    fn role(&self) -> Result<Role, String> {
        match self.text("role")? {
            "in" => Ok(Role::In),
            "out" => Ok(Role::Out),
            "info" => Ok(Role::Info),
            other => Err(format!("role is {other:?}, none of in, out and info")),
        }
    }
}
