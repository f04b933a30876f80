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

fn run(shape: Shape, [x, w_x, w_h, bias, h0, c0, grad_h]: &[Vec<f32>; 7]) -> [Vec<f32>; 6] {
    let weights = Weights { w_x, w_h, bias };
    let Forward { h, last_cell, trace } = forward(shape, weights, x, h0, c0);
    let grads = backward(shape, weights, x, trace, grad_h);
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
    let problem = problem(shape);
    let loss = |problem: &[Vec<f32>; 7]| -> f64 {
        let [h, ..] = run(shape, problem);
        h.iter().zip(&problem[6]).map(|(h, weight)| f64::from(*h) * f64::from(*weight)).sum()
    };
    let grads = run(shape, &problem);
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
fn results_do_not_depend_on_the_number_of_threads() {
    for shape in [
        Shape { steps: 5, batch: 20, input: 40, hidden: 200 },
        Shape { steps: 3, batch: 29, input: 200, hidden: 50 },
    ] {
        let problem = problem(shape);
        let [one, two, five] = [1, 2, 5].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| run(shape, &problem)).map(|part| part.into_iter().map(f32::to_bits).collect::<Vec<_>>())
        });
        assert!(one == two && one == five, "{shape:?}");
    }
}

#[test]
fn sigmoid_and_tanh_have_a_relative_error_below_one_in_a_million() {
    let tiny = (0..400).map(|i| 0.9f32.powi(i));
    let points = tiny.chain((0..400_000).map(|i| i as f32 * 2.17e-4)).flat_map(|x| [x, -x]);
    for x in points {
        let exact = f64::from(x);
        let (want_sigmoid, want_tanh) = (1.0 / (1.0 + (-exact).exp()), exact.tanh());
        let close = |got: f32, want: f64| (f64::from(got) - want).abs() <= 1e-6 * want.abs();
        assert!(close(sigmoid(x), want_sigmoid), "sigmoid({x}) = {}, not {want_sigmoid}", sigmoid(x));
        assert!(close(tanh(x), want_tanh), "tanh({x}) = {}, not {want_tanh}", tanh(x));
    }
}

#[test]
fn extreme_inputs_saturate_and_a_nan_stays_one() {
    assert_eq!([tanh(f32::INFINITY), tanh(f32::NEG_INFINITY), sigmoid(f32::INFINITY)], [1.0, -1.0, 1.0]);
    assert!(sigmoid(f32::NEG_INFINITY) < 1e-37 && tanh(0.0) == 0.0 && sigmoid(0.0) == 0.5);
    assert!(sigmoid(f32::NAN).is_nan() && tanh(f32::NAN).is_nan());
}
