//! Peak memory, counted by an allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use ndarray::{Array1, Array4};
use ndconv::{
    Activation, Conv2d, Conv2dLayer, ConvTranspose2dLayer, DeformConv2dLayer, DeformInput, InvertedResidualLayer,
    InvertedResidualWeights, Numerics, Options, Workspace,
};

mod common;
use common::on_threads;

struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static CALLS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is forwarded to the system's allocator; counting touches no memory of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, SeqCst);
        let held = HELD.fetch_add(layout.size(), SeqCst) + layout.size();
        PEAK.fetch_max(held, SeqCst);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), SeqCst);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most bytes held at a time during `run`, beyond those held before.
fn peak_of<R>(run: impl FnOnce() -> R) -> (R, usize) {
    let before = HELD.load(SeqCst);
    PEAK.store(before, SeqCst);
    let result = run();
    (result, PEAK.load(SeqCst) - before)
}

const MIB: usize = 1 << 20;

/// One test, since the counters are the process's.
#[test]
fn memory_is_bounded_and_can_be_kept() {
    large_layer();
    independent_of_size();
    no_allocation_in_a_kept_workspace();
    other_orders_are_bounded_too();
    deformable_samples_in_blocks();
    nothing_between_the_steps();
}

/// Peak memory is the output, the packed weights and at most 2 MiB for each thread.
fn large_layer() {
    let config = Conv2d::new(64, 64, 3).padding(1);
    let input = Array4::from_elem((1, 64, 1024, 1024), 0.5f32);
    let weight = Array4::from_elem((64, 64, 3, 3), 0.25f32);
    let bias = Array1::from_elem(64, 1.0f32);
    for threads in [1, 2] {
        let (corner, peak) = on_threads(threads, || {
            peak_of(|| {
                let layer = Conv2dLayer::new(&config, &weight, Some(&bias)).expect("a layer");
                layer.run(&input).expect("an output")[[0, 0, 0, 0]]
            })
        });
        assert_eq!(corner, 1.0 + 64.0 * 4.0 * 0.125);
        let needed = (64 * 1024 * 1024 + weight.len()) * size_of::<f32>();
        println!("{threads} threads: {} KiB beyond output and weights", (peak - needed) / 1024);
        assert!(peak <= needed + threads * 2 * MIB, "{} bytes beyond output and weights", peak - needed);
    }
}

/// Working memory does not grow with batch, height or width.
fn independent_of_size() {
    let config = Conv2d::new(16, 16, 3).padding(1).bias(false);
    let weight = Array4::from_elem((16, 16, 3, 3), 0.25f64);
    let bytes = |shape: [usize; 4], transposed: bool| {
        on_threads(1, || {
            let mut workspace = Workspace::new();
            let input = Array4::<f64>::zeros(shape);
            let mut output = Array4::zeros(shape);
            if transposed {
                let layer = ConvTranspose2dLayer::new(&config, &weight, None).expect("a layer");
                layer.run_into_with(&input, &mut output, &mut workspace).expect("an output");
            } else {
                let layer = Conv2dLayer::new(&config, &weight, None).expect("a layer");
                layer.run_into_with(&input, &mut output, &mut workspace).expect("an output");
            }
            workspace.bytes()
        })
    };
    for transposed in [false, true] {
        for shape in [[1, 16, 8, 8], [9, 16, 64, 64], [1, 16, 3, 40_000], [1, 16, 40_000, 3], [1, 16, 500, 700]] {
            assert!(bytes(shape, transposed) <= 2 * MIB, "{shape:?}: {}", bytes(shape, transposed));
        }
    }
}

/// Nor is there ever a column matrix, or a copy of the image: those would be 40 MiB and 4 MiB.
fn deformable_samples_in_blocks() {
    let config = Conv2d::new(16, 16, 3).padding(1).bias(false);
    let weight = Array4::from_elem((16, 16, 3, 3), 0.25f32);
    let layer = DeformConv2dLayer::new(&config, &weight, None).expect("a layer");
    let (input, offset) = (Array4::<f32>::ones((1, 16, 260, 280)), Array4::from_elem((1, 18, 260, 280), 0.5f32));
    let tensors = DeformInput { input: &input, offset: &offset, mask: None };
    let mut output = Array4::zeros((1, 16, 260, 280));
    for threads in [1, 2] {
        let mut workspace = Workspace::new();
        let peak = on_threads(threads, || {
            peak_of(|| {
                layer.run_into_with(tensors, &mut output, &mut workspace).expect("an output");
                output[[0, 0, 9, 9]]
            })
        });
        assert_eq!(peak.0, 16.0 * 9.0 * 0.25);
        assert!(peak.1 <= threads * 2 * MIB, "{} bytes", peak.1);
    }
    let mut workspace = Workspace::new();
    let allocations = on_threads(1, || {
        layer.run_into_with(tensors, &mut output, &mut workspace).expect("an output");
        let before = CALLS.load(SeqCst);
        layer.run_into_with(tensors, &mut output, &mut workspace).expect("an output");
        CALLS.load(SeqCst) - before
    });
    assert_eq!(allocations, 0);
}

