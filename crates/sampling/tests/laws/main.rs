//! The laws that every sampler obeys. A new sampler adds one row to [`rig::samplers`].

mod chi_squared;
mod cluster;
mod draws;
mod midx;
mod probabilities;
mod refresh;
mod rig;
mod settings;
mod shared;
mod tree;
