//! AVX2 with FMA, and AVX-512 (F, BW, DQ, VL: Skylake-SP and later).
//!
//! Tiles with channels as lanes: AVX2 has 16 registers: 6 pixels by 2 vectors of accumulators, 2 operands, a broadcast. AVX-512
//! has 32: 14 pixels by 2 vectors. So the loads (two or three a cycle: 2 + 14 for 28 multiply-adds) and the multiply-adds (two a
//! cycle) both stay below their limit. With pixels as lanes 4 channels by 3 vectors and 8 by 3 do the same.

use core::arch::asm;
use core::arch::x86_64::*;
use std::sync::OnceLock;

use crate::simd::{token, vectors};

token!(
    /// AVX2 and FMA.
    Avx2, "avx2,fma", ["avx2" "fma"], is_x86_feature_detected
);
token!(
    /// AVX-512 F, BW, DQ and VL.
    Avx512, "avx512f,avx512bw,avx512dq,avx512vl", ["avx512f" "avx512bw" "avx512dq" "avx512vl"], is_x86_feature_detected
);

/// A shift by one of some numbers of lanes. Of the intrinsic the compiler makes a permutation, which overwrites an operand and reads its indices: with it
/// the kernels that shift half of their vectors took 1.2 to 1.4 times as long.
macro_rules! shifted {
    ($align:literal, $vector:ty, $a:expr, $b:expr, $first:expr, $($count:literal)*) => {
        match $first {
            $($count => {
                let lanes: $vector;
                // SAFETY: the instruction reads and writes nothing but registers.
                unsafe {
                    asm!(
                        concat!($align, " {lanes}, {b}, {a}, ", $count),
                        lanes = lateout(zmm_reg) lanes,
                        a = in(zmm_reg) $a,
                        b = in(zmm_reg) $b,
                        options(pure, nomem, nostack, preserves_flags),
                    );
                }
                lanes
            })*
            _ => $a,
        }
    };
}

vectors!(
    Avx2, "avx2,fma", f32, __m256, 8, masks __m256i, groups of 4, registers 16, panel 2, rows 6,
    splat _mm256_set1_ps,
    load |from: &[f32]| {
        let from: &[f32; 8] = from.first_chunk().expect("a whole vector");
        // SAFETY: eight elements are read, and `from` has eight.
        unsafe { _mm256_loadu_ps(from.as_ptr()) }
    },
    store |vector, to: &mut [f32]| {
        let to: &mut [f32; 8] = to.first_chunk_mut().expect("a whole vector");
        // SAFETY: eight elements are written, and `to` has eight.
        unsafe { _mm256_storeu_ps(to.as_mut_ptr(), vector) }
    },
    load_partial |from: &[f32]| {
        let mask = first_of_8(from.len());
        // SAFETY: lanes beyond the slice are masked off, and masked lanes are not accessed.
        unsafe { _mm256_maskload_ps(from.as_ptr(), mask) }
    },
    store_partial |vector, to: &mut [f32]| {
        match to.first_chunk_mut::<8>() {
            // SAFETY: eight elements are written, and `to` has eight.
            Some(to) => unsafe { _mm256_storeu_ps(to.as_mut_ptr(), vector) },
            None => store_up_to_7(vector, to),
        }
    },
    mask |bits: u32| mask_of_8(bits, _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)),
    keep |vector, mask| _mm256_and_ps(vector, _mm256_castsi256_ps(mask)),
    zip |a, b| {
        let (low, high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
        (_mm256_permute2f128_ps::<0x20>(low, high), _mm256_permute2f128_ps::<0x31>(low, high))
    },
    unzip |a, b| {
        let (even, odd) = unzip_halves_of_8(a, b);
        (middle_pairs_swapped(even), middle_pairs_swapped(odd))
    },
    zip_groups |a, b| (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b)),
    split_groups |a, b| (_mm256_permute2f128_ps::<0x20>(a, b), _mm256_permute2f128_ps::<0x31>(a, b)),
    load_groups |from: [&[f32]; 4]| {
        let (a, b) = (group_of_4(from[0]), group_of_4(from[1]));
        _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(a), b)
    },
    unzip_unordered unzip_halves_of_8,
    in_order middle_pairs_swapped,
    mask_unordered |bits: u32| mask_of_8(bits, _mm256_setr_epi32(0, 1, 4, 5, 2, 3, 6, 7)),
    prefetch_at |place| prefetch::<_, _MM_HINT_T1>(place),
    prefetch_near |place| prefetch::<_, _MM_HINT_T0>(place),
    add _mm256_add_ps,
    fma _mm256_fmadd_ps,
    // Of two zeros, or with a NaN, these instructions take their second operand.
    within |a, min, max| _mm256_min_ps(max, _mm256_max_ps(min, a)),
);

