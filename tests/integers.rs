//! Integers against the reference, bit for bit. Each type compiles the engine anew, so that only this file has all of them.

mod common;

use common::cases::{check_standard, check_transposed, convolutions, transposed};

#[test]
fn standard_integers() {
    for (name, config, size) in convolutions() {
        check_standard::<i32>(&config, size, name);
    }
    for (name, config, size) in &convolutions()[..6] {
        check_standard::<i8>(config, *size, name);
        check_standard::<i16>(config, *size, name);
        check_standard::<i64>(config, *size, name);
        check_standard::<u8>(config, *size, name);
        check_standard::<u16>(config, *size, name);
        check_standard::<u32>(config, *size, name);
        check_standard::<u64>(config, *size, name);
    }
}

#[test]
fn transposed_integers() {
    transposed().iter().for_each(|(name, config, size)| check_transposed::<i16>(config, *size, name));
}
