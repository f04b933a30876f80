//! The head: class table, sampler and loss.

mod draw;
mod evaluator;
#[cfg(feature = "device")]
mod on_device;
mod sampler_state;
mod saved;
mod step;
mod store;

pub use evaluator::Evaluator;

use std::sync::Arc;

use burn::tensor::{Device, Gradients, Int, Tensor};
use rf_sampling::{AnySampler, ClassId, Classes};

use crate::candidates::Lists;
use crate::config::LossKind;
use crate::host_op::{Pullback, host_op, to_vec};
use crate::labels::Terms;
use crate::loss::{
    ClassRows, FullTargets, Layout, LossValue, Score, SharedLayout, full_softmax, sampled_softmax, shared_softmax,
};
use crate::{
    Candidates, Error, Figures, GradientNorm, IGNORED, Labels, LossConfig, RowGradients, RowTable,
    SampledSoftmaxLossConfig, StepFigures, normalize_rows,
};
use store::{HostParts, Store};

/// A softmax over many classes, trained from a few of them at a time.
///
/// Holds the class rows `[n, d]` (with a bias column if asked), their optimizer state and the sampler. Made by
/// [`SampledSoftmaxLossConfig`]. It is no burn `Module`: burn would step all rows with dense gradients. Keep it beside
/// the encoder, step it with [`step`](Self::step), save it with [`save_file`](Self::save_file), or with
/// [`state`](Self::state) in a file of your own.
///
/// A clone shares the table. It may be read, but neither can be stepped while both are alive.
///
/// Made for a graphics card (features `wgpu` and `cuda`), it keeps rows, optimizer state and sampler there, and evaluates there;
/// whatever reads them on the host, such as [`table`](Self::table) and [`state`](Self::state), gets a copy.
#[derive(Clone, Debug)]
pub struct SampledSoftmaxLoss {
    config: LossConfig,
    dim: usize,
    seed: u64,
    ignore_index: Option<i64>,
    classes: usize,
    store: Store,
    /// Steps taken: with the seed it fixes the draws.
    steps: u64,
    device: Device,
}

/// What a forward pass gives.
#[derive(Clone, Debug)]
pub struct SoftmaxOutput {
    /// Mean over the queries with a true class, in nats, `[1]`. For a sampled loss an estimate: never report it as
    /// perplexity.
    pub loss: Tensor<1>,
    /// Loss of each query, in nats, `[B]`; 0 for queries without a true class. Empty on a graphics card, where it stays.
    pub nll: Vec<f32>,
    /// Distinct classes that the loss touched, ascending. Empty on a graphics card, where they stay.
    pub classes: Vec<ClassId>,
    told: Told,
    leaf: Leaf,
    ln_tau: Tensor<2>,
}

/// Mean loss and number of distinct classes of a pass.
#[derive(Clone, Debug)]
enum Told {
    Known {
        mean: f64,
        distinct: usize,
    },
    #[cfg(feature = "device")]
    OnCard(Arc<on_device::CardFigures>),
}

impl Told {
    fn wait(&self) -> (f64, usize) {
        match self {
            Self::Known { mean, distinct } => (*mean, *distinct),
            #[cfg(feature = "device")]
            Self::OnCard(figures) => figures.wait(),
        }
    }
}

impl SoftmaxOutput {
    /// The loss as a number. Waits for a graphics card, once.
    pub fn mean(&self) -> f64 {
        self.told.wait().0
    }

    /// How many distinct classes the loss touched. Waits for a graphics card, once.
    pub fn distinct(&self) -> usize {
        self.told.wait().1
    }

    /// What the step tells about itself, given the norm of its gradients. Does not wait for a graphics card.
    pub fn figures(&self, norm: GradientNorm) -> StepFigures {
        let told = self.told.clone();
        let wait = move || {
            let (loss, rows) = told.wait();
            Figures { loss, norm: norm.value(), rows }
        };
        match self.told {
            Told::Known { .. } => StepFigures::Known(wait()),
            #[cfg(feature = "device")]
            Told::OnCard(_) => StepFigures::Late(Box::new(wait)),
        }
    }
}

/// Where the gradient of the rows comes from.
#[derive(Clone, Debug)]
enum Leaf {
    /// The touched rows, a leaf of the graph.
    Rows(Tensor<2>),
    /// Gradients that are there already, to be multiplied by the gradient of a leaf that is one.
    #[cfg(feature = "device")]
    Device { unit: Tensor<1>, touched: on_device::Spendable },
}

