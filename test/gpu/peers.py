"""What others reach at the same shapes on the same GPU, timed in turns with us."""

import torch
import torch.nn.functional as F

FP8 = torch.float8_e4m3fn


def seconds(run, repeat=20):
    """The median time of a call, the caches flushed by a copy before each."""
    flush = torch.empty(256 << 20, dtype=torch.uint8, device="cuda")
    run()
    times = []
    for _ in range(repeat):
        flush.zero_()
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        run()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end) * 1e-3)
    return sorted(times)[len(times) // 2]


def copy_rate():
    """Bytes read plus written per second."""
    a = torch.empty(1 << 30, dtype=torch.uint8, device="cuda")
    b = torch.empty_like(a)
    return 2 * a.numel() / seconds(lambda: b.copy_(a))


def bf16_rate(size=8192):
    a = torch.randn(size, size, device="cuda", dtype=torch.bfloat16)
    b = torch.randn(size, size, device="cuda", dtype=torch.bfloat16)
    return 2 * size**3 / seconds(lambda: a @ b)


def blocks(n):
    return (n + 127) // 128


def fp8_operands(m, n, k):
    x = torch.randn(m, k, device="cuda").clamp(-4, 4).to(FP8)
    w = torch.randn(n, k, device="cuda").clamp(-4, 4).to(FP8)
    sx = torch.rand(m, blocks(k), device="cuda") / 64 + 1 / 128
    sw = torch.rand(blocks(n), blocks(k), device="cuda") / 64 + 1 / 128
    return x, w, sx, sw


def reference(x, w, sx, sw):
    """In float64, a few rows."""
    rows = torch.arange(0, x.shape[0], max(1, x.shape[0] // 8), device="cuda")
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
    kinds = F.ScalingType
    pad = (-sw.shape[1]) % 4
    layouts = {
        "plain": (sx, sw),
        "columns": (sx.t().contiguous().t(), sw.t().contiguous().t()),
        "columns, padded": (sx.t().contiguous().t(),
                            F.pad(sw, (0, pad)).t().contiguous().t()
                            [:, :sw.shape[1]]),
        "columns of x": (sx.t().contiguous().t(), sw),
        "transposed w": (sx.t().contiguous().t(), sw.t()),
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
        except Exception as error:  # what it takes differs by version
            reasons.append(f"{name}: {str(error).splitlines()[0][:80]}")
            continue
        if (actual - expected).abs().max() < 0.02 * expected.abs().max():
            return run
        reasons.append(f"{name}: wrong result")
    return "; ".join(reasons)


def triton_gemm(x, w, sx, sw):
    try:
        import triton_gemm as ours
    except ImportError as error:
        return str(error)
    rows, expected = reference(x, w, sx, sw)
    actual = ours.gemm(x, w, sx, sw)[rows].double()
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
    q, k = (torch.randn(1, heads, tokens, qk, device="cuda",
                        dtype=torch.bfloat16) for _ in range(2))
    value = torch.randn(1, heads, tokens, v, device="cuda", dtype=torch.bfloat16)
    try:
        with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
            return seconds(lambda: F.scaled_dot_product_attention(
                q, k, value, is_causal=True))
    except RuntimeError as error:
        return str(error).splitlines()[0]
