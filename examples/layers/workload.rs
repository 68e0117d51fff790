//! Workloads: CSV files with a layer in each row.

use std::error::Error;
use std::path::Path;

use ndconv::{Conv2d, Numerics};

#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Convolution,
    Transposed,
    Deformable,
}

impl Kind {
    pub(crate) fn from_name(name: &str) -> Result<Self, String> {
        match name {
            "conv" => Ok(Kind::Convolution),
            "transposed" => Ok(Kind::Transposed),
            "deform" => Ok(Kind::Deformable),
            other => Err(format!("there is no kind {other:?}")),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Convolution => "conv",
            Kind::Transposed => "transposed",
            Kind::Deformable => "deform",
        }
    }
}

/// One layer of a workload.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// `n`, `ic`, `ih`, `iw`.
    pub(crate) input: [usize; 4],
    /// `oc`, `kh`, `kw`, stride `sh`, `sw`, padding `pt`, `pl`, `pb`, `pr`, dilation `dh`, `dw`, groups `g`, output
    /// padding `oph`, `opw`.
    pub(crate) config: Conv2d,
    /// `og`, for deformable layers.
    pub(crate) offset_groups: usize,
    /// Whether a deformable layer is modulated.
    pub(crate) mask: bool,
    /// How often the network has this layer.
    pub(crate) count: usize,
}

impl Row {
    pub(crate) fn read_all(path: &Path, numerics: Numerics) -> Result<Vec<Self>, Box<dyn Error>> {
        let mut reader = csv::Reader::from_path(path)?;
        let columns = reader.headers()?.clone();
        let row = |(index, record): (usize, Result<csv::StringRecord, csv::Error>)| {
            let row = Row::parse(&columns, &record?, numerics);
            row.map_err(|error| format!("row {}: {error}", index + 1).into())
        };
        reader.records().enumerate().map(row).collect()
    }

    pub(crate) fn parse(
        columns: &csv::StringRecord,
        record: &csv::StringRecord,
        numerics: Numerics,
    ) -> Result<Self, String> {
        let text = |name: &str| {
            let field = columns.iter().position(|column| column == name).and_then(|at| record.get(at));
            field.ok_or_else(|| format!("there is no column {name}"))
        };
        let number = |name| text(name)?.parse::<usize>().map_err(|error| format!("{name}: {error}"));
        let pair = |a, b| Ok::<_, String>([number(a)?, number(b)?]);
        let [top, left, bottom, right] = [number("pt")?, number("pl")?, number("pb")?, number("pr")?];
        Ok(Row {
            name: text("name")?.to_owned(),
            kind: Kind::from_name(text("kind")?)?,
            input: [number("n")?, number("ic")?, number("ih")?, number("iw")?],
            config: Conv2d::new(number("ic")?, number("oc")?, pair("kh", "kw")?)
                .stride(pair("sh", "sw")?)
                .padding([top, left, bottom, right])
                .dilation(pair("dh", "dw")?)
                .groups(number("g")?)
                .output_padding(pair("oph", "opw")?)
                .numerics(numerics),
            offset_groups: number("og")?,
            mask: number("mask")? == 1,
            count: number("count")?,
        })
    }

    /// Multiply-adds, or 0 where the layer is impossible.
    pub(crate) fn macs(&self) -> u64 {
        let [n, _, height, width] = self.input;
        let sample = match self.kind {
            Kind::Transposed => self.config.transposed_macs([height, width]),
            Kind::Convolution | Kind::Deformable => self.config.macs([height, width]),
        };
        sample.map_or(0, |macs| macs * n as u64)
    }
}
