//! Configurations travel as data.
#![cfg(feature = "serde")]

use ndconv::{Conv2d, Numerics, Padding, PaddingMode};

#[test]
fn configurations_round_trip() {
    for padding in [Padding::Sides([1, 2, 3, 4]), Padding::Valid, Padding::SameUpper, Padding::SameLower] {
        let config = Conv2d::new(4, 6, [3, 5])
            .stride([2, 1])
            .padding(padding)
            .padding_mode(PaddingMode::Reflect)
            .dilation(2)
            .groups(2)
            .bias(false)
            .output_padding([1, 0])
            .numerics(Numerics::Fast);
        let text = serde_json::to_string(&config).expect("a text");
        assert_eq!(serde_json::from_str::<Conv2d>(&text).expect("a configuration"), config, "{text}");
    }
}
