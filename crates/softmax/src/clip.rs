//! One norm over dense and row gradients.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

use crate::{HeadGradients, RowGradients};

/// Gradients that live outside a burn module.
pub trait SparseGradients {
    /// Sum of squares.
    fn squared_norm(&self) -> f64;

    /// Multiplies every gradient.
    fn scale(&mut self, factor: f32);
}

impl SparseGradients for RowGradients {
    fn squared_norm(&self) -> f64 {
        self.values.chunks(1024).map(|run| f64::from(rf_sampling::dot(run, run))).sum()
    }

    fn scale(&mut self, factor: f32) {
        self.values.iter_mut().for_each(|value| *value *= factor);
    }
}

impl SparseGradients for HeadGradients {
    fn squared_norm(&self) -> f64 {
        let rows = self.classes.squared_norm() + self.ln_tau.as_ref().map_or(0.0, RowGradients::squared_norm);
        #[cfg(feature = "device")]
        let rows = rows + self.on_device.as_ref().map_or(0.0, |gradients| gradients.squared_norm());
        rows
    }

    fn scale(&mut self, factor: f32) {
        self.classes.scale(factor);
        self.ln_tau.iter_mut().for_each(|gradient| gradient.scale(factor));
        #[cfg(feature = "device")]
        self.on_device.iter_mut().for_each(|gradients| gradients.factor *= factor);
    }
}

/// Scales all gradients of a step by one factor so that their Euclidean norm is at most `max_norm`, and returns the norm
/// before. Dense gradients and touched rows count together, as if they were one vector.
///
/// # Shapes
/// Any: the norm is over all numbers.
pub fn clip_global_norm<M: Module>(
    dense: &mut GradientsParams,
    module: &M,
    rows: &mut [&mut dyn SparseGradients],
    max_norm: f64,
) -> f64 {
    let mut norm = SquaredNorm { gradients: dense, sum: 0.0 };
    module.visit(&mut norm);
    let squared = norm.sum + rows.iter().map(|rows| rows.squared_norm()).sum::<f64>();
    let norm = squared.sqrt();
    if norm > max_norm {
        let factor = (max_norm / norm) as f32;
        module.visit(&mut Scale { gradients: dense, factor });
        rows.iter_mut().for_each(|rows| rows.scale(factor));
    }
    norm
}

struct SquaredNorm<'a> {
    gradients: &'a GradientsParams,
    sum: f64,
}

impl ModuleVisitor for SquaredNorm<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            self.sum += f64::from(gradient.square().sum().into_scalar::<f32>());
        }
    }
}

struct Scale<'a> {
    gradients: &'a mut GradientsParams,
    factor: f32,
}

impl ModuleVisitor for Scale<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            self.gradients.register(param.id, gradient * self.factor);
        }
    }
}