/// Gradients of a head.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadGradients {
    /// Of the class rows.
    pub classes: RowGradients,
    /// Of `ln tau`, if it is trained.
    pub ln_tau: Option<RowGradients>,
    /// Of both on a graphics card, where they stay; `classes` is then empty, and `ln_tau` none.
    #[cfg(feature = "device")]
    pub(crate) on_device: Option<on_device::DeviceGradients>,
}

impl HeadGradients {
    /// Gradients from outside.
    pub fn new(classes: RowGradients, ln_tau: Option<RowGradients>) -> Self {
        Self {
            classes,
            ln_tau,
            #[cfg(feature = "device")]
            on_device: None,
        }
    }
}

/// Place of the class table among the tables of a model, for its first rows.
const CLASS_PLACE: u64 = 1 << 32;

impl SampledSoftmaxLoss {
    pub(crate) fn new(config: SampledSoftmaxLossConfig, device: &Device) -> Result<Self, Error> {
        let table = first_rows(&config);
        let SampledSoftmaxLossConfig { dim, loss, optimizer, counts, seed, ignore_index, .. } = config;
        let sampler = match loss.kind {
            LossKind::Full => AnySampler::Uniform(rf_sampling::Uniform),
            LossKind::Sampled => loss.sampler.build(classes_of(&table, &loss), &counts, seed)?,
        };
        let ln_tau = RowTable::from_rows(vec![loss.tau.ln()], 1, optimizer);
        let classes = table.rows();
        let store = Store::new(HostParts { table, sampler: Arc::new(sampler), ln_tau }, device, dim, &loss)?;
        let device = device.clone();
        Ok(Self { config: loss, dim, seed, ignore_index, classes, store, steps: 0, device })
    }

    /// Number of classes `n`.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Numbers in a class row: `d`, and one more with a bias.
    pub fn width(&self) -> usize {
        self.dim + usize::from(self.config.bias)
    }

    /// Embedding width `d`.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The device that the head was made for.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Whether rows and sampler live on the host, and not on a graphics card.
    pub fn is_on_host(&self) -> bool {
        matches!(self.store, Store::Host(_))
    }

    /// Settings of the loss.
    pub fn config(&self) -> &LossConfig {
        &self.config
    }

    /// The class table: `d` columns, and one of biases if the loss has them.
    pub fn table(&self) -> &RowTable {
        &self.store.host().table
    }

    /// The proposal.
    pub fn sampler(&self) -> &AnySampler {
        &self.store.host().sampler
    }