vectors!(
    Avx2, "avx2,fma", f64, __m256d, 4, masks __m256i, groups of 2, registers 16, panel 2, rows 6,
    splat _mm256_set1_pd,
    load |from: &[f64]| {
        let from: &[f64; 4] = from.first_chunk().expect("a whole vector");
        // SAFETY: four elements are read, and `from` has four.
        unsafe { _mm256_loadu_pd(from.as_ptr()) }
    },
    store |vector, to: &mut [f64]| {
        let to: &mut [f64; 4] = to.first_chunk_mut().expect("a whole vector");
        // SAFETY: four elements are written, and `to` has four.
        unsafe { _mm256_storeu_pd(to.as_mut_ptr(), vector) }
    },
    load_partial |from: &[f64]| {
        let mask = first_of_4(from.len());
        // SAFETY: lanes beyond the slice are masked off, and masked lanes are not accessed.
        unsafe { _mm256_maskload_pd(from.as_ptr(), mask) }
    },
    store_partial |vector, to: &mut [f64]| {
        match to.first_chunk_mut::<4>() {
            // SAFETY: four elements are written, and `to` has four.
            Some(to) => unsafe { _mm256_storeu_pd(to.as_mut_ptr(), vector) },
            None => store_up_to_3(vector, to),
        }
    },
    mask |bits: u32| mask_of_8(bits, _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3)),
    keep |vector, mask| _mm256_and_pd(vector, _mm256_castsi256_pd(mask)),
    zip |a, b| {
        let (low, high) = (_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b));
        (_mm256_permute2f128_pd::<0x20>(low, high), _mm256_permute2f128_pd::<0x31>(low, high))
    },
    unzip |a, b| {
        let (even, odd) = (_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b));
        (_mm256_permute4x64_pd::<SWAP_MIDDLE>(even), _mm256_permute4x64_pd::<SWAP_MIDDLE>(odd))
    },
    zip_groups |a, b| (_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b)),
    split_groups |a, b| (_mm256_permute2f128_pd::<0x20>(a, b), _mm256_permute2f128_pd::<0x31>(a, b)),
    load_groups |from: [&[f64]; 4]| {
        let (a, b) = (group_of_2(from[0]), group_of_2(from[1]));
        _mm256_insertf128_pd::<1>(_mm256_castpd128_pd256(a), b)
    },
    unzip_unordered |a, b| (_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b)),
    in_order |vector| _mm256_permute4x64_pd::<SWAP_MIDDLE>(vector),
    mask_unordered |bits: u32| mask_of_8(bits, _mm256_setr_epi32(0, 0, 2, 2, 1, 1, 3, 3)),
    prefetch_at |place| prefetch::<_, _MM_HINT_T1>(place),
    prefetch_near |place| prefetch::<_, _MM_HINT_T0>(place),
    add _mm256_add_pd,
    fma _mm256_fmadd_pd,
    // Of two zeros, or with a NaN, these instructions take their second operand.
    within |a, min, max| _mm256_min_pd(max, _mm256_max_pd(min, a)),
);

/// Changes places of the second and the third of four parts.
const SWAP_MIDDLE: i32 = 0b11_01_10_00;

/// Even and odd elements, within each half those of `a` before those of `b`.
#[inline]
#[target_feature(enable = "avx2")]
fn unzip_halves_of_8(a: __m256, b: __m256) -> (__m256, __m256) {
    (_mm256_shuffle_ps::<0b10_00_10_00>(a, b), _mm256_shuffle_ps::<0b11_01_11_01>(a, b))
}

/// Changes places of the second and the third pair.
#[inline]
#[target_feature(enable = "avx2")]
fn middle_pairs_swapped(vector: __m256) -> __m256 {
    _mm256_castpd_ps(_mm256_permute4x64_pd::<SWAP_MIDDLE>(_mm256_castps_pd(vector)))
}

