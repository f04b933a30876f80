"""Time TensorFlow's sampled_softmax_loss, to stand beside `rfs bench draws` and `rfs bench step`; prints one JSON object.

    python scripts/bench/tf_sampled_softmax.py                                       # the sizes of `rfs bench draws`
    python scripts/bench/tf_sampled_softmax.py --classes 10000,1000000 --batch 128 --draws 100

Two rows a size: the value of the loss (draws, gathered rows, logits, log-sum-exp), and value with gradients, in which the
gradient of the class table is an IndexedSlices of the touched rows. No optimizer. TensorFlow draws `num_sampled` distinct
candidates from its log-uniform law once for the whole batch, where a row of `rfs bench` draws as many for each query.
Queries, targets and draws are fresh in every repetition and made outside the clock; the graph is traced before it.
Needs tensorflow; measured with 2.21.
"""

import argparse
import json
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import tensorflow as tf  # noqa: E402

WARM_UP = 3


def functions(rows, bias, draws):
    """The value of the mean loss over a batch, and the value with its gradients, as traced functions."""

    def loss(h, targets):
        losses = tf.nn.sampled_softmax_loss(weights=rows, biases=bias, labels=targets, inputs=h, num_sampled=draws,
                                            num_classes=rows.shape[0])
        return tf.reduce_mean(losses)

    def gradient(h, targets):
        with tf.GradientTape() as tape:
            tape.watch(h)
            value = loss(h, targets)
        of_h, of_rows = tape.gradient(value, (h, rows))
        assert isinstance(of_rows, tf.IndexedSlices), "the gradient of the class table became dense"
        return value, of_h, of_rows.values, of_rows.indices

    return {"value": tf.function(loss), "value and gradient": tf.function(gradient)}


def fetch(outputs):
    """Waits for the numbers."""
    for output in tf.nest.flatten(outputs):
        output.numpy()


def milliseconds(function, n, args):
    times = []
    for repetition in range(WARM_UP + args.repeat):
        h = tf.random.normal([args.batch, args.dim])
        targets = tf.random.uniform([args.batch, 1], maxval=n, dtype=tf.int64)
        fetch((h, targets))
        start = time.perf_counter()
        fetch(function(h, targets))
        if repetition >= WARM_UP:
            times.append(1e3 * (time.perf_counter() - start))
    return times


def measure(n, args):
    rows = tf.Variable(tf.random.normal([n, args.dim], stddev=args.dim**-0.5))
    bias = tf.zeros([n])
    for computed, function in functions(rows, bias, args.draws).items():
        times = milliseconds(function, n, args)
        yield {
            "sampler": "log-uniform", "loss": "sampled", "classes": n, "dim": args.dim, "features": None,
            "draws": args.draws, "batch": args.batch, "computed": computed,
            "milliseconds": round(statistics.median(times), 4), "milliseconds_min": round(min(times), 4),
            "milliseconds_max": round(max(times), 4), "parts": {}, "bytes": 0, "repeats": args.repeat,
            "warm_up": WARM_UP,
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", default="10000,500000", help="numbers of classes, divided by commas")
    for name, default in [("dim", 64), ("draws", 10), ("batch", 10), ("repeat", 101), ("threads", 0)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(args.threads)
    tf.random.set_seed(1)
    rows = [row for n in args.classes.split(",") for row in measure(int(n), args)]
    machine = {"library": f"tensorflow {tf.__version__}", "cores": os.cpu_count(), "threads": args.threads or os.cpu_count()}
    print(json.dumps({"machine": machine, "rows": rows}))


if __name__ == "__main__":
    main()
