//! Random values, the same every time.

use ndarray::Array4;

/// A small generator, xorshift64*, and for normal values the method of Box and Muller.
pub(crate) struct Random {
    state: u64,
    spare: Option<f32>,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, spare: None }
    }

    /// In 0 to 1, without 0.
    pub(crate) fn uniform(&mut self) -> f32 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let bits = self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40;
        (bits + 1) as f32 / (1 << 24) as f32
    }

    /// With mean 0 and deviation 1.
    pub(crate) fn normal(&mut self) -> f32 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        let (radius, angle) = ((-2.0 * self.uniform().ln()).sqrt(), std::f32::consts::TAU * self.uniform());
        self.spare = Some(radius * angle.sin());
        radius * angle.cos()
    }

    pub(crate) fn normals(&mut self, shape: [usize; 4]) -> Array4<f32> {
        Array4::from_shape_simple_fn(shape, || self.normal())
    }
}