/// With a kept workspace and a caller's output a call on one thread allocates nothing.
fn no_allocation_in_a_kept_workspace() {
    let config = Conv2d::new(8, 8, 3).padding(1).bias(false);
    let layer = Conv2dLayer::new(&config, &Array4::from_elem((8, 8, 3, 3), 0.25f32), None).expect("a layer");
    let (input, mut output) = (Array4::<f32>::zeros((1, 8, 16, 16)), Array4::zeros((1, 8, 16, 16)));
    let mut workspace = Workspace::new();
    let allocations = on_threads(1, || {
        layer.run_into_with(&input, &mut output, &mut workspace).expect("an output");
        let before = CALLS.load(SeqCst);
        for _ in 0..10 {
            layer.run_into_with(&input, &mut output, &mut workspace).expect("an output");
        }
        CALLS.load(SeqCst) - before
    });
    assert_eq!(allocations, 0);
}

/// Fast numerics keep values at points, or spectra, of a bounded part of the image.
fn other_orders_are_bounded_too() {
    let dense = Conv2d::new(64, 64, 3).padding(1);
    let filter = Conv2d::new(1, 1, 31).padding(15);
    for (config, limit) in [(dense, 4 * MIB), (filter, 12 * MIB)] {
        let config = config.bias(false).numerics(Numerics::Fast);
        let weight = Array4::from_elem(config.weight_shape(), 0.25f32);
        let layer = Conv2dLayer::new(&config, &weight, None).expect("a layer");
        for [height, width] in [[200, 200], [1100, 300], [64, 9000]] {
            let shape = (1, config.in_channels, height, width);
            let (input, mut output) = (Array4::<f32>::zeros(shape), Array4::zeros(shape));
            let mut workspace = Workspace::new();
            let again = on_threads(1, || {
                layer.run_into_with(&input, &mut output, &mut workspace).expect("an output");
                let before = CALLS.load(SeqCst);
                layer.run_into_with(&input, &mut output, &mut workspace).expect("an output");
                CALLS.load(SeqCst) - before
            });
            println!("{config:?} {height}x{width}: {} KiB", workspace.bytes() / 1024);
            assert!(workspace.bytes() <= limit, "{height}x{width}: {} bytes", workspace.bytes());
            assert_eq!(again, 0, "allocations of the second call");
        }
    }
}

/// What lies between the steps of a block is never there as a whole: here 39 MiB after the first and as many after the second.
fn nothing_between_the_steps() {
    let config = Conv2d::new(16, 16, 3).padding(1).bias(false);
    let ones = |shape: (usize, usize, usize, usize)| Array4::from_elem(shape, 1.0f32);
    let (expand, depthwise, project) = (ones((160, 16, 1, 1)), ones((160, 1, 3, 3)), ones((16, 160, 1, 1)));
    let weights = InvertedResidualWeights {
        expand: Some(&expand),
        expand_bias: None,
        depthwise: &depthwise,
        depthwise_bias: None,
        project: &project,
        bias: None,
    };
    let layer = InvertedResidualLayer::new(&config, weights, Activation::Relu, true, Options::new()).expect("a layer");
    let input = ones((1, 16, 256, 256));
    for threads in [1, 2] {
        let (middle, peak) = on_threads(threads, || peak_of(|| layer.run(&input).expect("an output")[[0, 0, 9, 9]]));
        assert_eq!(middle, (16 * 9 * 160 + 1) as f32);
        let needed = 16 * 256 * 256 * size_of::<f32>();
        assert!(peak <= needed + threads * 2 * MIB, "{} bytes beyond the output", peak - needed);
    }
}
