//! One norm over dense and row gradients.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

use crate::{HeadGradients, RowGradients, to_vec};

/// Gradients that live outside a burn module.
pub trait SparseGradients {
    /// Sum of squares of all gradients.
    fn squared_norm(&self) -> SquaredNorm;

    /// Multiplies every gradient.
    ///
    /// # Panics
    /// If some are on the host and the factor is on a card.
    fn scale(&mut self, factor: &ClipFactor);
}

/// A sum of squares: what lies on the host, and what lies on a graphics card.
#[derive(Clone, Debug, Default)]
pub struct SquaredNorm {
    /// Of gradients on the host, if there are any.
    pub on_host: Option<f64>,
    /// Of gradients on a card, `[1]`, if there are any.
    pub on_card: Option<Tensor<1>>,
}

/// What all gradients of a step are multiplied by.
#[derive(Clone, Debug)]
pub enum ClipFactor {
    /// A number.
    Known(f32),
    /// A number on a graphics card, `[1]`.
    OnCard(Box<Tensor<1>>),
}

impl ClipFactor {
    /// The number.
    ///
    /// # Panics
    /// If it is on a card.
    pub fn known(&self) -> f32 {
        match self {
            Self::Known(factor) => *factor,
            Self::OnCard(_) => panic!("gradients on the host have no factor on a card"),
        }
    }

    /// A tensor times the number.
    pub fn times<const D: usize>(&self, tensor: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Known(factor) => tensor * *factor,
            Self::OnCard(factor) => tensor * Tensor::clone(factor).reshape([1; D]),
        }
    }
}

/// The norm of all gradients of a step, which a graphics card may still be working out.
#[derive(Clone, Debug)]
pub enum GradientNorm {
    /// Known already, as always on the host.
    Known(f64),
    /// To be had from a card, `[1]`.
    OnCard(Box<Tensor<1>>),
}

impl GradientNorm {
    /// The norm; waits for a card that is still working it out.
    pub fn value(&self) -> f64 {
        match self {
            Self::Known(norm) => *norm,
            Self::OnCard(norm) => f64::from(to_vec(Tensor::clone(norm))[0]),
        }
    }
}

impl SparseGradients for RowGradients {
    fn squared_norm(&self) -> SquaredNorm {
        let sum = self.values.chunks(1024).map(|run| f64::from(rf_sampling::dot(run, run))).sum();
        SquaredNorm { on_host: Some(sum), on_card: None }
    }

    fn scale(&mut self, factor: &ClipFactor) {
        let factor = factor.known();
        self.values.iter_mut().for_each(|value| *value *= factor);
    }
}

impl SparseGradients for HeadGradients {
    fn squared_norm(&self) -> SquaredNorm {
        #[cfg(feature = "device")]
        if let Some(gradients) = &self.on_device {
            return SquaredNorm { on_host: None, on_card: Some(gradients.squared_norm()) };
        }
        let of_rows = |gradient: &RowGradients| gradient.squared_norm().on_host.unwrap_or(0.0);
        let sum = of_rows(&self.classes) + self.ln_tau.as_ref().map_or(0.0, of_rows);
        SquaredNorm { on_host: Some(sum), on_card: None }
    }

    fn scale(&mut self, factor: &ClipFactor) {
        #[cfg(feature = "device")]
        if let Some(gradients) = &mut self.on_device {
            return gradients.scale(factor);
        }
        self.classes.scale(factor);
        self.ln_tau.iter_mut().for_each(|gradient| gradient.scale(factor));
    }
}

/// Scales all gradients of a step by one factor so that their Euclidean norm is at most `max_norm`, and returns the norm
/// before. Dense gradients and touched rows count together, as if they were one vector.
///
/// Where all touched rows are on a graphics card nothing waits for it, and norm and factor are numbers of 32 bits.
///
/// # Shapes
/// Any: the norm is over all numbers.
pub fn clip_global_norm<M: Module>(
    dense: &mut GradientsParams,
    module: &M,
    rows: &mut [&mut dyn SparseGradients],
    max_norm: f64,
) -> GradientNorm {
    let mut squares = Squares { gradients: dense, sums: Vec::new() };
    module.visit(&mut squares);
    let (sums, parts) = (squares.sums, rows.iter().map(|rows| rows.squared_norm()).collect::<Vec<_>>());
    let stays = parts.iter().all(|part| part.on_host.is_none()) && parts.iter().any(|part| part.on_card.is_some());
    let (norm, factor) = if stays { clip_on_card(sums, parts, max_norm) } else { clip_read(sums, parts, max_norm) };
    if let Some(factor) = factor {
        module.visit(&mut Scale { gradients: dense, factor: &factor });
        rows.iter_mut().for_each(|rows| rows.scale(&factor));
    }
    norm
}

/// The norm, and what the gradients are to be multiplied by.
type Clipped = (GradientNorm, Option<ClipFactor>);

fn clip_on_card(mut sums: Vec<Tensor<1>>, parts: Vec<SquaredNorm>, max_norm: f64) -> Clipped {
    sums.extend(parts.into_iter().filter_map(|part| part.on_card));
    let norm = Tensor::cat(sums, 0).sum().sqrt();
    let factor = max_norm.is_finite().then(|| (norm.clone().recip() * max_norm as f32).clamp_max(1.0));
    (GradientNorm::OnCard(Box::new(norm)), factor.map(|factor| ClipFactor::OnCard(Box::new(factor))))
}

fn clip_read(mut sums: Vec<Tensor<1>>, parts: Vec<SquaredNorm>, max_norm: f64) -> Clipped {
    let dense = sums.len();
    sums.extend(parts.iter().filter_map(|part| part.on_card.clone()));
    let read = if sums.is_empty() { Vec::new() } else { to_vec(Tensor::cat(sums, 0)) };
    let (dense, mut on_card) = (read[..dense].iter().map(|&sum| f64::from(sum)).sum::<f64>(), read[dense..].iter());
    let of_part = |part: SquaredNorm| {
        let read = part.on_card.and_then(|_| on_card.next()).map_or(0.0, |&sum| f64::from(sum));
        part.on_host.unwrap_or(0.0) + read
    };
    let norm = (dense + parts.into_iter().map(of_part).sum::<f64>()).sqrt();
    (GradientNorm::Known(norm), (norm > max_norm).then(|| ClipFactor::Known((max_norm / norm) as f32)))
}

/// Sum of squares of each dense gradient.
struct Squares<'a> {
    gradients: &'a GradientsParams,
    sums: Vec<Tensor<1>>,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            self.sums.push(gradient.square().sum());
        }
    }
}

struct Scale<'a> {
    gradients: &'a mut GradientsParams,
    factor: &'a ClipFactor,
}

impl ModuleVisitor for Scale<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            self.gradients.register(param.id, self.factor.times(gradient));
        }
    }
}
