//! What real layers are computed with. What is fastest, `cargo bench --bench planner` says.

use ndconv::ndarray::Array4;
use ndconv::{Algorithm, Conv2d, Conv2dLayer, Element, Error, Isa, Numerics, Options};

/// The choice for one image, with the instruction set that has vectors if this machine has any.
fn choice<T: Element>(config: Conv2d, [height, width]: [usize; 2]) -> Algorithm {
    let config = config.bias(false);
    let weight = Array4::<T>::zeros(config.weight_shape());
    let layer = Conv2dLayer::new(&config, &weight, None).expect("a layer");
    layer.algorithm([1, config.in_channels, height, width]).expect("an input that fits")
}

#[test]
fn depthwise_layers_and_filters_are_direct() {
    assert_eq!(choice::<f32>(Conv2d::depthwise(96, 3).padding(1), [112, 112]), Algorithm::Direct);
    assert_eq!(choice::<f32>(Conv2d::depthwise(384, 7).padding(3), [14, 14]), Algorithm::Direct);
    assert_eq!(choice::<u8>(Conv2d::new(1, 1, 5).padding(2), [1080, 1920]), Algorithm::Direct);
    assert_eq!(choice::<f64>(Conv2d::new(3, 1, 1), [480, 640]), Algorithm::Direct);
    // A few channels of each, where registers are few.
    let several = Conv2d::new(16, 64, 3).groups(16).padding(1);
    let strided = Conv2d::new(16, 96, 5).groups(16).stride(2).padding(2);
    for config in [several.dilation(2).padding(2), several.stride(2), strided] {
        let direct = choice::<f32>(config, [28, 28]) == Algorithm::Direct;
        assert_eq!(direct, Isa::best().name() == "avx2", "{config:?}");
    }
}

#[test]
fn dense_layers_are_products() {
    if Isa::best() == Isa::SCALAR {
        println!("skipped: this machine has no vectors");
        return;
    }
    let channels = [
        choice::<f32>(Conv2d::new(64, 64, 3).padding(1), [56, 56]),
        choice::<f32>(Conv2d::new(512, 512, 3).padding(1), [7, 7]),
    ];
    assert_eq!(channels, [Algorithm::GemmChannels; 2]);
    // Channels in any case; the tiles of AVX2 are too small to wait for pixels that lie far apart.
    let pointwise = choice::<f64>(Conv2d::pointwise(512, 2048), [7, 7]);
    let small = Isa::best().name() == "avx2";
    assert_eq!(pointwise, if small { Algorithm::GatheredChannels } else { Algorithm::GemmChannels });
    // Two of a vector's lanes would be channels.
    assert_eq!(choice::<f32>(Conv2d::pointwise(64, 2), [256, 256]), Algorithm::GemmPixels);
    assert_eq!(choice::<i32>(Conv2d::new(64, 64, 3).padding(1), [56, 56]), Algorithm::GemmPixels);
}

#[test]
fn integers_have_no_channel_tiles() {
    let options = Options::<i16>::new().algorithm(Algorithm::GemmChannels);
    let config = Conv2d::new(8, 8, 3).bias(false);
    let error = Conv2dLayer::with_options(&config, &Array4::zeros((8, 8, 3, 3)), None, options).unwrap_err();
    assert!(matches!(error, Error::Unsupported { argument: "algorithm", .. }));
    let text = "algorithm is gemm-channels, expected direct or gemm-pixels: this element type has no vectors in this instruction set";
    assert_eq!(error.to_string(), text);
}

#[test]
fn other_orders_run_where_they_are_admitted() {
    if Isa::best() == Isa::SCALAR {
        println!("skipped: this machine has no vectors");
        return;
    }
    let dense = |numerics| choice::<f32>(Conv2d::new(64, 64, 3).padding(1).numerics(numerics), [56, 56]);
    assert_eq!(dense(Numerics::Exact), Algorithm::GemmChannels);
    assert!(matches!(dense(Numerics::Fast), Algorithm::Winograd([rows, columns]) if rows >= 4 && columns >= 4));
    // Proven for 64 channels: 640 eps for tiles of 2 x 2, more for all others.
    assert_eq!(dense(Numerics::Within(500)), Algorithm::GemmChannels);
    assert_eq!(dense(Numerics::Within(700)), Algorithm::Winograd([2, 2]));
    // With a stride, too.
    let halved = Conv2d::new(64, 128, 5).stride(2).padding(2).numerics(Numerics::Fast);
    assert!(matches!(choice::<f32>(halved, [56, 56]), Algorithm::Winograd(_)));
    // Where there is nothing to gain, or no such algorithm.
    for (config, size) in [
        (Conv2d::new(3, 64, 3).padding(1), [224, 224]),
        (Conv2d::pointwise(64, 64), [56, 56]),
        (Conv2d::depthwise(64, 3), [56, 56]),
        (Conv2d::new(64, 64, 3).dilation(2), [56, 56]),
        (Conv2d::new(64, 64, 2).stride(2), [56, 56]),
    ] {
        assert_eq!(choice::<f32>(config.numerics(Numerics::Fast), size), choice::<f32>(config, size), "{config:?}");
    }
}

#[cfg(feature = "fft")]
#[test]
fn large_kernels_are_transformed() {
    let fast = |config: Conv2d, size| choice::<f64>(config.numerics(Numerics::Fast), size);
    assert_eq!(fast(Conv2d::new(1, 1, 63).padding(31), [1024, 1024]), Algorithm::Fft);
    assert_eq!(fast(Conv2d::depthwise(64, 31).padding(15), [56, 56]), Algorithm::Fft);
    assert_eq!(fast(Conv2d::new(1, 1, 5).padding(2), [1024, 1024]), Algorithm::Direct);
    assert_eq!(choice::<f32>(Conv2d::new(1, 1, 63).padding(31), [1024, 1024]), Algorithm::Direct);
}

#[test]
fn tilings_are_those_of_the_kernel() {
    if Isa::best() == Isa::SCALAR {
        println!("skipped: this machine has no vectors");
        return;
    }
    let error = |config: Conv2d| {
        let options = Options::<f32>::new().algorithm(Algorithm::Winograd([3, 3]));
        let weight = Array4::zeros(config.weight_shape());
        Conv2dLayer::with_options(&config.bias(false), &weight, None, options).unwrap_err().to_string()
    };
    let text = "algorithm is winograd-3x3, expected one of winograd-2x2, winograd-2x4, winograd-4x2, winograd-4x4, \
                or one that sums in the exact order";
    assert_eq!(error(Conv2d::new(8, 8, 5)), text);
    assert!(error(Conv2d::new(8, 8, 3).dilation(2)).contains("there is no other"));
}