    /// The class table as samplers see it.
    pub fn class_rows(&self) -> Classes<'_> {
        classes_of(self.table(), &self.config)
    }

    /// Inverse temperature, as trained so far.
    pub fn tau(&self) -> f32 {
        self.store.ln_tau().data()[0].exp()
    }

    /// Bytes of table, optimizer state and sampler.
    pub fn bytes(&self) -> usize {
        self.store.bytes()
    }

    /// Bytes of the sampler.
    pub fn sampler_bytes(&self) -> usize {
        self.store.sampler_bytes()
    }

    /// The loss of a batch.
    ///
    /// # Shapes
    /// - h: `[B, d]`
    /// - targets: `[B]`, class ids or the ignored index
    ///
    /// # Errors
    /// [`Error::BadTarget`], [`Error::NoTargets`]; [`Error::Sampler`] if `h` is not finite.
    ///
    /// # Panics
    /// If the shapes do not agree.
    pub fn forward(&self, h: Tensor<2>, targets: Tensor<1, Int>) -> Result<SoftmaxOutput, Error> {
        let targets = self.target_ids(targets)?;
        self.forward_ids(h, &targets)
    }

    /// The loss of a batch whose targets are on the host; [`IGNORED`] marks queries without one.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    ///
    /// # Panics
    /// If the shapes do not agree.
    pub fn forward_ids(&self, h: Tensor<2>, targets: &[ClassId]) -> Result<SoftmaxOutput, Error> {
        self.forward_labels(h, &Labels::one_each(targets))
    }

    /// The loss of a batch whose queries have any number of true classes; [`LossConfig::reduction`] tells how they count.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    ///
    /// # Panics
    /// If the shapes do not agree.
    pub fn forward_labels(&self, h: Tensor<2>, labels: &Labels) -> Result<SoftmaxOutput, Error> {
        self.check_labels(&h, labels)?;
        let (queries, ln_tau) = self.queries(h)?;
        let terms = self.terms(labels);
        #[cfg(feature = "device")]
        if let Store::Device(parts) = &self.store {
            return self.on_device(parts, queries, ln_tau, labels, &terms);
        }
        match self.config.kind {
            LossKind::Full => self.full(queries, ln_tau, labels, &terms),
            LossKind::Sampled => {
                let candidates = self.draw_terms(&to_vec(queries.clone()), labels, &terms)?;
                self.sampled(queries, ln_tau, terms, candidates)
            }
        }
    }

    /// The sampled loss with candidates from outside.
    ///
    /// # Errors
    /// As [`forward`](Self::forward); [`Error::BadRow`] for a candidate that is no class. A head on a graphics card draws its own:
    /// [`Error::BadSetting`].
    ///
    /// # Panics
    /// If the shapes do not agree.
    pub fn forward_with(
        &self,
        h: Tensor<2>,
        targets: &[ClassId],
        candidates: Candidates,
    ) -> Result<SoftmaxOutput, Error> {
        assert_eq!(candidates.len(), targets.len(), "candidates for {} queries", candidates.len());
        self.store.check_host()?;
        let labels = Labels::one_each(targets);
        self.check_labels(&h, &labels)?;
        let (queries, ln_tau) = self.queries(h)?;
        self.sampled(queries, ln_tau, self.terms(&labels), candidates)
    }

    /// Moves the gradients of the touched rows out of `grads`.
    ///
    /// # Panics
    /// If `output` was not part of the graph that `grads` belongs to.
    pub fn gradient(&self, output: &SoftmaxOutput, grads: &mut Gradients) -> HeadGradients {
        const FOREIGN: &str = "the output belongs to these gradients";
        let ln_tau = output.ln_tau.grad_remove(grads);
        match &output.leaf {
            Leaf::Rows(rows) => {
                let ln_tau = ln_tau.map(|value| RowGradients { ids: vec![0], values: to_vec(value) });
                let values = to_vec(rows.grad_remove(grads).expect(FOREIGN));
                HeadGradients::new(RowGradients { ids: output.classes.clone(), values }, ln_tau)
            }
            #[cfg(feature = "device")]
            Leaf::Device { unit, touched } => {
                let upstream = unit.grad_remove(grads).expect(FOREIGN);
                let Store::Device(parts) = &self.store else { panic!("{FOREIGN}") };
                let ln_tau = ln_tau.map(|value| parts.ln_tau.gradient(&[0], Some(value)));
                let on_device = Some(on_device::DeviceGradients::new(touched.clone(), upstream, ln_tau));
                HeadGradients { on_device, ..HeadGradients::new(RowGradients::default(), None) }
            }
        }
    }

    /// Queries as they enter the logits, `tau h` or `tau h/|h|`, and the leaf that a trained `tau` takes its gradient
    /// from.
    fn queries(&self, h: Tensor<2>) -> Result<(Tensor<2>, Tensor<2>), Error> {
        let h = if self.config.normalized { normalize_rows(h, self.dim) } else { h };
        if self.config.learn_tau {
            let ln_tau = self.store.gather_ln_tau(&h.device())?;
            return Ok((h * ln_tau.clone().exp(), ln_tau));
        }
        let constant = Tensor::zeros([1, 1], &h.device());
        Ok((h * self.tau(), constant))
    }

    /// Queries as they enter the logits: `tau h`, or `tau h/|h|` for a loss that normalises. What samplers are asked.
    ///
    /// # Shapes
    /// - h, output: `[B, d]`
    ///
    /// # Errors
    /// None with a head that this crate made.
    pub fn logit_queries(&self, h: Tensor<2>) -> Result<Tensor<2>, Error> {
        Ok(self.queries(h)?.0)
    }

    /// What the queries are scored for in the step to come.
    fn terms(&self, labels: &Labels) -> Terms {
        labels.terms(self.config.reduction, self.config.other_labels, self.seed, self.steps)
    }

    fn full(
        &self,
        queries: Tensor<2>,
        ln_tau: Tensor<2>,
        labels: &Labels,
        terms: &Terms,
    ) -> Result<SoftmaxOutput, Error> {
        let all: Vec<ClassId> = (0..self.classes() as ClassId).collect();
        let targets = FullTargets { terms, labels, others: self.config.other_labels };
        self.output(queries, ln_tau, all, |queries, rows, gradient| full_softmax(queries, rows, targets, gradient))
    }

    fn sampled(
        &self,
        queries: Tensor<2>,
        ln_tau: Tensor<2>,
        terms: Terms,
        candidates: Candidates,
    ) -> Result<SoftmaxOutput, Error> {
        let Candidates { lists, target_ln_expected: corrections } = candidates;
        assert!(
            corrections.is_empty() || corrections.len() == terms.ids.len(),
            "{} expected counts for {} true classes",
            corrections.len(),
            terms.ids.len()
        );
        let others = self.config.other_labels;
        match lists {
            Lists::PerQuery(lists) => {
                let mut layout = Layout::new(terms, others, lists, corrections);
                let ids = std::mem::take(&mut layout.ids);
                self.output(queries, ln_tau, ids, |queries, rows, grad| sampled_softmax(queries, rows, &layout, grad))
            }
            Lists::Shared(list) => {
                let mut layout = SharedLayout::new(terms, others, &list, corrections);
                let ids = std::mem::take(&mut layout.ids);
                self.output(queries, ln_tau, ids, |queries, rows, grad| shared_softmax(queries, rows, &layout, grad))
            }
        }
    }

    /// Gathers the rows of `ids` as a leaf and makes the loss a node over queries and rows.
    fn output(
        &self,
        queries: Tensor<2>,
        ln_tau: Tensor<2>,
        ids: Vec<ClassId>,
        loss: impl FnOnce(&[f32], ClassRows<'_>, bool) -> LossValue,
    ) -> Result<SoftmaxOutput, Error> {
        let leaf = self.table().gather(&ids, &queries.device())?;
        let rows = if self.config.normalized { normalize_rows(leaf.clone(), self.dim) } else { leaf.clone() };
        let data = to_vec(rows.clone());
        let value = loss(&to_vec(queries.clone()), self.scored(&data), queries.device().is_autodiff());
        let mean = value.mean();
        let LossValue { nll, grad_queries, grad_rows, .. } = value;
        let pullback = Pullback::new(move |upstream| {
            let scaled = |gradient: &[f32]| gradient.iter().map(|g| g * upstream[0]).collect();
            vec![scaled(&grad_queries), scaled(&grad_rows)]
        });
        let loss = host_op(vec![mean as f32], [1], &[queries, rows], pullback);
        let distinct = ids.len();
        let told = Told::Known { mean, distinct };
        Ok(SoftmaxOutput { loss, nll, classes: ids, told, leaf: Leaf::Rows(leaf), ln_tau })
    }

    /// Rows as they enter the logits, to be scored by the loss.
    fn scored<'a>(&self, data: &'a [f32]) -> ClassRows<'a> {
        let score = if self.config.absolute { Score::Absolute } else { Score::Plain };
        ClassRows { data, dim: self.dim, width: self.width(), score }
    }

    fn target_ids(&self, targets: Tensor<1, Int>) -> Result<Vec<ClassId>, Error> {
        let classes = self.classes();
        let id = |(query, target): (usize, i64)| match target {
            target if Some(target) == self.ignore_index => Ok(IGNORED),
            target if (0..classes as i64).contains(&target) => Ok(target as ClassId),
            target => Err(Error::BadTarget { query, target, classes }),
        };
        targets.into_data().iter::<i64>().enumerate().map(id).collect()
    }

    fn check_labels(&self, h: &Tensor<2>, labels: &Labels) -> Result<(), Error> {
        self.check_ids(h, labels)?;
        if labels.all().is_empty() { Err(Error::NoTargets) } else { Ok(()) }
    }

    fn check_ids(&self, h: &Tensor<2>, labels: &Labels) -> Result<(), Error> {
        let (shape, classes) = (h.dims(), self.classes());
        assert_eq!(shape, [labels.len(), self.dim], "queries of shape {shape:?} for the targets of {}", labels.len());
        match labels.all().iter().position(|&id| id as usize >= classes) {
            Some(place) => {
                let (query, target) = (labels.query_of(place), i64::from(labels.all()[place]));
                Err(Error::BadTarget { query, target, classes })
            }
            None => Ok(()),
        }
    }
}

fn first_rows(config: &SampledSoftmaxLossConfig) -> RowTable {
    let SampledSoftmaxLossConfig { classes, dim, init, rows, optimizer, seed, .. } = config;
    if let Some(rows) = rows {
        return RowTable::from_rows(rows.clone(), dim + usize::from(config.loss.bias), *optimizer);
    }
    let table = RowTable::new(*classes, *dim, *init, *optimizer, *seed, CLASS_PLACE);
    if !config.loss.bias {
        return table;
    }
    // The same embeddings, and a last column of zeros.
    let rows = table.data().chunks_exact(*dim).flat_map(|row| row.iter().copied().chain([0.0])).collect();
    RowTable::from_rows(rows, dim + 1, *optimizer)
}

fn classes_of<'t>(table: &'t RowTable, config: &LossConfig) -> Classes<'t> {
    let classes = Classes::new(table.data(), table.width());
    let classes = if config.bias { classes.with_bias() } else { classes };
    let classes = if config.normalized { classes.normalized() } else { classes };
    if config.absolute { classes.absolute() } else { classes }
}
