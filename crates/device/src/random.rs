//! Random numbers as a function of where they are used.

use cubecl::prelude::*;

/// Which random numbers: a function of the seed of the run and its step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draws {
    /// Seed of the run.
    pub seed: u64,
    /// Step of the run.
    pub step: u64,
}

impl Draws {
    /// The two words of the seed.
    pub(crate) fn key(self) -> [u32; 2] {
        [self.seed as u32, (self.seed >> 32) as u32]
    }
}

/// Four random words.
#[derive(CubeType, Clone, Copy)]
// A draw needs two; the tests look at all.
#[cfg_attr(not(test), allow(dead_code))]
pub(crate) struct Words {
    pub a: u32,
    pub b: u32,
    pub c: u32,
    pub d: u32,
}

/// Philox 4x32 with ten rounds (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", section 3.3): a bijection of the
/// counter `(c_0, c_1, c_2, c_3)` for each key.
#[cube]
pub(crate) fn philox(key_0: u32, key_1: u32, c_0: u32, c_1: u32, c_2: u32, c_3: u32) -> Words {
    let (mut k_0, mut k_1) = (key_0, key_1);
    let mut a = c_0;
    let mut b = c_1;
    let mut c = c_2;
    let mut d = c_3;
    #[unroll]
    for _round in 0..10u32 {
        let low_a = a * 0xD251_1F53u32;
        let low_c = c * 0xCD9E_8D57u32;
        let next_a = c.mul_hi(0xCD9E_8D57u32) ^ b ^ k_0;
        let next_c = a.mul_hi(0xD251_1F53u32) ^ d ^ k_1;
        a = next_a;
        b = low_c;
        c = next_c;
        d = low_a;
        k_0 += 0x9E37_79B9u32;
        k_1 += 0xBB67_AE85u32;
    }
    Words { a, b, c, d }
}

/// A number in (0, 1) from the upper 23 bits of a word; exact in f32. With 24 bits the largest would be rounded to 1.
#[cube]
pub(crate) fn unit(word: u32) -> f32 {
    // 2^-23, and half of it.
    f32::cast_from(word >> 9u32) * 1.192_092_9e-7 + 5.960_464_5e-8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Buffer;
    use crate::buffer::{cube_dim, grid};
    use crate::testing::client;

    #[cube(launch)]
    fn words(keys: &[u32], counters: &[u32], out: &mut [u32]) {
        let at = ABSOLUTE_POS * 4;
        if at < counters.len() {
            let drawn = philox(
                keys[ABSOLUTE_POS * 2],
                keys[ABSOLUTE_POS * 2 + 1],
                counters[at],
                counters[at + 1],
                counters[at + 2],
                counters[at + 3],
            );
            out[at] = drawn.a;
            out[at + 1] = drawn.b;
            out[at + 2] = drawn.c;
            out[at + 3] = drawn.d;
        }
    }

    /// Known answers of the Random123 library, `kat_vectors`, philox4x32 with 10 rounds.
    #[test]
    fn the_words_are_those_of_random123() {
        let Some(client) = client() else { return };
        let keys = [[0, 0], [u32::MAX; 2], [0xa409_3822, 0x299f_31d0]].concat();
        let counters = [[0; 4], [u32::MAX; 4], [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344]].concat();
        let out = Buffer::<u32>::empty(&client, 12);
        let (keys, counters) = (Buffer::upload(&client, &keys), Buffer::upload(&client, &counters));
        words::launch(&client, grid(3), cube_dim(), keys.arg(), counters.arg(), out.arg());
        let want = [
            [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8],
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd],
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
        ];
        assert_eq!(out.download(), want.concat());
    }

    #[cube(launch)]
    fn units(words: &[u32], out: &mut [f32]) {
        if ABSOLUTE_POS < words.len() {
            out[ABSOLUTE_POS] = unit(words[ABSOLUTE_POS]);
        }
    }

    #[test]
    fn points_lie_strictly_between_zero_and_one() {
        let Some(client) = client() else { return };
        let words = Buffer::upload(&client, &[0, 1 << 31, u32::MAX - 512, u32::MAX]);
        let out = Buffer::<f32>::empty(&client, 4);
        units::launch(&client, grid(4), cube_dim(), words.arg(), out.arg());
        let step = f32::EPSILON;
        assert_eq!(out.download(), [step / 2.0, 0.5 + step / 2.0, 1.0 - 1.5 * step, 1.0 - step / 2.0]);
    }
}
