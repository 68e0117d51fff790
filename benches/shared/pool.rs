//! The threads that are timed.

use std::error::Error;

/// Makes this thread one of a pool of `threads`, for as long as the result lives.
///
/// Then no call is handed over to another thread, and with one thread nothing ever leaves this one.
#[cfg(feature = "rayon")]
pub(crate) fn enter_pool(threads: usize) -> Result<impl Sized, Box<dyn Error>> {
    Ok(rayon::ThreadPoolBuilder::new().num_threads(threads).use_current_thread().build()?)
}

#[cfg(not(feature = "rayon"))]
pub(crate) fn enter_pool(threads: usize) -> Result<impl Sized, Box<dyn Error>> {
    if threads > 1 { Err("more than one thread needs the feature rayon".into()) } else { Ok(()) }
}
