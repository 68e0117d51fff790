//! Knowledge flows down: a module may use only what its row of the table allows.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What a module may name of the crate besides itself.
const VOCABULARY: &[&str] = &[
    "activation",
    "algorithm",
    "aligned",
    "config",
    "element",
    "error",
    "fourier",
    "geometry",
    "numerics",
    "padding",
    "parts",
    "tensors",
];

fn table() -> BTreeMap<&'static str, Vec<&'static str>> {
    let with = |more: &[&'static str]| VOCABULARY.iter().chain(more).copied().collect::<Vec<_>>();
    BTreeMap::from([
        ("ops", with(&["plan", "algo", "gemm", "kernels", "simd", "parallel", "scratch"])),
        ("plan", with(&["algo", "gemm", "simd"])),
        ("algo", with(&["gemm", "kernels", "simd", "parallel", "scratch"])),
        ("gemm", vec!["algorithm", "kernels", "simd", "numerics", "element", "parts", "aligned"]),
        ("kernels", vec!["simd"]),
        ("simd", vec![]),
        ("algorithm", vec![]),
        ("aligned", vec![]),
        ("activation", vec!["element", "error", "simd"]),
        ("config", vec!["error", "numerics", "geometry"]),
        ("curves", vec!["simd"]),
        ("element", vec!["curves", "fourier", "ops", "simd"]),
        ("error", vec![]),
        ("fourier", vec![]),
        ("geometry", vec!["config", "error"]),
        ("numerics", vec![]),
        ("padding", vec!["config"]),
        ("parts", vec![]),
        ("tensors", vec![]),
        ("parallel", vec![]),
        ("scratch", vec!["element", "gemm", "aligned"]),
        ("reference", vec!["activation", "config", "element", "error", "numerics", "tensors"]),
    ])
}

/// The source files of a module.
fn files(module: &str) -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a readable folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (file, folder) = (source.join(format!("{module}.rs")), source.join(module));
    let mut found = Vec::new();
    if file.exists() {
        found.push(file);
    }
    if folder.is_dir() {
        walk(&folder, &mut found);
    }
    found
}

/// Code without comments, so that documentation may speak of anything.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a readable file");
    text.lines().map(|line| line.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n")
}

/// The first path segments after `crate::`, `$crate::` and `use crate::{`.
fn named(code: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    code.split("crate::").skip(1).map(word).filter(|name| !name.is_empty()).collect()
}

#[test]
fn modules_use_only_what_lies_below() {
    for (module, allowed) in table() {
        let files = files(module);
        assert!(!files.is_empty(), "no module {module}");
        for file in files {
            for name in named(&code(&file)) {
                let allowed = name == module || allowed.contains(&name.as_str());
                assert!(allowed, "{} uses {name}, which lies above {module} or beside it", file.display());
            }
            assert!(
                !code(&file).contains("crate::{"),
                "{}: one line per module, so that this test sees it",
                file.display()
            );
        }
    }
}

#[test]
fn every_module_is_in_the_table() {
    let lib = code(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs"));
    for line in lib.lines() {
        if let Some(name) = line.trim().trim_start_matches("pub ").strip_prefix("mod ") {
            // What is empty only has documentation.
            let Some(name) = name.strip_suffix(';') else { continue };
            assert!(table().contains_key(name), "{name} has no row");
        }
    }
}

#[test]
fn layers_keep_to_their_job() {
    let holds = |module: &str, needle: &str| {
        files(module).into_iter().filter(|file| code(file).contains(needle)).collect::<Vec<_>>()
    };
    for module in table().keys() {
        if *module != "simd" {
            assert_eq!(holds(module, "std::arch"), [] as [PathBuf; 0], "vector instructions outside simd");
            assert_eq!(holds(module, "core::arch"), [] as [PathBuf; 0], "vector instructions outside simd");
            assert_eq!(holds(module, "unsafe"), [] as [PathBuf; 0], "unsafe code outside simd");
        }
        if *module != "parallel" {
            assert_eq!(holds(module, "rayon::"), [] as [PathBuf; 0], "rayon outside parallel");
        }
        if *module != "fourier" {
            assert_eq!(holds(module, "rustfft"), [] as [PathBuf; 0], "rustfft outside fourier");
        }
    }
    for module in ["gemm", "kernels", "simd"] {
        assert_eq!(holds(module, "ndarray"), [] as [PathBuf; 0], "{module} works on slices");
    }
    // The definition must not share the index arithmetic that it is there to check.
    assert_eq!(holds("reference", ".source("), [] as [PathBuf; 0]);
    assert_eq!(holds("reference", "output_size("), [] as [PathBuf; 0]);
}
