use super::*;

fn golden(name: &str) -> Vec<f32> {
    let file: serde_json::Value = serde_json::from_str(include_str!("../../tests/golden/lstm.json")).unwrap();
    file[name].as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32).collect()
}

fn noise(len: usize, from: usize, size: f32) -> Vec<f32> {
    (from..from + len).map(|i| size * (i as f32 * 1.618).sin() * (i as f32 * 0.0271).cos()).collect()
}

/// x, w_x, w_h, bias, h0, c0, grad_h of any shape.
fn problem(shape: Shape) -> [Vec<f32>; 7] {
    let Shape { steps, batch, input, hidden } = shape;
    let (rows, state) = (steps * batch, batch * hidden);
    let sizes = [rows * input, input * 4 * hidden, hidden * 4 * hidden, 4 * hidden, state, state, rows * hidden];
    std::array::from_fn(|at| noise(sizes[at], 1000 * at, if at == 1 || at == 2 { 0.3 } else { 1.0 }))
}

fn run(shape: Shape, problem: &[Vec<f32>; 7]) -> [Vec<f32>; 6] {
    run_masked(shape, problem, &[])
}

fn run_masked(shape: Shape, [x, w_x, w_h, bias, h0, c0, grad_h]: &[Vec<f32>; 7], mask: &[f32]) -> [Vec<f32>; 6] {
    let weights = Weights { w_x, w_h, bias };
    // A trace that has served before: what it holds must not matter.
    let used = vec![f32::NAN; 100];
    let [gates, cells, states, w_back, old] = std::array::from_fn(|_| used.clone());
    let mut trace = Trace { open: None, gates, cells, states, w_back, mask: old };
    let Forward { h, last_cell } = forward(shape, weights, x, (h0, c0), mask, &mut trace);
    let grads = backward(weights, x, &mut trace, grad_h);
    [h, last_cell, grads.x, grads.w_x, grads.w_h, grads.bias]
}

#[test]
fn outputs_and_gradients_are_those_of_pytorch() {
    let shape = Shape { steps: 4, batch: 3, input: 5, hidden: 6 };
    let got = run(shape, &["x", "w_x", "w_h", "bias", "h0", "c0", "grad_h"].map(golden));
    let names = ["h", "last_cell", "grad_x", "grad_w_x", "grad_w_h", "grad_bias"];
    for (name, got) in names.iter().zip(got) {
        let want = golden(name);
        assert_eq!(got.len(), want.len(), "{name}");
        let worst = got.iter().zip(&want).map(|(got, want)| (got - want).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-5, "{name} is off by {worst}");
    }
}

#[test]
fn gradients_agree_with_finite_differences() {
    let shape = Shape { steps: 3, batch: 13, input: 2, hidden: 3 };
    agree_with_finite_differences(shape, &[]);
    // A different mask in every row of the batch, which is more than one chunk.
    let mask: Vec<f32> = (0..13 * 3).map(|i| if i % 5 == 0 { 0.0 } else { 1.25 }).collect();
    agree_with_finite_differences(shape, &mask);
}

fn agree_with_finite_differences(shape: Shape, mask: &[f32]) {
    let problem = problem(shape);
    let loss = |problem: &[Vec<f32>; 7]| -> f64 {
        let [h, ..] = run_masked(shape, problem, mask);
        h.iter().zip(&problem[6]).map(|(h, weight)| f64::from(*h) * f64::from(*weight)).sum()
    };
    let grads = run_masked(shape, &problem, mask);
    for (part, grad) in grads[2..].iter().enumerate() {
        for at in 0..grad.len() {
            let moved = [1e-2, -1e-2].map(|step| {
                let mut problem = problem.clone();
                problem[part][at] += step;
                loss(&problem)
            });
            let slope = (moved[0] - moved[1]) / 2e-2;
            let error = (slope - f64::from(grad[at])).abs();
            assert!(error < 1e-3 * (1.0 + slope.abs()), "part {part}, element {at}: {slope} and {}", grad[at]);
        }
    }
}

#[test]
fn a_mask_scales_the_state_on_its_way_to_every_step_and_nothing_else() {
    let shape = Shape { steps: 4, batch: 14, input: 3, hidden: 5 };
    let mut problem = problem(shape);
    let plain = run(shape, &problem);
    assert_eq!(run_masked(shape, &problem, &[1.0; 14 * 5]), plain);
    let halved = run_masked(shape, &problem, &[0.5; 14 * 5]);
    assert_ne!(halved, plain);
    // Half the state is half the weights that it meets; halves are exact.
    problem[2].iter_mut().for_each(|weight| *weight *= 0.5);
    assert_eq!(halved[..2], run(shape, &problem)[..2]);
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    for shape in
        [Shape { steps: 5, batch: 20, input: 40, hidden: 200 }, Shape { steps: 3, batch: 29, input: 200, hidden: 50 }]
    {
        let problem = problem(shape);
        let [one, two, five] = [1, 2, 5].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| run(shape, &problem)).map(|part| part.into_iter().map(f32::to_bits).collect::<Vec<_>>())
        });
        assert!(one == two && one == five, "{shape:?}");
    }
}
