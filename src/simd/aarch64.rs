//! NEON.
//!
//! Tiles: 32 registers: 14 pixels by 2 vectors of channels, or 8 channels by 3 vectors of pixels. There is no prefetch: the
//! standard library has none for this architecture yet.

use core::arch::aarch64::*;

use crate::simd::{token, vectors};

token!(
    /// NEON.
    Neon, "neon", ["neon"], is_aarch64_feature_detected
);

vectors!(
    Neon, "neon", f32, float32x4_t, 4, masks uint32x4_t, groups of 4, registers 32, panel 2, rows 8,
    splat vdupq_n_f32,
    load |from: &[f32]| {
        let from: &[f32; 4] = from.first_chunk().expect("a whole vector");
        // SAFETY: four elements are read, and `from` has four.
        unsafe { vld1q_f32(from.as_ptr()) }
    },
    store |vector, to: &mut [f32]| {
        let to: &mut [f32; 4] = to.first_chunk_mut().expect("a whole vector");
        // SAFETY: four elements are written, and `to` has four.
        unsafe { vst1q_f32(to.as_mut_ptr(), vector) }
    },
    load_partial |from: &[f32]| {
        let mut whole = [0.0; 4];
        whole[..from.len()].copy_from_slice(from);
        // SAFETY: four elements are read, and `whole` has four.
        unsafe { vld1q_f32(whole.as_ptr()) }
    },
    store_partial |vector, to: &mut [f32]| {
        let mut whole = [0.0; 4];
        // SAFETY: four elements are written, and `whole` has four.
        unsafe { vst1q_f32(whole.as_mut_ptr(), vector) };
        to.copy_from_slice(&whole[..to.len()]);
    },
    mask |bits: u32| {
        let lanes: [u32; 4] = core::array::from_fn(|lane| if bits >> lane & 1 == 1 { u32::MAX } else { 0 });
        // SAFETY: four elements are read, and `lanes` has four.
        unsafe { vld1q_u32(lanes.as_ptr()) }
    },
    keep |vector, mask| vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(vector), mask)),
    zip |a, b| (vzip1q_f32(a, b), vzip2q_f32(a, b)),
    unzip |a, b| (vuzp1q_f32(a, b), vuzp2q_f32(a, b)),
    zip_groups |a, b| (vzip1q_f32(a, b), vzip2q_f32(a, b)),
    split_groups |a, b| (a, b),
    prefetch_at |_: *const f32| (),
    prefetch_near |_: *const f32| (),
    add vaddq_f32,
    fma |a, b, c| vfmaq_f32(c, a, b),
    within |a, min, max| {
        let a = vbslq_f32(vcltq_f32(a, min), min, a);
        vbslq_f32(vcgtq_f32(a, max), max, a)
    },
);

vectors!(
    Neon, "neon", f64, float64x2_t, 2, masks uint64x2_t, groups of 2, registers 32, panel 2, rows 8,
    splat vdupq_n_f64,
    load |from: &[f64]| {
        let from: &[f64; 2] = from.first_chunk().expect("a whole vector");
        // SAFETY: two elements are read, and `from` has two.
        unsafe { vld1q_f64(from.as_ptr()) }
    },
    store |vector, to: &mut [f64]| {
        let to: &mut [f64; 2] = to.first_chunk_mut().expect("a whole vector");
        // SAFETY: two elements are written, and `to` has two.
        unsafe { vst1q_f64(to.as_mut_ptr(), vector) }
    },
    load_partial |from: &[f64]| {
        let mut whole = [0.0; 2];
        whole[..from.len()].copy_from_slice(from);
        // SAFETY: two elements are read, and `whole` has two.
        unsafe { vld1q_f64(whole.as_ptr()) }
    },
    store_partial |vector, to: &mut [f64]| {
        let mut whole = [0.0; 2];
        // SAFETY: two elements are written, and `whole` has two.
        unsafe { vst1q_f64(whole.as_mut_ptr(), vector) };
        to.copy_from_slice(&whole[..to.len()]);
    },
    mask |bits: u32| {
        let lanes: [u64; 2] = core::array::from_fn(|lane| if bits >> lane & 1 == 1 { u64::MAX } else { 0 });
        // SAFETY: two elements are read, and `lanes` has two.
        unsafe { vld1q_u64(lanes.as_ptr()) }
    },
    keep |vector, mask| vreinterpretq_f64_u64(vandq_u64(vreinterpretq_u64_f64(vector), mask)),
    zip |a, b| (vzip1q_f64(a, b), vzip2q_f64(a, b)),
    unzip |a, b| (vuzp1q_f64(a, b), vuzp2q_f64(a, b)),
    zip_groups |a, b| (vzip1q_f64(a, b), vzip2q_f64(a, b)),
    split_groups |a, b| (a, b),
    prefetch_at |_: *const f64| (),
    prefetch_near |_: *const f64| (),
    add vaddq_f64,
    fma |a, b, c| vfmaq_f64(c, a, b),
    within |a, min, max| {
        let a = vbslq_f64(vcltq_f64(a, min), min, a);
        vbslq_f64(vcgtq_f64(a, max), max, a)
    },
);
