"""Golden values of the published sampled softmax (Rawat et al. 2019) and of the full softmax, by autograd in f64.

Sampled: `loss_b = -o_t + logsumexp([o_t, o_j - ln(m q_j)])` with m draws a query from a law over the negatives, so
duplicates occur and the target does not. Logits are `o = tau h.c`, of unit vectors when normalized, `+ bias` when raw.
"""

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

N, D, B, M = 12, 5, 4, 6
TARGETS = [7, 1, 3, 10]
GOLDEN = Path(__file__).resolve().parents[2] / "crates/softmax/tests/golden"
CASES = {
    "normalized": {"normalized": True, "tau": 7.5, "bias": False, "ignore_index": None},
    "raw": {"normalized": False, "tau": 1.5, "bias": True, "ignore_index": None},
    "ignored": {"normalized": True, "tau": 7.5, "bias": False, "ignore_index": TARGETS[1]},
}


def grid(values):
    """Rounds to multiples of 1/1024, which f32 holds exactly."""
    return np.round(np.asarray(values) * 1024) / 1024


def draw(rng, target):
    """Draws m negatives of one query; returns their ids and the law's probabilities, exact in f32."""
    negatives = [i for i in range(N) if i != target]
    q = (1 + rng.multinomial(256 - len(negatives), rng.dirichlet(np.ones(len(negatives))))) / 256
    picks = rng.choice(len(negatives), size=M, p=q)
    assert len(set(picks)) < M, "every query should hold a duplicate"
    return [negatives[p] for p in picks], q[picks]


def inputs():
    rng = np.random.default_rng(20190724)
    x = {"h": grid(rng.normal(size=(B, D))), "rows": grid(rng.normal(size=(N, D))),
         "bias": grid(0.5 * rng.normal(size=N)), "targets": np.array(TARGETS)}
    ids, q = zip(*(draw(rng, target) for target in TARGETS))
    return x, {"ids": np.array(ids), "q": np.array(q), "ln_expected_count": np.log(M * np.array(q))}


def all_logits(h, rows, bias, tau, case):
    if case["normalized"]:
        h, rows = F.normalize(h, dim=-1), F.normalize(rows, dim=-1)
    logits = tau * h @ rows.T
    return logits + bias if case["bias"] else logits


def full_losses(logits, targets, _draws):
    return F.cross_entropy(logits, targets, reduction="none")


def sampled_losses(logits, targets, draws):
    corrected = logits.gather(1, torch.tensor(draws["ids"])) - torch.tensor(draws["ln_expected_count"])
    target = logits.gather(1, targets[:, None])
    return torch.logsumexp(torch.cat([target, corrected], 1), 1) - target[:, 0]


def outputs(x, draws, case, losses_of):
    h, rows, bias = (torch.tensor(x[name], requires_grad=True) for name in ("h", "rows", "bias"))
    tau = torch.tensor(case["tau"], dtype=torch.float64, requires_grad=True)
    targets = torch.tensor(x["targets"])
    kept = torch.ones(B, dtype=torch.bool) if case["ignore_index"] is None else targets != case["ignore_index"]
    losses = torch.where(kept, losses_of(all_logits(h, rows, bias, tau, case), targets, draws), 0.0)
    loss = losses.sum() / kept.sum()
    loss.backward()
    out = {"losses": losses, "loss": loss, "grad_h": h.grad, "grad_rows": rows.grad, "grad_tau": tau.grad}
    if case["bias"]:
        out["grad_bias"] = bias.grad
    return {name: tensor.detach().numpy() for name, tensor in out.items()}


def flat(arrays):
    return {name: np.asarray(a).ravel().tolist() if np.ndim(a) else float(a) for name, a in arrays.items()}


def write(name, sizes, x, draws, losses_of):
    cases = {key: outputs(x, draws, case, losses_of) for key, case in CASES.items()}
    given = x | draws
    golden = {**sizes, **flat(given), "shapes": {k: list(np.shape(a)) for k, a in (given | cases["raw"]).items()},
              **{key: CASES[key] | flat(case) for key, case in cases.items()}}
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in golden.items()]
    (GOLDEN / name).write_text("{\n" + ",\n".join(lines) + "\n}\n")


def main():
    x, draws = inputs()
    sizes = {"n": N, "d": D, "b": B}
    write("sampled_softmax_torch.json", sizes | {"m": M}, x, draws, sampled_losses)
    write("full_softmax_torch.json", sizes, x, {}, full_losses)


if __name__ == "__main__":
    main()
