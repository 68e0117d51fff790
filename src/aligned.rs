//! Elements that begin at a cache line.

/// A cache line, and a vector of the widest instruction set.
const ALIGNMENT: usize = 64;

/// A slice of the heap whose first element is aligned to a cache line: no vector of it needs two lines.
#[derive(Debug)]
pub(crate) struct Aligned<T> {
    storage: Vec<T>,
    skip: usize,
    len: usize,
}

impl<T: Clone> Aligned<T> {
    /// So many elements, all the same.
    pub(crate) fn filled(value: T, len: usize) -> Self {
        let storage = vec![value; len + ALIGNMENT / size_of::<T>()];
        // An allocator may refuse to say; then the elements are where they are.
        let skip = storage.as_ptr().align_offset(ALIGNMENT).min(storage.len() - len);
        Aligned { storage, skip, len }
    }

    pub(crate) fn elements(&self) -> &[T] {
        &self.storage[self.skip..self.skip + self.len]
    }

    pub(crate) fn elements_mut(&mut self) -> &mut [T] {
        &mut self.storage[self.skip..self.skip + self.len]
    }

    /// Elements that memory is held for.
    pub(crate) fn held(&self) -> usize {
        self.storage.len()
    }
}

/// The copy is aligned in its own memory.
impl<T: Clone> Clone for Aligned<T> {
    fn clone(&self) -> Self {
        let Some(first) = self.elements().first() else { return Aligned { storage: Vec::new(), skip: 0, len: 0 } };
        let mut copy = Aligned::filled(first.clone(), self.len);
        copy.elements_mut().clone_from_slice(self.elements());
        copy
    }
}

impl<T> Default for Aligned<T> {
    fn default() -> Self {
        Aligned { storage: Vec::new(), skip: 0, len: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_aligned_too() {
        for len in 0..100 {
            let mut elements = Aligned::filled(0.0f32, len);
            elements.elements_mut().iter_mut().zip(0..).for_each(|(to, index)| *to = index as f32);
            let copy = elements.clone();
            assert_eq!(copy.elements(), elements.elements());
            for elements in [elements, copy] {
                assert_eq!(elements.elements().len(), len);
                assert!(len == 0 || elements.elements().as_ptr().addr().is_multiple_of(ALIGNMENT));
            }
        }
    }
}
