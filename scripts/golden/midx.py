"""Golden values of the MIDX law, in Python's double precision; no package is needed.

The rows are few and their clusters plain, so that Lloyd's algorithm ends at the same words from any sensible start. Codes
depend on the start, the law does not.
"""

import json
from math import dist, exp
from pathlib import Path

K = 2
ROWS = [[2.0, 0.5, 1.0, 0.25], [2.25, 0.5, -1.0, 0.0], [-2.0, -0.25, 1.25, 0.0], [-1.75, -0.5, -1.0, -0.25],
        [1.75, 0.25, 1.0, 0.25], [-2.25, -0.5, 1.0, 0.5], [2.0, 0.75, -1.25, 0.0]]
BIASES = [0.5, -1.0, 0.25, 0.0, -0.75, 1.5, 2.0]
COUNTS = [99, 49, 24, 9, 3, 1, 0]
PRIOR = 0.5
QUERY = [0.5, -0.75, 0.875, 0.25]
GOLDEN = Path(__file__).resolve().parents[2] / "crates/sampling/tests/golden"


def k_means(points):
    """Codes and words of two clusters, from the two points that are furthest apart."""
    words = list(max(((a, b) for a in points for b in points), key=lambda pair: dist(*pair)))
    while True:
        codes = [min(range(K), key=lambda k: dist(point, words[k])) for point in points]
        groups = [[point for point, code in zip(points, codes) if code == k] for k in range(K)]
        means = [[sum(column) / len(group) for column in zip(*group)] for group in groups]
        if means == words:
            return codes, words
        words = means


def quantized(quantizer):
    """What the codes say of every row."""
    if quantizer == "pq":
        halves = [[row[:2] for row in ROWS], [row[2:] for row in ROWS]]
        parts = [[words[code] for code in codes] for codes, words in map(k_means, halves)]
        return [a + b for a, b in zip(*parts)]
    codes, words = k_means(ROWS)
    first = [words[code] for code in codes]
    codes, words = k_means([[x - y for x, y in zip(row, word)] for row, word in zip(ROWS, first)])
    return [[x + y for x, y in zip(word, words[code])] for word, code in zip(first, codes)]


def law(rows, weights):
    """`q_i ∝ w_i exp(h·row_i)`."""
    masses = [weight * exp(sum(h * x for h, x in zip(QUERY, row))) for row, weight in zip(rows, weights)]
    return [mass / sum(masses) for mass in masses]


def main():
    ones = [1.0] * len(ROWS)
    weights = [((count + 1) / (max(COUNTS) + 1)) ** PRIOR * exp(bias) for count, bias in zip(COUNTS, BIASES)]
    golden = {"rows": ROWS, "biases": BIASES, "counts": COUNTS, "prior": PRIOR, "query": QUERY, "codewords": K}
    for quantizer in ["pq", "rq"]:
        golden[f"{quantizer}_fast"] = law(quantized(quantizer), ones)
        golden[f"{quantizer}_fast_weighted"] = law(quantized(quantizer), weights)
    golden["exact"] = law(ROWS, ones)
    golden["exact_weighted"] = law(ROWS, weights)
    lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in golden.items()]
    (GOLDEN / "midx.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
