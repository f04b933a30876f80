use crate::ClassId;

/// What can go wrong in building, refreshing or asking a sampler.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A row with a NaN or infinite component was offered; the sampler kept its old state.
    #[error("the embedding of class {0} is not finite")]
    NotFinite(ClassId),
    /// A prior weight is NaN, infinite, negative or zero.
    #[error("the weight of class {class} is {weight}, but it must be positive and finite")]
    BadWeight {
        /// Class with the weight.
        class: ClassId,
        /// The weight given.
        weight: f32,
    },
    /// A setting is outside its range.
    #[error("{field} = {value}: {why}")]
    BadSetting {
        /// Name of the setting, as in a configuration file.
        field: &'static str,
        /// Value given.
        value: String,
        /// What is allowed.
        why: &'static str,
    },
    /// All classes with positive probability are excluded, so nothing can be drawn.
    #[error("every class that the law gives probability to is excluded")]
    NothingLeft,
    /// The query has a NaN or infinite component, or one so large that its masses overflow.
    #[error("the query is not finite")]
    BadQuery,
    /// A sampler without a law for a whole batch was asked for it.
    #[error(
        "this sampler has no law that a batch can share; of `rff`, the leaf law `features` has one, of `midx`, the \
         variant `fast`, and `quadratic` has none"
    )]
    NoSharedLaw,
    /// The sampler would need more memory than its limit.
    #[error(
        "{what} needs {needed} bytes, more than the limit of {limit}; lower `features` or `codewords`, choose the leaf \
         law `gauss` or `exact`, raise `leaf_size`, or raise `memory_gib`"
    )]
    TooLarge {
        /// The part that does not fit.
        what: &'static str,
        /// Bytes it would take.
        needed: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// A saved state belongs to a sampler of another size.
    #[error("a saved state of {found} numbers does not fit a sampler that keeps {wanted}")]
    WrongState {
        /// Numbers this sampler keeps.
        wanted: usize,
        /// Numbers found.
        found: usize,
    },
}
