"""Golden values of the metrics of extreme classification, from pyxclib's xc_metrics.

    python scripts/golden/xc_metrics.py        prints what the tests at the foot of crates/xmc/src/metrics.rs hold

The problem comes from integers alone, so that the test makes it again. Points have between none and eleven labels, and
labels from 31 on have no training point. No ranking has ties: scores of true labels are odd and others even, and the
multiples of i + 1 differ modulo the prime 41. pyxclib computes the two forms of nDCG in f32.
"""

import numpy as np
from scipy.sparse import csr_matrix
from xclib.evaluation.xc_metrics import compute_inv_propesity, ndcg, precision, psndcg, psprecision

LABELS, POINTS, TRAINING_POINTS = 40, 30, 2000
A, B = 0.55, 1.5
SHOWN = [0, 1, 7, 39]


def is_true(i, label):
    return (label * label + 3 * i * label + i) % 41 < 2 * (i % 5)


def score(i, label):
    return 2 * ((label + 1) * (i + 1) % 41) + 41 * is_true(i, label)


def count(label):
    """Training points of a label."""
    return 1000 // (label + 1) ** 2


def matrix(entry, rows):
    return csr_matrix(np.array([[entry(i, label) for label in range(LABELS)] for i in range(rows)], dtype=np.float64))


def main():
    scores, truth = matrix(score, POINTS), matrix(is_true, POINTS)
    training = matrix(lambda i, label: i < count(label), TRAINING_POINTS)
    inverse = compute_inv_propesity(training, A, B)
    scored = {
        "P": precision(scores, truth),
        "nDCG": ndcg(scores, truth),
        "PSP": psprecision(scores, truth, inverse),
        "PSnDCG": psndcg(scores, truth, inverse),
    }
    for label in SHOWN:
        print(f"({label}, {inverse[label]}),")
    for name, values in scored.items():
        print(f'("{name}", [{", ".join(str(values[k - 1]) for k in (1, 3, 5))}]),')


if __name__ == "__main__":
    main()
