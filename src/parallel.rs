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

/// Calls `work` on every item, each worker with a state of its own.
///
/// The items are dealt out in runs of neighbours, one run for each worker, so that call after call a thread comes back to
/// the memory that its cache holds. A worker that is done takes from the far end of another one's run.
/// With one worker it is a plain loop on the calling thread.
pub(crate) fn for_each<I, W, F>(items: I, workers: &mut [W], work: F)
where
    I: Iterator<Item: Send> + Send,
    W: Send,
    F: Fn(I::Item, &mut W) + Sync,
{
    let [first, others @ ..] = workers else { return };
    if others.is_empty() {
        return items.for_each(|item| work(item, first));
    }
    #[cfg(feature = "rayon")]
    share(items, first, others, work);
    #[cfg(not(feature = "rayon"))]
    items.for_each(|item| work(item, first));
}

#[cfg(feature = "rayon")]
fn share<T: Send, W: Send>(
    items: impl Iterator<Item = T>,
    first: &mut W,
    others: &mut [W],
    work: impl Fn(T, &mut W) + Sync,
) {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    let mut rest: VecDeque<T> = items.collect();
    let workers = others.len() + 1;
    let runs: Vec<Mutex<VecDeque<T>>> = (0..workers)
        .map(|worker| {
            let later = rest.split_off(rest.len().div_ceil(workers - worker));
            Mutex::new(std::mem::replace(&mut rest, later))
        })
        .collect();
    // A poisoned lock means that another worker panicked: its panic travels through the scope.
    let own = |worker: usize| runs[worker].lock().ok()?.pop_front();
    let taken = |worker: usize| (1..workers).find_map(|next| runs[(worker + next) % workers].lock().ok()?.pop_back());
    let drain = |worker: usize, state: &mut W| {
        while let Some(item) = own(worker).or_else(|| taken(worker)) {
            work(item, state);
        }
    };
    rayon::scope(|scope| {
        for (state, worker) in others.iter_mut().zip(1..) {
            let drain = &drain;
            scope.spawn(move |_| drain(worker, state));
        }
        drain(0, first);
    });
}

#[cfg(all(test, feature = "rayon"))]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn every_item_is_worked_on_once() {
        for (items, workers) in [(0, 3), (1, 3), (7, 3), (1000, 8), (5, 1)] {
            let seen: Vec<AtomicUsize> = (0..items).map(|_| AtomicUsize::new(0)).collect();
            let mut states = vec![0; workers];
            for_each(0..items, &mut states, |item, state| {
                *state += 1;
                seen[item].fetch_add(1, Ordering::Relaxed);
            });
            assert!(seen.iter().all(|count| count.load(Ordering::Relaxed) == 1));
            assert_eq!(states.iter().sum::<usize>(), items);
        }
    }
}
