"""Time one training step of a full softmax in PyTorch, to stand beside `rfs bench step`; prints one JSON object.

    python scripts/bench/full_softmax_torch.py --device cuda --classes 10000,100000,1000000 --dim 256 --batch 4096

A step is forward, backward and a dense Adam step of the class table. On a graphics card each size is timed in f32 with and without
TF32 and in bf16; sizes that do not fit its memory are left out.
"""

import argparse
import json
import statistics
import time

import torch


def step_milliseconds(args, classes, dtype):
    torch.manual_seed(1)
    rows = torch.nn.Parameter(torch.randn(classes, args.dim, device=args.device, dtype=dtype) / args.dim**0.5)
    optimizer = torch.optim.Adam([rows], lr=0.01, fused=args.device == "cuda")
    wait = torch.cuda.synchronize if args.device == "cuda" else (lambda: None)
    times = []
    for repeat in range(3 + args.repeat):
        h = torch.randn(args.batch, args.dim, device=args.device, dtype=dtype, requires_grad=True)
        targets = torch.randint(classes, (args.batch,), device=args.device)
        wait()
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(h @ rows.T, targets).backward()
        optimizer.step()
        wait()
        if repeat >= 3:
            times.append(1e3 * (time.perf_counter() - start))
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--classes", default="10000,100000,1000000")
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--repeat", type=int, default=21)
    args = parser.parse_args()

    kinds = [("f32", torch.float32, False)]
    if args.device == "cuda":
        kinds += [("f32, TF32", torch.float32, True), ("bf16", torch.bfloat16, False)]
    rows = []
    for classes in map(int, args.classes.split(",")):
        for name, dtype, tf32 in kinds:
            torch.backends.cuda.matmul.allow_tf32 = tf32
            row = {"numbers": name, "classes": classes, "dim": args.dim, "batch": args.batch}
            try:
                times = step_milliseconds(args, classes, dtype)
            except torch.OutOfMemoryError:
                rows.append({**row, "skipped": "out of memory"})
                continue
            finally:
                if args.device == "cuda":
                    torch.cuda.empty_cache()
            row |= {"milliseconds": statistics.median(times), "milliseconds_min": min(times), "milliseconds_max": max(times)}
            rows.append(row)
    device = torch.cuda.get_device_name() if args.device == "cuda" else "cpu"
    print(json.dumps({"what": "torch " + torch.__version__, "device": device, "rows": rows}))


if __name__ == "__main__":
    main()
