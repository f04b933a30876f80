//! What a step tells about itself, at once or later.

use std::fmt;

/// What a step of training tells about itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// Mean loss of its examples, in nats.
    pub loss: f64,
    /// Euclidean norm of all its gradients as one vector, before clipping.
    pub norm: f64,
    /// Distinct class rows that it touched.
    pub rows: usize,
}

/// Figures of a step that a graphics card may still be working out.
///
/// # Example
/// ```
/// use rf_softmax::{Figures, StepFigures};
/// let figures = Figures { loss: 5.9, norm: 0.7, rows: 2143 };
/// let late = StepFigures::Late(Box::new(move || figures));
/// assert!(late.known().is_none());
/// assert_eq!(late.wait(), figures);
/// ```
pub enum StepFigures {
    /// Known already, as always on the host.
    Known(Figures),
    /// To be had from a card, by waiting for it.
    Late(Box<dyn FnOnce() -> Figures + Send>),
}

impl StepFigures {
    /// The figures, if they can be had without waiting.
    pub fn known(&self) -> Option<&Figures> {
        match self {
            Self::Known(figures) => Some(figures),
            Self::Late(_) => None,
        }
    }

    /// The figures; waits for a card that is still working them out.
    pub fn wait(self) -> Figures {
        match self {
            Self::Known(figures) => figures,
            Self::Late(read) => read(),
        }
    }
}

impl fmt::Debug for StepFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(figures) => f.debug_tuple("Known").field(figures).finish(),
            Self::Late(_) => f.write_str("Late(..)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_the_same_at_once_or_later() {
        let figures = Figures { loss: 1.5, norm: 2.0, rows: 3 };
        let (known, late) = (StepFigures::Known(figures), StepFigures::Late(Box::new(move || figures)));
        assert_eq!((known.known(), late.known()), (Some(&figures), None));
        assert_eq!(format!("{known:?}"), "Known(Figures { loss: 1.5, norm: 2.0, rows: 3 })");
        assert_eq!(format!("{late:?}"), "Late(..)");
        assert_eq!((known.wait(), late.wait()), (figures, figures));
    }
}
