"""Golden values of the static proposals and of the quadratic kernel.

Log-uniform and unigram probabilities are TensorFlow's expected counts of every class, divided by the number of draws,
which are with replacement; TensorFlow computes them in f32. It takes ids for ranks, so the counts descend, and its
unigram sampler has no smoothing, so it is given `count + 1`. The quadratic kernel is NumPy's.
"""

import json
from pathlib import Path

import numpy as np
import tensorflow as tf

N, DRAWS = 9, 64
COUNTS = np.array([9100, 4000, 1203, 350, 350, 41, 6, 1, 0])
D, ALPHA = 3, 100.0
POWERS = [0.75, 1.0]
GOLDEN = Path(__file__).resolve().parents[2] / "crates/sampling/tests/golden"


def law(sampler, **options):
    """`q` of every class."""
    true = tf.constant(np.arange(N)[None, :], tf.int64)
    _, expected, _ = sampler(true_classes=true, num_true=N, num_sampled=DRAWS, unique=False, range_max=N, **options)
    return expected.numpy().ravel().astype(np.float64) / DRAWS


def quadratic(rows, query):
    kernel = ALPHA * (rows @ query) ** 2 + 1
    return kernel / kernel.sum()


def main():
    rng = np.random.default_rng(20180710)
    rows, query = (np.round(rng.normal(size=shape) * 64) / 64 for shape in ((N, D), (D,)))  # exact in f32
    unit_rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    unigrams = [float(count + 1) for count in COUNTS]
    golden = {
        "n": N, "d": D, "alpha": ALPHA, "counts": COUNTS, "powers": POWERS, "rows": rows, "query": query,
        "shapes": {"rows": [N, D], "query": [D], "unigram": [len(POWERS), N]},
        "log_uniform": law(tf.random.log_uniform_candidate_sampler),
        "unigram": [law(tf.random.fixed_unigram_candidate_sampler, unigrams=unigrams, distortion=power)
                    for power in POWERS],
        "quadratic_raw": quadratic(rows, query),
        "quadratic_normalized": quadratic(unit_rows, query / np.linalg.norm(query)),
    }
    flat = {name: np.ravel(value).tolist() if np.ndim(value) else value for name, value in golden.items()}
    lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in flat.items()]
    (GOLDEN / "proposals.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
