"""Golden values of `tf.nn.sampled_softmax_loss`: target and candidates both get `o - ln(expected count)`.

The draws are given, shared by the batch, and hold a duplicate (class 8) and two accidental hits (targets 7 and 3). The
duplicate is no hit on purpose: of a target drawn twice, TensorFlow masks the last place only and keeps the others.
"""

import json
from pathlib import Path

import numpy as np
import tensorflow as tf

N, D, B, M = 12, 5, 4, 6
TARGETS = [7, 1, 3, 10]
SAMPLED = [3, 8, 8, 0, 7, 5]
GOLDEN = Path(__file__).resolve().parents[2] / "crates/softmax/tests/golden"


def grid(values):
    """Rounds to multiples of 1/1024, which f32 holds exactly."""
    return np.round(np.asarray(values) * 1024) / 1024


def inputs():
    rng = np.random.default_rng(20190724)
    q = (1 + rng.multinomial(256 - N, rng.dirichlet(np.ones(N)))) / 256  # a law over all classes, exact in f32
    return {
        "h": grid(rng.normal(size=(B, D))),
        "rows": grid(rng.normal(size=(N, D))),
        "bias": grid(0.5 * rng.normal(size=N)),
        "targets": np.array(TARGETS),
        "sampled": np.array(SAMPLED),
        "true_expected_count": M * q[TARGETS],
        "sampled_expected_count": M * q[SAMPLED],
    }


def dense(gradient):
    return tf.convert_to_tensor(gradient).numpy()


def outputs(x, remove_accidental_hits):
    h, rows, bias = (tf.Variable(x[name], dtype=tf.float64) for name in ("h", "rows", "bias"))
    sampled = (tf.constant(x["sampled"], tf.int64), tf.constant(x["true_expected_count"][:, None], tf.float64),
               tf.constant(x["sampled_expected_count"], tf.float64))
    with tf.GradientTape() as tape:
        losses = tf.nn.sampled_softmax_loss(
            weights=rows, biases=bias, labels=tf.constant(x["targets"][:, None], tf.int64), inputs=h, num_sampled=M,
            num_classes=N, num_true=1, sampled_values=sampled, remove_accidental_hits=remove_accidental_hits)
        loss = tf.reduce_mean(losses)
    grad_h, grad_rows, grad_bias = (dense(g) for g in tape.gradient(loss, (h, rows, bias)))
    return {"losses": losses.numpy(), "loss": loss.numpy(), "grad_h": grad_h, "grad_rows": grad_rows,
            "grad_bias": grad_bias}


def flat(arrays):
    return {name: np.asarray(a).ravel().tolist() if np.ndim(a) else float(a) for name, a in arrays.items()}


def main():
    x = inputs()
    cases = {"hits_removed": outputs(x, True), "hits_kept": outputs(x, False)}
    golden = {"n": N, "d": D, "b": B, "m": M, **flat(x),
              "shapes": {name: list(np.shape(a)) for name, a in (x | cases["hits_kept"]).items()},
              **{name: flat(case) for name, case in cases.items()}}
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in golden.items()]
    (GOLDEN / "sampled_softmax_tf.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
