use rf_sampling::ClassId;

/// What can go wrong in building or using a head or a row table.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The sampler refused a setting, a row or a query.
    #[error(transparent)]
    Sampler(#[from] rf_sampling::Error),
    /// A setting is outside its range.
    #[error("{field} = {value}: {why}")]
    BadSetting {
        /// Name of the setting, as in a configuration file.
        field: &'static str,
        /// Value given.
        value: String,
        /// What is allowed.
        why: String,
    },
    /// A target is no class id and not the ignored one.
    #[error("target {target} of query {query} is not one of the {classes} classes")]
    BadTarget {
        /// Place in the batch.
        query: usize,
        /// The target.
        target: i64,
        /// Number of classes.
        classes: usize,
    },
    /// A row id exceeds its table.
    #[error("row {id} of a table with {rows} rows")]
    BadRow {
        /// The id.
        id: ClassId,
        /// Rows of the table.
        rows: usize,
    },
    /// All targets of a batch are ignored, so there is no loss.
    #[error("every target of the batch is ignored")]
    NoTargets,
    /// A step on a table of which a clone is alive: it would have to copy every row.
    #[error("the table is shared by a clone; drop the clone before stepping, or train the clone")]
    Shared,
    /// A device has no room.
    #[error("{what} needs {need} bytes, and the device has room for {room}: choose {advice}")]
    TooLarge {
        /// What does not fit.
        what: String,
        /// Bytes needed.
        need: u64,
        /// Bytes there are.
        room: u64,
        /// What would help.
        advice: &'static str,
    },
    /// A saved state does not fit.
    #[error("saved tensor `{name}` has {found} numbers where {wanted} are needed")]
    WrongState {
        /// Name of the tensor.
        name: String,
        /// Numbers needed.
        wanted: usize,
        /// Numbers found.
        found: usize,
    },
    /// A saved state lacks a tensor.
    #[error("the saved state has no tensor `{0}`")]
    MissingState(String),
    /// A file cannot be read or written, or is damaged.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// What happened.
        reason: String,
    },
    /// A file was read, but the state in it does not fit.
    #[error("{path}: {why}")]
    Misfit {
        /// The file.
        path: String,
        /// What does not fit.
        why: Box<Error>,
    },
}
