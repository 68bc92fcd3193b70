"""A block-FP8 GEMM in Triton, as a yardstick: y = x . w^T with scales of 1 x 128
of x and 128 x 128 of w, promoted to float32 every 128 of K."""

import torch
import triton
import triton.language as tl


@triton.autotune(
    configs=[triton.Config({"BM": bm, "BN": bn}, num_stages=stages, num_warps=warps)
             for bm, bn, warps in ((64, 128, 4), (128, 128, 8))
             for stages in (3, 4)],
    key=["M", "N", "K"],
    do_bench=lambda call, quantiles: triton.testing.do_bench(
        call, warmup=5, rep=20, quantiles=quantiles))
@triton.jit
def _gemm(x, w, sx, sw, y, M, N, K, BM: tl.constexpr, BN: tl.constexpr):
    pid = tl.program_id(0)
    rows = tl.cdiv(M, BM)
    m = (pid % rows) * BM + tl.arange(0, BM)
    n = (pid // rows) * BN + tl.arange(0, BN)
    k = tl.arange(0, 128)
    blocks = tl.cdiv(K, 128)
    acc = tl.zeros((BM, BN), dtype=tl.float32)
    for b in range(blocks):
        at = b * 128 + k
        a = tl.load(x + m[:, None] * K + at[None, :],
                    mask=(m < M)[:, None] & (at < K)[None, :], other=0.0)
        c = tl.load(w + n[None, :] * K + at[:, None],
                    mask=(n < N)[None, :] & (at < K)[:, None], other=0.0)
        sa = tl.load(sx + m * blocks + b, mask=m < M, other=0.0)
        sb = tl.load(sw + (n // 128) * blocks + b, mask=n < N, other=0.0)
        acc += tl.dot(a, c) * sa[:, None] * sb[None, :]
    tl.store(y + m[:, None] * N + n[None, :], acc.to(tl.bfloat16),
             mask=(m < M)[:, None] & (n < N)[None, :])


def gemm(x, w, sx, sw):
    """x e4m3 [M,K], w e4m3 [N,K], sx f32 [M,K/128], sw f32 [N/128,K/128]."""
    (m, k), n = x.shape, w.shape[0]
    y = torch.empty(m, n, dtype=torch.bfloat16, device=x.device)
    _gemm[lambda meta: (triton.cdiv(m, meta["BM"]) * triton.cdiv(n, meta["BN"]),)](
        x, w, sx, sw, y, m, n, k)
    return y
