"""What others reach at the same shapes on the same GPU, timed as hadal-bench
times: the cache emptied by reads before each run, the median of event times.

    peers.py [--small] M,N,K ...

Prints a line of JSON, {key: value}, whenever something was measured. Without a
GPU everything runs on the CPU, for a rehearsal."""

import json
import sys
import time

import torch
import torch.nn.functional as F

FP8 = torch.float8_e4m3fn
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
_flush = None


def version():
    return f"torch {torch.__version__} on {DEVICE}"


def seconds(run, repeat=20):
    """The median time of a call."""
    global _flush
    run()
    if DEVICE == "cpu":
        begin = time.perf_counter()
        run()
        return time.perf_counter() - begin
    if _flush is None:
        _flush = torch.zeros(256 << 18, dtype=torch.float32, device=DEVICE)
    times = []
    for _ in range(repeat):
        _flush.sum()
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        run()
        end.record()
        times.append((begin, end))
    torch.cuda.synchronize()
    return sorted(b.elapsed_time(e) * 1e-3 for b, e in times)[repeat // 2]


def copy_rate(small=False):
    """Bytes read plus written per second."""
    a = torch.ones(1 << (20 if small else 30), dtype=torch.uint8, device=DEVICE)
    b = torch.empty_like(a)
    return 2 * a.numel() / seconds(lambda: b.copy_(a))


def bf16_rate(small=False):
    size = 256 if small else 8192
    a = torch.randn(size, size, device=DEVICE, dtype=torch.bfloat16)
    b = torch.randn(size, size, device=DEVICE, dtype=torch.bfloat16)
    return 2 * size**3 / seconds(lambda: a @ b)


def blocks(n):
    return (n + 127) // 128


def fp8_operands(m, n, k):
    x = torch.randn(m, k, device=DEVICE).clamp(-4, 4).to(FP8)
    w = torch.randn(n, k, device=DEVICE).clamp(-4, 4).to(FP8)
    sx = torch.rand(m, blocks(k), device=DEVICE) / 64 + 1 / 128
    sw = torch.rand(blocks(n), blocks(k), device=DEVICE) / 64 + 1 / 128
    return x, w, sx, sw


def reference(x, w, sx, sw):
    """In float64, a few rows."""
    rows = torch.arange(0, x.shape[0], max(1, x.shape[0] // 8), device=DEVICE)
    k = x.shape[1]
    a = x[rows].double() * sx[rows].double().repeat_interleave(128, 1)[:, :k]
    scale = sw.double().repeat_interleave(128, 0)[:w.shape[0]]
    b = w.double() * scale.repeat_interleave(128, 1)[:, :k]
    return rows, a @ b.t()


def torch_scaled_mm(x, w, sx, sw):
    """torch's own blockwise kernel as a function without arguments, in the first
    scale layout that gives the right result; a string says why there is none."""
    if not hasattr(F, "scaled_mm"):
        return f"torch {torch.__version__} has no scaled_mm"
    kinds = getattr(F, "ScalingType", None)
    if not hasattr(kinds, "BlockWise128x128"):
        return f"torch {torch.__version__} has no blockwise scaled_mm"
    pad = (-sw.shape[1]) % 4
    columns = sx.t().contiguous().t()
    layouts = {
        "columns of x, transposed w": (columns, sw.t()),
        "columns of x, rows of w": (columns, sw),
        "rows": (sx, sw),
        "columns": (columns, sw.t().contiguous()),
        "columns, padded": (columns, F.pad(sw, (0, pad)).t()[:sw.shape[1]]),
    }
    rows, expected = reference(x, w, sx, sw)
    reasons = []
    for name, (a, b) in layouts.items():
        def run(a=a, b=b):
            return F.scaled_mm(x, w.t(), a, kinds.BlockWise1x128, b,
                               kinds.BlockWise128x128,
                               output_dtype=torch.bfloat16)
        try:
            actual = run()[rows].double()
            if DEVICE == "cuda":
                torch.cuda.synchronize()
        except Exception as error:  # what it takes differs by version
            reasons.append(f"{name}: {str(error).splitlines()[0][:80]}")
            continue
        if (actual - expected).abs().max() < 0.02 * expected.abs().max():
            return run
        reasons.append(f"{name}: wrong result")
    return "; ".join(reasons)


def triton_gemm(x, w, sx, sw):
    if x.shape[0] < 64:
        return "triton: of 64 rows and more"
    try:
        import triton_gemm as ours
    except Exception as error:
        return f"triton: {str(error).splitlines()[0][:120]}"
    rows, expected = reference(x, w, sx, sw)
    try:
        actual = ours.gemm(x, w, sx, sw)[rows].double()
    except Exception as error:  # a compiler of its own
        return f"{type(error).__name__}: {str(error).splitlines()[-1][:120]}"
    if not (actual - expected).abs().max() < 0.02 * expected.abs().max():
        return "wrong result"
    return lambda: ours.gemm(x, w, sx, sw)


def gemm_peers(m, n, k):
    """{peer: seconds or the reason why not}."""
    operands = fp8_operands(m, n, k)
    result = {}
    for name, make in (("torch scaled_mm", torch_scaled_mm),
                       ("triton", triton_gemm)):
        run = make(*operands)
        result[name] = run if isinstance(run, str) else seconds(run)
    return result


def sdpa_prefill(tokens, heads, qk, v):
    """cuDNN's causal attention over one chunk, [1, heads, tokens, .]."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    q, k = (torch.randn(1, heads, tokens, qk, device=DEVICE,
                        dtype=torch.bfloat16) for _ in range(2))
    value = torch.randn(1, heads, tokens, v, device=DEVICE, dtype=torch.bfloat16)
    backend = SDPBackend.CUDNN_ATTENTION if DEVICE == "cuda" else \
        SDPBackend.MATH
    try:
        with sdpa_kernel(backend):
            return seconds(lambda: F.scaled_dot_product_attention(
                q, k, value, is_causal=True))
    except RuntimeError as error:
        return f"cuDNN: {str(error).splitlines()[0]}"


def main():
    def say(key, value):
        print(json.dumps({key: value}), flush=True)

    small = "--small" in sys.argv
    say("torch", version())
    say("torch_copy_bytes_per_second", copy_rate(small))
    say("torch_bf16_flops_per_second", bf16_rate(small))
    for shape in sys.argv[1:]:
        if shape != "--small":
            say(shape, gemm_peers(*map(int, shape.split(","))))
    say("cudnn_sdpa_4096", sdpa_prefill(
        *((8, 2, 24, 16) if small else (4096, 128, 192, 128))))


if __name__ == "__main__":
    main()