/// All bits set in the lanes of which a bit is set, the lowest one or the one in its place in `order`. By shifts, since compilers repeat comparisons at each use of
/// a mask.
#[inline]
#[target_feature(enable = "avx2")]
fn mask_of_8(bits: u32, order: __m256i) -> __m256i {
    let to_sign = _mm256_sub_epi32(_mm256_set1_epi32(31), order);
    _mm256_srai_epi32::<31>(_mm256_sllv_epi32(_mm256_set1_epi32(bits as i32), to_sign))
}

/// All bits set in the first `count` of eight lanes, all lanes from eight on.
#[inline]
#[target_feature(enable = "avx2")]
fn first_of_8(count: usize) -> __m256i {
    let count = _mm256_set1_epi32(count.min(8) as i32);
    _mm256_cmpgt_epi32(count, _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))
}

/// All bits set in the first `count` of four lanes, all lanes from four on.
#[inline]
#[target_feature(enable = "avx2")]
fn first_of_4(count: usize) -> __m256i {
    let count = _mm256_set1_epi64x(count.min(4) as i64);
    _mm256_cmpgt_epi64(count, _mm256_setr_epi64x(0, 1, 2, 3))
}

/// The first lanes, by halves of what is left: masked stores take a dozen cycles and more on AMD's processors up to Zen 4.
#[inline]
#[target_feature(enable = "avx2")]
fn store_up_to_7(vector: __m256, to: &mut [f32]) {
    let mut four = _mm256_castps256_ps128(vector);
    let (fours, rest) = to.as_chunks_mut::<4>();
    if let Some(first) = fours.first_mut() {
        // SAFETY: four elements are written, and `first` has four.
        unsafe { _mm_storeu_ps(first.as_mut_ptr(), four) };
        four = _mm256_extractf128_ps::<1>(vector);
    }
    let (twos, rest) = rest.as_chunks_mut::<2>();
    if let Some(first) = twos.first_mut() {
        // SAFETY: two elements are written, and `first` has two.
        unsafe { _mm_storel_pd(first.as_mut_ptr().cast(), _mm_castps_pd(four)) };
        four = _mm_movehl_ps(four, four);
    }
    if let Some(last) = rest.first_mut() {
        *last = _mm_cvtss_f32(four);
    }
}

/// The same for elements of eight bytes.
#[inline]
#[target_feature(enable = "avx2")]
fn store_up_to_3(vector: __m256d, to: &mut [f64]) {
    let mut two = _mm256_castpd256_pd128(vector);
    let (twos, rest) = to.as_chunks_mut::<2>();
    if let Some(first) = twos.first_mut() {
        // SAFETY: two elements are written, and `first` has two.
        unsafe { _mm_storeu_pd(first.as_mut_ptr(), two) };
        two = _mm256_extractf128_pd::<1>(vector);
    }
    if let Some(last) = rest.first_mut() {
        *last = _mm_cvtsd_f64(two);
    }
}

