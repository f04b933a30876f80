//! Randomness as a function of where it is used.
//!
//! One seed feeds named streams (data order, initial weights, dropout, draws), and inside a stream every
//! `(step, place)` has its own counter-based generator. A result therefore depends neither on the number of
//! threads nor on how often a run was interrupted.

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

/// What a stream of random numbers is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Initial weights and tables.
    Init = 1,
    /// The random projection of a feature map.
    Projection = 2,
    /// Draws from a proposal.
    Draws = 3,
    /// Dropout masks.
    Dropout = 4,
    /// Order of the data.
    Order = 5,
    /// Generated data.
    Data = 6,
    /// Which true class of a query with several is the target.
    Labels = 7,
    /// Where the search for groups of similar classes begins.
    Grouping = 8,
    /// Codebooks: the rows they are fitted to, and the words they start from.
    Codebooks = 9,
}

/// Generator for `place` (a query, a layer, a row) at `step` of the stream `purpose` under `seed`.
///
/// ChaCha with 8 rounds, keyed by `(seed, purpose, step)`, its 64-bit stream number set to `place`: two
/// different quadruples never share a sequence.
///
/// ```
/// use rand::RngExt;
/// use rf_sampling::{Purpose, stream};
/// let a: u64 = stream(7, Purpose::Draws, 3, 0).random();
/// let b: u64 = stream(7, Purpose::Draws, 3, 0).random();
/// assert_eq!(a, b);
/// ```
pub fn stream(seed: u64, purpose: Purpose, step: u64, place: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&(purpose as u64).to_le_bytes());
    key[16..24].copy_from_slice(&step.to_le_bytes());
    let mut rng = ChaCha8Rng::from_seed(key);
    rng.set_stream(place);
    rng
}
