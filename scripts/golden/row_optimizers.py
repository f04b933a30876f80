"""Golden tables of the row-sparse optimizers: three steps of given gradients on a few rows, in f64.

SGD, Adagrad and SparseAdam are PyTorch's on sparse gradients. Row-wise Adagrad is FBGEMM's `EXACT_ROWWISE_ADAGRAD`,
written out here: `state_i += mean_j g_ij^2`, `row_i -= lr g_i / (sqrt(state_i) + eps)`. Dense Adam has a gradient for
every row in every step, where lazy Adam must agree with it up to the place of eps.
"""

import json
from pathlib import Path

import numpy as np
import torch

ROWS, WIDTH, LR = 6, 3, 0.1
IDS = [[0, 2, 5], [2, 3], [0, 1, 2]]
GOLDEN = Path(__file__).resolve().parents[2] / "crates/softmax/tests/golden"


def grid(values):
    """Rounds to multiples of 1/1024, which f32 holds exactly."""
    return np.round(np.asarray(values) * 1024) / 1024


def away_from_zero(gradient):
    """Dense Adam adds eps after the bias correction, SparseAdam before: a difference that only tiny gradients show."""
    return gradient + np.copysign(0.25, gradient)


def sparse(ids, gradient):
    return torch.sparse_coo_tensor(torch.tensor([ids]), torch.tensor(gradient), (ROWS, WIDTH))


def torch_tables(table, gradients, optimizer, **options):
    """The table after each step of one of PyTorch's optimizers."""
    parameter = torch.nn.Parameter(torch.tensor(table))
    optimizer = optimizer([parameter], lr=LR, **options)
    tables = []
    for gradient in gradients:
        parameter.grad = gradient
        optimizer.step()
        tables.append(parameter.detach().numpy().copy())
    return tables


def row_wise_adagrad_tables(table, steps, eps):
    table, state, tables = table.copy(), np.zeros(ROWS), []
    for ids, gradient in steps:
        state[ids] += np.mean(gradient**2, axis=1)
        table[ids] -= LR * gradient / (np.sqrt(state[ids]) + eps)[:, None]
        tables.append(table.copy())
    return tables


def case(tables, **options):
    return options | {"tables": [t.ravel().tolist() for t in tables]}


def main():
    torch.sparse.check_sparse_tensor_invariants.enable()
    rng = np.random.default_rng(20190724)
    table = grid(rng.normal(size=(ROWS, WIDTH)))
    steps = [(ids, grid(rng.normal(size=(len(ids), WIDTH)))) for ids in IDS]
    steps[0][1][2, 0] = 0.0  # a zero gradient must leave its entry finite and unchanged
    dense = [away_from_zero(grid(rng.normal(size=(ROWS, WIDTH)))) for _ in IDS]
    sparse_steps = [sparse(ids, gradient) for ids, gradient in steps]
    adagrad = {"eps": 1e-10, "initial_accumulator_value": 0.0}
    adam = {"betas": (0.9, 0.999), "eps": 1e-8}
    golden = {
        "rows": ROWS, "width": WIDTH, "learning_rate": LR, "table": table.ravel().tolist(),
        "steps": [{"ids": ids, "gradient": gradient.ravel().tolist()} for ids, gradient in steps],
        "dense_steps": [{"ids": list(range(ROWS)), "gradient": gradient.ravel().tolist()} for gradient in dense],
        "shapes": {"table": [ROWS, WIDTH], "gradient": ["ids", WIDTH], "tables": [len(IDS), ROWS, WIDTH]},
        "sgd": case(torch_tables(table, sparse_steps, torch.optim.SGD)),
        "adagrad": case(torch_tables(table, sparse_steps, torch.optim.Adagrad, **adagrad), **adagrad),
        "row_wise_adagrad": case(row_wise_adagrad_tables(table, steps, 1e-8), eps=1e-8),
        "sparse_adam": case(torch_tables(table, sparse_steps, torch.optim.SparseAdam, **adam), **adam),
        "dense_adam": case(torch_tables(table, map(torch.tensor, dense), torch.optim.Adam, **adam), **adam),
    }
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in golden.items()]
    (GOLDEN / "row_optimizers.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