vectors!(
    Avx512, "avx512f,avx512bw,avx512dq,avx512vl", f32, __m512, 16, masks u16, groups of 4, registers 32, panel 2, rows 8,
    splat _mm512_set1_ps,
    load |from: &[f32]| {
        let from: &[f32; 16] = from.first_chunk().expect("a whole vector");
        // SAFETY: sixteen elements are read, and `from` has sixteen.
        unsafe { _mm512_loadu_ps(from.as_ptr()) }
    },
    store |vector, to: &mut [f32]| {
        let to: &mut [f32; 16] = to.first_chunk_mut().expect("a whole vector");
        // SAFETY: sixteen elements are written, and `to` has sixteen.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), vector) }
    },
    load_partial |from: &[f32]| {
        let mask = first_lanes(from.len());
        // SAFETY: lanes beyond the slice are masked off, and masked lanes are not accessed.
        unsafe { _mm512_maskz_loadu_ps(mask, from.as_ptr()) }
    },
    store_partial |vector, to: &mut [f32]| {
        let mask = first_lanes(to.len());
        // SAFETY: lanes beyond the slice are masked off, and masked lanes are not accessed.
        unsafe { _mm512_mask_storeu_ps(to.as_mut_ptr(), mask, vector) }
    },
    mask |bits| bits as u16,
    keep |vector, mask| _mm512_maskz_mov_ps(mask, vector),
    zip |a, b| {
        let low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
        let high = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
        (_mm512_permutex2var_ps(a, low, b), _mm512_permutex2var_ps(a, high, b))
    },
    unzip |a, b| {
        let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
        let odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
        (_mm512_permutex2var_ps(a, even, b), _mm512_permutex2var_ps(a, odd, b))
    },
    zip_groups |a, b| (_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b)),
    split_groups |a, b| (_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xdd>(a, b)),
    load_groups |from: [&[f32]; 4]| {
        let (a, b) = (group_of_4(from[0]), group_of_4(from[1]));
        let (c, d) = (group_of_4(from[2]), group_of_4(from[3]));
        let vector = _mm512_insertf32x4::<1>(_mm512_castps128_ps512(a), b);
        _mm512_insertf32x4::<3>(_mm512_insertf32x4::<2>(vector, c), d)
    },
    prefetch_at |place| prefetch::<_, _MM_HINT_T1>(place),
    prefetch_near |place| prefetch::<_, _MM_HINT_T0>(place),
    add _mm512_add_ps,
    fma _mm512_fmadd_ps,
    // Of two zeros, or with a NaN, these instructions take their second operand.
    within |a, min, max| _mm512_min_ps(max, _mm512_max_ps(min, a)),
    load_halves |a: &[f32], b: &[f32]| {
        let [a, b]: [&[f32; 8]; 2] = [a, b].map(|half| half.first_chunk().expect("half a vector"));
        // SAFETY: eight elements are read of each, and each has eight.
        let (a, b) = unsafe { (_mm256_loadu_ps(a.as_ptr()), _mm256_loadu_ps(b.as_ptr())) };
        _mm512_insertf32x8::<1>(_mm512_castps256_ps512(a), b)
    },
    splat_halves |a: f32, b: f32| _mm512_mask_blend_ps(0xff00, _mm512_set1_ps(a), _mm512_set1_ps(b)),
    store_halves |vector, a: &mut [f32], b: &mut [f32]| {
        let (in_a, in_b) = (first_lanes(a.len().min(8)) as __mmask8, first_lanes(b.len().min(8)) as __mmask8);
        // SAFETY: lanes beyond the slices are masked off, and masked lanes are not accessed.
        unsafe {
            _mm256_mask_storeu_ps(a.as_mut_ptr(), in_a, _mm512_castps512_ps256(vector));
            _mm256_mask_storeu_ps(b.as_mut_ptr(), in_b, _mm512_extractf32x8_ps::<1>(vector));
        }
    },
    shift |a: __m512, b: __m512, first: usize| shifted!("valignd", __m512, a, b, first, 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15),
);

