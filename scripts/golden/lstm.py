"""Golden values of one LSTM layer, from PyTorch's nn.LSTM.

    python scripts/golden/lstm.py        writes crates/lm/tests/golden/lstm.json

Weights are stored transposed, `w_x [input, 4H]` and `w_h [H, 4H]`, gates in the order i, f, g, o, and the two biases of
PyTorch as their sum. The loss is `sum(h * grad_h)`; the initial state and cells are constants.
"""

import json
import pathlib

import torch

STEPS, BATCH, INPUT, HIDDEN = 4, 3, 5, 6
OUT = pathlib.Path(__file__).parents[2] / "crates/lm/tests/golden/lstm.json"


def main():
    torch.manual_seed(1)
    lstm = torch.nn.LSTM(INPUT, HIDDEN)
    x = torch.randn(STEPS, BATCH, INPUT, requires_grad=True)
    h0, c0 = torch.randn(1, BATCH, HIDDEN), torch.randn(1, BATCH, HIDDEN)
    grad_h = torch.randn(STEPS, BATCH, HIDDEN)
    h, (_, last_cell) = lstm(x, (h0, c0))
    (h * grad_h).sum().backward()
    values = {
        "x": x,
        "w_x": lstm.weight_ih_l0.T,
        "w_h": lstm.weight_hh_l0.T,
        "bias": lstm.bias_ih_l0 + lstm.bias_hh_l0,
        "h0": h0,
        "c0": c0,
        "grad_h": grad_h,
        "h": h,
        "last_cell": last_cell,
        "grad_x": x.grad,
        "grad_w_x": lstm.weight_ih_l0.grad.T,
        "grad_w_h": lstm.weight_hh_l0.grad.T,
        "grad_bias": lstm.bias_ih_l0.grad,
    }
    document = {"torch": torch.__version__, "shape": [STEPS, BATCH, INPUT, HIDDEN]}
    for name, tensor in values.items():
        document[name] = [float(f"{value:.9g}") for value in tensor.detach().flatten().tolist()]
    OUT.parent.mkdir(parents=True, exist_ok=True)
    rows = [f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in document.items()]
    OUT.write_text("{\n" + ",\n".join(rows) + "\n}\n")


if __name__ == "__main__":
    main()
