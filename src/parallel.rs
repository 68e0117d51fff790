//! The one place that knows rayon: without the feature `rayon` everything runs on the calling thread.

/// Threads that a call may use: those of the current rayon pool.
pub(crate) fn threads() -> usize {
    #[cfg(feature = "rayon")]
    {
        rayon::current_num_threads()
    }
    #[cfg(not(feature = "rayon"))]
    {
        1
    }
}

/// Calls `work` on every item, each worker taking the next item when it is done with one.
///
/// Every worker has a state of its own. With one worker it is a plain loop on the calling thread.
pub(crate) fn for_each<I, W, F>(items: I, workers: &mut [W], work: F)
where
    I: Iterator + Send,
    W: Send,
    F: Fn(I::Item, &mut W) + Sync,
{
    let [first, others @ ..] = workers else { return };
    if others.is_empty() {
        return items.for_each(|item| work(item, first));
    }
    #[cfg(feature = "rayon")]
    {
        let items = std::sync::Mutex::new(items);
        // A poisoned lock means that making an item panicked: the panic itself travels through the scope.
        let next = || items.lock().ok()?.next();
        let drain = |state: &mut W| {
            while let Some(item) = next() {
                work(item, state);
            }
        };
        rayon::scope(|scope| {
            for state in others {
                scope.spawn(|_| drain(state));
            }
            drain(first);
        });
    }
    #[cfg(not(feature = "rayon"))]
    items.for_each(|item| work(item, first));
}
