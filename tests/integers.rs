//! Integers against the reference, bit for bit: of each width one type, signed or not. Each compiles the engine anew, which takes as long as for floats.

mod common;

use common::cases::{check_standard, check_transposed, convolutions, transposed};

#[test]
fn standard_integers() {
    for (name, config, size) in convolutions() {
        check_standard::<i32>(&config, size, name);
    }
    for (name, config, size) in &convolutions()[..6] {
        check_standard::<i8>(config, *size, name);
        check_standard::<u16>(config, *size, name);
        check_standard::<u64>(config, *size, name);
    }
}

#[test]
fn transposed_integers() {
    transposed().iter().for_each(|(name, config, size)| check_transposed::<u16>(config, *size, name));
}
