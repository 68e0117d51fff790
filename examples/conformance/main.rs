//! Runs a conformance suite: cases with arguments and expected results, as other libraries compute them.
//!
//! ```text
//! cargo run --release --example conformance -- DIR [--only REGEX] [--json]
//! ```
//!
//! `DIR` holds `cases.jsonl`, one JSON object a line, and `tensors.bin`, the elements of all tensors:
//!
//! - `id`, `op` (`conv2d`, `conv_transpose2d`, `deform_conv2d`, `conv1d`, `conv_transpose1d` with PyTorch's
//!   attributes, or `Conv`, `ConvTranspose`, `DeformConv` with ONNX's), `rank` (spatial dimensions), `dtype`
//!   (`f32` or `f64`), `tags` (`unbatched`: no batch axis), `attrs`;
//! - `expect`: `ok`, or `error` with `reject`: `must` be an error, `may` be one, or `static`, an error or a call that
//!   cannot be written down, with a negative stride say. A panic is a failure everywhere;
//! - `tensors`: `name`, `role` (`in`, `out` or `info`), `dtype`, `shape`, `offset` and `nbytes` in `tensors.bin`
//!   (little-endian, last index fastest) and for results `abs_bound`, the largest sum of magnitudes behind an
//!   element. A u8 result `output_class_multiplied`, or else `output_class`, says for each element whether it is
//!   finite (0), inf (1), -inf (2), NaN (3) or anything (4).
//!
//! Small suites of errors and of special values are in `tests/data/conformance`.

mod attributes;
mod call;
mod compare;
mod run;
mod suite;

use std::io::{self, IsTerminal, Write};
use std::iter;
use std::path::PathBuf;
use std::process::ExitCode;

use lexopt::{Arg, ValueExt};
use regex_lite::Regex;
use serde_json::json;

use run::{Verdict, run};
use suite::{Case, Suite};

const HELP: &str = "\
Runs a conformance suite: cases.jsonl and tensors.bin in DIR.

Usage: conformance DIR [--only REGEX] [--json]

  --only REGEX  only cases with a match in their id, operation or one of their tags
  --json        a JSON object for each case instead of lines for failures
  --help        this text

Prints a line for each failure and last the counts. Only forward results are checked: expected
gradients are left alone. A result that is right is computed once more by a prepared layer, which
has to give the same bits.

Exit code: 0 if nothing failed, 1 if something did, 2 if the suite could not be run.
";

/// Cases from which on progress is shown.
const MANY: usize = 100;

struct Arguments {
    folder: PathBuf,
    only: Option<Regex>,
    json: bool,
}

impl Arguments {
    /// The command line, or nothing where it asks for help.
    fn parse() -> Result<Option<Self>, lexopt::Error> {
        let (mut folder, mut only, mut json) = (None, None, false);
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Arg::Long("only") => only = Some(parser.value()?.parse_with(Regex::new)?),
                Arg::Long("json") => json = true,
                Arg::Long("help") | Arg::Short('h') => return Ok(None),
                Arg::Value(value) if folder.is_none() => folder = Some(PathBuf::from(value)),
                other => return Err(other.unexpected()),
            }
        }
        let folder = folder.ok_or("the suite's folder is missing (--help says more)")?;
        Ok(Some(Arguments { folder, only, json }))
    }

    fn wants(&self, case: &Case) -> bool {
        let Some(only) = &self.only else { return true };
        only.is_match(&case.id) || only.is_match(&case.op) || case.tags.iter().any(|tag| only.is_match(tag))
    }
}

fn main() -> ExitCode {
    let outcome = Arguments::parse().map_err(|error| error.to_string()).and_then(|arguments| match arguments {
        Some(arguments) => run_suite(&arguments),
        None => io::stdout().write_all(HELP.as_bytes()).map(|()| true).map_err(|error| error.to_string()),
    });
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("conformance: {error}");
            ExitCode::from(2)
        }
    }
}

/// Runs the chosen cases and prints what became of them; whether none failed.
fn run_suite(arguments: &Arguments) -> Result<bool, String> {
    let suite = Suite::read(&arguments.folder)?;
    let cases: Vec<_> = suite.cases.iter().filter(|case| arguments.wants(case)).collect();
    let progress = Progress { shown: cases.len() >= MANY && io::stderr().is_terminal(), total: cases.len() };
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for (index, case) in cases.iter().enumerate() {
        progress.show(index);
        let verdict = run(&suite, case);
        match verdict {
            Verdict::Passed(_) => passed += 1,
            Verdict::Failed(_) => failed += 1,
            Verdict::Skipped(_) => skipped += 1,
        }
        if let Some(line) = report(case, &verdict, arguments.json) {
            progress.clear();
            print(&line)?;
        }
    }
    progress.clear();
    print(&format!("{passed} passed, {failed} failed, {skipped} skipped\n"))?;
    Ok(failed == 0)
}

/// The line to print about a case, if any.
fn report(case: &Case, verdict: &Verdict, as_json: bool) -> Option<String> {
    let (result, reason) = match verdict {
        Verdict::Passed(reason) => ("passed", reason),
        Verdict::Failed(reason) => ("failed", reason),
        Verdict::Skipped(reason) => ("skipped", reason),
    };
    let Case { id, op, tags, .. } = case;
    if as_json {
        return Some(format!("{}\n", json!({ "id": id, "op": op, "result": result, "reason": reason })));
    }
    let about = iter::once(op).chain(tags).map(String::as_str).collect::<Vec<_>>().join(", ");
    match verdict {
        Verdict::Passed(_) => None,
        Verdict::Failed(_) => Some(format!("FAIL {id} ({about}): {reason}\n")),
        Verdict::Skipped(_) => Some(format!("SKIP {id} ({about}): {reason}\n")),
    }
}

/// Unlike `print!` no panic where nobody reads on.
fn print(text: &str) -> Result<(), String> {
    io::stdout().write_all(text.as_bytes()).map_err(|error| format!("cannot write: {error}"))
}

/// A counter on the terminal.
struct Progress {
    shown: bool,
    total: usize,
}

impl Progress {
    fn show(&self, done: usize) {
        if self.shown {
            eprint!("\r{done} of {} cases", self.total);
        }
    }

    fn clear(&self) {
        if self.shown {
            eprint!("\r\x1b[K");
        }
    }
}
