"""Times torch's bf16 linear at the shapes of DeepSeek-V3's linear layers.

    torch_linear.py [--tokens 512] [--threads 2] [--repeat 5] [--json FILE]

The yardstick of prefill: `hadal-bench` reports its own linear layers at the same
shapes. Each shape runs `--repeat` times after one warm-up, the best time counts.
Routed experts get the rows of an even share (tokens * 8 / 16 experts, as in the
checkpoint of make_v3_shaped.py). Needs torch.
"""

import argparse
import json
import time

import torch

SHAPES = {  # name: (N, K, share of the tokens)
    "q_a_proj": (1536, 7168, 1),
    "q_b_proj": (24576, 1536, 1),
    "kv_a_proj_with_mqa": (576, 7168, 1),
    "kv_b_proj": (32768, 512, 1),
    "o_proj": (7168, 16384, 1),
    "dense gate_proj": (18432, 7168, 1),
    "dense down_proj": (7168, 18432, 1),
    "expert gate_proj": (2048, 7168, 0.5),
    "expert down_proj": (7168, 2048, 0.5),
    "shared gate_proj": (2048, 7168, 1),
    "shared down_proj": (7168, 2048, 1),
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--json")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows = []
    for name, (n, k, share) in SHAPES.items():
        m = max(1, int(args.tokens * share))
        x = torch.randn(m, k, dtype=torch.bfloat16)
        w = torch.randn(n, k, dtype=torch.bfloat16)
        best = float("inf")
        with torch.no_grad():
            for turn in range(args.repeat + 1):
                start = time.perf_counter()
                torch.nn.functional.linear(x, w)
                if turn:
                    best = min(best, time.perf_counter() - start)
        rows.append(dict(name=name, m=m, n=n, k=k, seconds=best,
                         gflops=2e-9 * m * n * k / best))
        print(f"{name:20} {m:5} x {n:5} x {k:5}  {best * 1e3:8.2f} ms "
              f"{rows[-1]['gflops']:8.1f} GFLOP/s", flush=True)
    if args.json:
        with open(args.json, "w") as file:
            json.dump(dict(threads=args.threads, torch=torch.__version__,
                           shapes=rows), file, indent=1)


if __name__ == "__main__":
    main()
