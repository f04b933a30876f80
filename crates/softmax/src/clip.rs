//! One norm over dense and row gradients.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

use crate::{HeadGradients, RowGradients, to_vec};

/// Gradients that live outside a burn module.
pub trait SparseGradients {
    /// Numbers on a graphics card that the norm follows from, one each; none of gradients on the host. They are read with those of all other
    /// gradients at once.
    fn on_card(&self) -> Vec<Tensor<1>> {
        Vec::new()
    }

    /// Sum of squares, given the values of these numbers.
    fn squared_norm(&mut self, on_card: &[f32]) -> f64;

    /// Multiplies every gradient.
    fn scale(&mut self, factor: f32);
}

impl SparseGradients for RowGradients {
    fn squared_norm(&mut self, _: &[f32]) -> f64 {
        self.values.chunks(1024).map(|run| f64::from(rf_sampling::dot(run, run))).sum()
    }

    fn scale(&mut self, factor: f32) {
        self.values.iter_mut().for_each(|value| *value *= factor);
    }
}

impl SparseGradients for HeadGradients {
    #[cfg(feature = "device")]
    fn on_card(&self) -> Vec<Tensor<1>> {
        self.on_device.as_ref().map_or(Vec::new(), |gradients| gradients.on_card())
    }

    fn squared_norm(&mut self, on_card: &[f32]) -> f64 {
        let ln_tau = self.ln_tau.as_mut().map_or(0.0, |gradient| gradient.squared_norm(&[]));
        let rows = self.classes.squared_norm(&[]) + ln_tau;
        #[cfg(feature = "device")]
        let rows = rows + self.on_device.as_mut().map_or(0.0, |gradients| gradients.squared_norm(on_card));
        let _ = on_card;
        rows
    }

    fn scale(&mut self, factor: f32) {
        self.classes.scale(factor);
        self.ln_tau.iter_mut().for_each(|gradient| gradient.scale(factor));
        #[cfg(feature = "device")]
        self.on_device.iter_mut().for_each(|gradients| gradients.scale(factor));
    }
}

/// Scales all gradients of a step by one factor so that their Euclidean norm is at most `max_norm`, and returns the norm
/// before. Dense gradients and touched rows count together, as if they were one vector. Waits for a graphics card once.
///
/// # Shapes
/// Any: the norm is over all numbers.
pub fn clip_global_norm<M: Module>(
    dense: &mut GradientsParams,
    module: &M,
    rows: &mut [&mut dyn SparseGradients],
    max_norm: f64,
) -> f64 {
    let norm = squared_norm(dense, module, rows).sqrt();
    if norm > max_norm {
        let factor = (max_norm / norm) as f32;
        module.visit(&mut Scale { gradients: dense, factor });
        rows.iter_mut().for_each(|rows| rows.scale(factor));
    }
    norm
}

fn squared_norm<M: Module>(dense: &GradientsParams, module: &M, rows: &mut [&mut dyn SparseGradients]) -> f64 {
    let mut squares = Squares { gradients: dense, sums: Vec::new() };
    module.visit(&mut squares);
    let (mut sums, mut ends) = (squares.sums, Vec::new());
    let first = sums.len();
    for rows in rows.iter() {
        sums.extend(rows.on_card());
        ends.push(sums.len());
    }
    let read = if sums.is_empty() { Vec::new() } else { to_vec(Tensor::cat(sums, 0)) };
    let dense: f64 = read[..first].iter().map(|&sum| f64::from(sum)).sum();
    let starts = [first].into_iter().chain(ends.clone());
    dense
        + rows
            .iter_mut()
            .zip(starts.zip(ends))
            .map(|(rows, (from, to))| rows.squared_norm(&read[from..to]))
            .sum::<f64>()
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
    factor: f32,
}

impl ModuleVisitor for Scale<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            self.gradients.register(param.id, gradient * self.factor);
        }
    }
}
