//! A bitmap font for captions: printable ASCII, five columns by seven rows and a row for descenders.

use crate::picture::{Picture, Rgb};

/// Pixels from one character to the next.
pub(crate) const ADVANCE: usize = 6;
/// Rows of a character.
pub(crate) const HEIGHT: usize = 8;
/// Columns of a character.
const WIDTH: usize = 5;

/// One character each from space to tilde: bit `5 * row + column`, the top left pixel lowest.
#[rustfmt::skip]
const GLYPHS: [u64; 95] = [
    0x0000000000, 0x0100421084, 0x000000294a, 0x0295f57d4a, 0x011f4717c4, 0x0672222273, 0x0593511526, 0x0000001084,
    0x0208210888, 0x0088842082, 0x0009575480, 0x00084f9080, 0x1108000000, 0x00000f8000, 0x018c000000, 0x0042222210,
    0x03a33ae62e, 0x03884210c4, 0x07c444422e, 0x03a304111f, 0x0211f4a988, 0x03a3083c3f, 0x03a317844c, 0x008422221f,
    0x03a317462e, 0x01910f462e, 0x000c6018c0, 0x110c6018c0, 0x0208208888, 0x0001f07c00, 0x0088882082, 0x010044422e,
    0x03ab5b422e, 0x04631fc62e, 0x03e317c62f, 0x03a210862e, 0x03e318c62f, 0x07c217843f, 0x004217843f, 0x07a31e862e,
    0x04631fc631, 0x038842108e, 0x019284211c, 0x0452519531, 0x07c2108421, 0x04631ad771, 0x04631cd671, 0x03a318c62e,
    0x004217c62f, 0x059358c62e, 0x045257c62f, 0x03e107043e, 0x010842109f, 0x03a318c631, 0x011518c631, 0x04775ac631,
    0x0462a22a31, 0x0108422a31, 0x07c222221f, 0x038421084e, 0x0420820821, 0x039084210e, 0x0000004544, 0x07c0000000,
    0x0000000082, 0x07a3e83800, 0x03e318bc21, 0x03a218b800, 0x07a318fa10, 0x0383f8b800, 0x0084213c4c, 0x743d18f800,
    0x046318bc21, 0x0388421804, 0x3250843008, 0x024a32a421, 0x0388421086, 0x056b5aac00, 0x046318bc00, 0x03a318b800,
    0x085f18bc00, 0x843d18f800, 0x004211b400, 0x03e0e0f800, 0x0324213c42, 0x07a318c400, 0x011518c400, 0x02ab5ac400,
    0x0454454400, 0x743d18c400, 0x07c4447c00, 0x0208411088, 0x0108421084, 0x0088441082, 0x00008a8800,
];

/// Writes a line whose top left corner is at `[y, x]`; what the font lacks becomes a question mark.
pub(crate) fn write(onto: &mut Picture, text: &str, [y, x]: [usize; 2], colour: Rgb) {
    for (left, character) in (x..).step_by(ADVANCE).zip(text.chars()) {
        let glyph = glyph(character);
        for bit in (0..WIDTH * HEIGHT).filter(|bit| glyph >> bit & 1 == 1) {
            if let Some(pixel) = onto.get_mut([y + bit / WIDTH, left + bit % WIDTH]) {
                *pixel = colour;
            }
        }
    }
}

fn glyph(character: char) -> u64 {
    let known = u8::try_from(character).ok().filter(|byte| matches!(byte, b' '..=b'~')).unwrap_or(b'?');
    GLYPHS[usize::from(known - b' ')]
}
