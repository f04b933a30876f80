//! What a leaf gives to each of its classes.

use super::{LeafLaw, RffLaw};
use crate::dot;
use crate::vector::exp_in_place;

impl RffLaw<'_> {
    /// Masses of the classes of a leaf, in no particular unit, and their sum, which is positive.
    pub(super) fn leaf_masses(&self, leaf: usize, masses: &mut Vec<f32>) -> f64 {
        let classes = self.tree.classes_of(leaf);
        masses.clear();
        match self.tree.leaf_law {
            LeafLaw::Features => masses.extend(classes.clone().map(|class| self.feature_mass(class))),
            LeafLaw::Gauss => {
                let cosine = |class| self.query_norm * self.tree.inverse_norms[class] * self.raw_product(class);
                masses.extend(classes.clone().map(|class| self.tree.nu * (cosine(class) - 1.0)));
                exp_in_place(masses);
                masses.iter_mut().zip(&self.tree.weights[classes.clone()]).for_each(|(mass, weight)| *mass *= weight);
            }
            LeafLaw::Exact => {
                masses.extend(classes.clone().map(|class| self.logit(class)));
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

    fn feature_mass(&self, class: usize) -> f32 {
        let width = self.features.len();
        let phi = &self.tree.class_features[class * width..][..width];
        dot(&self.features, phi).max(self.tree.floor) * self.tree.weights[class]
    }

    fn raw_product(&self, class: usize) -> f32 {
        dot(self.query, self.classes.embedding(class))
    }

    fn logit(&self, class: usize) -> f32 {
        let scale = if self.classes.is_normalized() { self.tree.inverse_norms[class] } else { 1.0 };
        self.raw_product(class) * scale + self.classes.bias(class)
    }
}
