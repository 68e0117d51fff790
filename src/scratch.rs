//! Working memory: a constant per thread, which the caller may keep from call to call.

use num_complex::Complex;

use crate::aligned::Aligned;
use crate::element::Element;
use crate::gemm::Layouts;

/// Working memory that a layer's `run_into_with` uses, one buffer per thread.
///
/// It grows to what a call needs and keeps it. What a call needs does not depend on the batch, the
/// height or the width beyond a limit of 2 MiB per thread for the usual numbers of channels; in [`Numerics::Fast`](crate::Numerics::Fast)
/// 12 MiB.
///
/// ```
/// use ndconv::{Conv2d, Conv2dLayer, Workspace};
/// use ndarray::Array4;
///
/// let config = Conv2d::new(3, 8, 3).padding(1).bias(false);
/// let layer = Conv2dLayer::new(&config, &Array4::<f32>::zeros((8, 3, 3, 3)), None)?;
/// let mut workspace = Workspace::new();
/// let mut output = Array4::zeros((1, 8, 32, 32));
/// for _ in 0..10 {
///     // Allocates in the first call only.
///     layer.run_into_with(&Array4::zeros((1, 3, 32, 32)), &mut output, &mut workspace)?;
/// }
/// assert!(workspace.bytes() > 0);
/// # Ok::<(), ndconv::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Workspace<T> {
    buffers: Vec<Buffer<T>>,
}

impl<T: Element> Workspace<T> {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Workspace { buffers: Vec::new() }
    }

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.buffers.iter().map(Buffer::bytes).sum()
    }

    /// Buffers of at least `len` elements, one for each worker.
    pub(crate) fn buffers(&mut self, workers: usize, len: usize) -> &mut [Buffer<T>] {
        if self.buffers.len() < workers {
            self.buffers.resize_with(workers, || Buffer {
                elements: Aligned::default(),
                layouts: Layouts::default(),
                indices: Vec::new(),
                complex: Vec::new(),
            });
        }
        let buffers = &mut self.buffers[..workers];
        buffers.iter_mut().for_each(|buffer| buffer.start(len));
        buffers
    }
}

impl<T: Element> Default for Workspace<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// One worker's memory.
#[derive(Clone, Debug)]
pub(crate) struct Buffer<T> {
    elements: Aligned<T>,
    layouts: Layouts,
    indices: Vec<u32>,
    complex: Vec<Complex<T>>,
}

/// A worker's memory, as much as a call asked for.
pub(crate) struct Scratch<'a, T> {
    /// Aligned to a cache line.
    pub(crate) elements: &'a mut [T],
    pub(crate) layouts: &'a mut Layouts,
    /// Of whatever length.
    pub(crate) indices: &'a mut Vec<u32>,
    /// Of whatever length.
    pub(crate) complex: &'a mut Vec<Complex<T>>,
}

impl<T> Scratch<'_, T> {
    /// For one of several users, one after the other.
    pub(crate) fn reborrow(&mut self) -> Scratch<'_, T> {
        Scratch { elements: self.elements, layouts: self.layouts, indices: self.indices, complex: self.complex }
    }

    /// The first `len` elements, and the rest.
    pub(crate) fn split(&mut self, len: usize) -> (&mut [T], Scratch<'_, T>) {
        let (first, rest) = self.elements.split_at_mut(len);
        (first, Scratch { elements: rest, layouts: self.layouts, indices: self.indices, complex: self.complex })
    }
}

impl<T: Element> Buffer<T> {
    fn bytes(&self) -> usize {
        self.elements.held() * size_of::<T>()
            + self.layouts.bytes()
            + self.indices.capacity() * size_of::<u32>()
            + self.complex.capacity() * size_of::<Complex<T>>()
    }

    /// Before a call that needs so many elements.
    fn start(&mut self, len: usize) {
        self.layouts.start();
        if self.elements.elements().len() < len {
            self.elements = Aligned::filled(T::ZERO, len);
        }
    }

    pub(crate) fn scratch(&mut self) -> Scratch<'_, T> {
        Scratch {
            elements: self.elements.elements_mut(),
            layouts: &mut self.layouts,
            indices: &mut self.indices,
            complex: &mut self.complex,
        }
    }
}