vectors!(
    Avx512, "avx512f,avx512bw,avx512dq,avx512vl", f64, __m512d, 8, masks u8, groups of 2, registers 32, panel 2, rows 8,
    splat _mm512_set1_pd,
    load |from: &[f64]| {
        let from: &[f64; 8] = from.first_chunk().expect("a whole vector");
        // SAFETY: eight elements are read, and `from` has eight.
        unsafe { _mm512_loadu_pd(from.as_ptr()) }
    },
    store |vector, to: &mut [f64]| {
        let to: &mut [f64; 8] = to.first_chunk_mut().expect("a whole vector");
        // SAFETY: eight elements are written, and `to` has eight.
        unsafe { _mm512_storeu_pd(to.as_mut_ptr(), vector) }
    },
    load_partial |from: &[f64]| {
        let mask = first_lanes(from.len()) as __mmask8;
        // SAFETY: lanes beyond the slice are masked off, and masked lanes are not accessed.
        unsafe { _mm512_maskz_loadu_pd(mask, from.as_ptr()) }
    },
    store_partial |vector, to: &mut [f64]| {
        let mask = first_lanes(to.len()) as __mmask8;
        // SAFETY: lanes beyond the slice are masked off, and masked lanes are not accessed.
        unsafe { _mm512_mask_storeu_pd(to.as_mut_ptr(), mask, vector) }
    },
    mask |bits| bits as u8,
    keep |vector, mask| _mm512_maskz_mov_pd(mask, vector),
    zip |a, b| {
        let (low, high) = (_mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11), _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15));
        (_mm512_permutex2var_pd(a, low, b), _mm512_permutex2var_pd(a, high, b))
    },
    unzip |a, b| {
        let (even, odd) = (_mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14), _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15));
        (_mm512_permutex2var_pd(a, even, b), _mm512_permutex2var_pd(a, odd, b))
    },
    zip_groups |a, b| (_mm512_unpacklo_pd(a, b), _mm512_unpackhi_pd(a, b)),
    split_groups |a, b| (_mm512_shuffle_f64x2::<0x88>(a, b), _mm512_shuffle_f64x2::<0xdd>(a, b)),
    load_groups |from: [&[f64]; 4]| {
        let (a, b) = (group_of_2(from[0]), group_of_2(from[1]));
        let (c, d) = (group_of_2(from[2]), group_of_2(from[3]));
        let vector = _mm512_insertf64x2::<1>(_mm512_castpd128_pd512(a), b);
        _mm512_insertf64x2::<3>(_mm512_insertf64x2::<2>(vector, c), d)
    },
    prefetch_at |place| prefetch::<_, _MM_HINT_T1>(place),
    prefetch_near |place| prefetch::<_, _MM_HINT_T0>(place),
    add _mm512_add_pd,
    fma _mm512_fmadd_pd,
    // Of two zeros, or with a NaN, these instructions take their second operand.
    within |a, min, max| _mm512_min_pd(max, _mm512_max_pd(min, a)),
    load_halves |a: &[f64], b: &[f64]| {
        let [a, b]: [&[f64; 4]; 2] = [a, b].map(|half| half.first_chunk().expect("half a vector"));
        // SAFETY: four elements are read of each, and each has four.
        let (a, b) = unsafe { (_mm256_loadu_pd(a.as_ptr()), _mm256_loadu_pd(b.as_ptr())) };
        _mm512_insertf64x4::<1>(_mm512_castpd256_pd512(a), b)
    },
    splat_halves |a: f64, b: f64| _mm512_mask_blend_pd(0xf0, _mm512_set1_pd(a), _mm512_set1_pd(b)),
    store_halves |vector, a: &mut [f64], b: &mut [f64]| {
        let (in_a, in_b) = (first_lanes(a.len().min(4)) as __mmask8, first_lanes(b.len().min(4)) as __mmask8);
        // SAFETY: lanes beyond the slices are masked off, and masked lanes are not accessed.
        unsafe {
            _mm256_mask_storeu_pd(a.as_mut_ptr(), in_a, _mm512_castpd512_pd256(vector));
            _mm256_mask_storeu_pd(b.as_mut_ptr(), in_b, _mm512_extractf64x4_pd::<1>(vector));
        }
    },
    shift |a: __m512d, b: __m512d, first: usize| shifted!("valignq", __m512d, a, b, first, 1 2 3 4 5 6 7),
);

/// Bytes of the second-level cache, by what the processor says: 0 if it does not. It is asked once, since virtual machines answer slowly.
pub(super) fn second_level_cache() -> usize {
    const LAST_LEAF: u32 = 0x8000_0000;
    const CACHES: u32 = 0x8000_0006;
    static BYTES: OnceLock<usize> = OnceLock::new();
    #[allow(unused_unsafe, reason = "safe in newer versions of Rust")]
    // SAFETY: all 64-bit processors have the instruction.
    let ask = |leaf| unsafe { __cpuid(leaf) };
    *BYTES.get_or_init(|| if ask(LAST_LEAF).eax < CACHES { 0 } else { (ask(CACHES).ecx >> 16 << 10) as usize })
}

/// One bit for each of the first `count` of sixteen lanes.
#[inline]
fn first_lanes(count: usize) -> __mmask16 {
    if count >= 16 { !0 } else { (1 << count) - 1 }
}

/// Asks for a cache line without waiting for it.
#[inline]
#[target_feature(enable = "sse")]
fn prefetch<T, const HINT: i32>(place: *const T) {
    _mm_prefetch::<HINT>(place.cast());
}

/// The first four elements; panics where there are fewer.
#[inline]
#[target_feature(enable = "sse")]
fn group_of_4(from: &[f32]) -> __m128 {
    let from: &[f32; 4] = from.first_chunk().expect("a group");
    // SAFETY: four elements are read, and `from` has four.
    unsafe { _mm_loadu_ps(from.as_ptr()) }
}

/// The first two elements; panics where there are fewer.
#[inline]
#[target_feature(enable = "sse2")]
fn group_of_2(from: &[f64]) -> __m128d {
    let from: &[f64; 2] = from.first_chunk().expect("a group");
    // SAFETY: two elements are read, and `from` has two.
    unsafe { _mm_loadu_pd(from.as_ptr()) }
}
