"""Time PyTorch's nn.LSTM, forward and backward, and print one JSON line (milliseconds).

    python scripts/bench/lstm_torch.py --batch 20 --steps 35 --hidden 200 --threads 2
"""

import argparse
import json
import statistics
import time

import torch


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in [("batch", 20), ("steps", 35), ("input", 200), ("hidden", 200)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--warmup", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=40)
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    lstm = torch.nn.LSTM(args.input, args.hidden)
    x = torch.randn(args.steps, args.batch, args.input, requires_grad=True)
    state = (torch.zeros(1, args.batch, args.hidden), torch.zeros(1, args.batch, args.hidden))
    grad = torch.randn(args.steps, args.batch, args.hidden)

    forward, total = [], []
    for repeat in range(args.warmup + args.repeats):
        x.grad = None
        lstm.zero_grad(set_to_none=True)
        start = time.perf_counter()
        h, _ = lstm(x, state)
        middle = time.perf_counter()
        h.backward(grad)
        end = time.perf_counter()
        if repeat >= args.warmup:
            forward.append(1e3 * (middle - start))
            total.append(1e3 * (end - start))
    report = {
        "what": "torch " + torch.__version__,
        "forward_ms": round(statistics.median(forward), 2),
        "total_ms": round(statistics.median(total), 2),
        "min_ms": round(min(total), 2),
        "max_ms": round(max(total), 2),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
