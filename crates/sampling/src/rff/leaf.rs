//! What a leaf gives to each of its classes.

use std::ops::Range;

use super::{LeafLaw, RffLaw};
use crate::row_dots;
use crate::vector::exp_in_place;

impl RffLaw<'_> {
    /// Masses of the classes of a leaf, in no particular unit, and their sum, which is positive.
    pub(super) fn leaf_masses(&self, leaf: usize, masses: &mut Vec<f32>) -> f64 {
        let classes = self.tree.classes_of(leaf);
        masses.resize(classes.len(), 0.0);
        match self.tree.leaf_law {
            LeafLaw::Features => {
                let width = self.features.len();
                let phi = &self.tree.class_features[classes.start * width..classes.end * width];
                row_dots(&self.features, phi, width, masses);
                let weights = &self.tree.weights[classes.clone()];
                masses.iter_mut().zip(weights).for_each(|(mass, weight)| *mass = mass.max(self.tree.floor) * weight);
            }
            LeafLaw::Gauss => {
                self.raw_products(classes.clone(), masses);
                let (map, scale) = (&self.tree.map, self.query_norm);
                let inverse_norms = &self.tree.inverse_norms[classes.clone()];
                masses.iter_mut().zip(inverse_norms).for_each(|(mass, norm)| *mass = *mass * norm * scale);
                map.kernel(masses);
                masses.iter_mut().zip(&self.tree.weights[classes.clone()]).for_each(|(mass, weight)| *mass *= weight);
            }
            LeafLaw::Exact => {
                self.raw_products(classes.clone(), masses);
                masses.iter_mut().zip(classes.clone()).for_each(|(mass, class)| *mass = self.logit(*mass, class));
                let max = masses.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                masses.iter_mut().for_each(|logit| *logit -= max);
                exp_in_place(masses);
            }
        }
        let total: f64 = masses.iter().map(|&mass| f64::from(mass)).sum();
        if total > 0.0 {
            return total;
        }
        // Without a floor every estimate may be zero: then the weights alone decide.
        masses.copy_from_slice(&self.tree.weights[classes]);
        masses.iter().map(|&mass| f64::from(mass)).sum()
    }

    /// `query · row` before any normalisation.
    fn raw_products(&self, classes: Range<usize>, out: &mut [f32]) {
        let width = self.classes.width();
        row_dots(self.query, &self.classes.rows()[classes.start * width..classes.end * width], width, out);
    }

    /// The logit as the softmax takes it.
    fn logit(&self, raw_product: f32, class: usize) -> f32 {
        let scale = if self.classes.is_normalized() { self.tree.inverse_norms[class] } else { 1.0 };
        self.classes.score(raw_product * scale + self.classes.bias(class))
    }
}
