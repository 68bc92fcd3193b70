"""The tables of docs/benchmarks.md from what run.py measured."""

# Rows and columns of the published dense FP8 GEMMs, and what ours does besides
# (a rotary embedding, SwiGLU over two halves).
SHAPES = {
    (2112, 7168): "none",
    (24576, 1536): "rope",
    (32768, 512): "none",
    (7168, 16384): "none",
    (4096, 7168): "none",
    (7168, 2048): "none",
    (36864, 7168): "swiglu_quantize",
    (7168, 18432): "residual",
}
TOKENS = (1, 64, 128, 4096)


def dense_gemm(spec):
    """(m, n, k) of the kernel of |spec| if it is one of SHAPES, or None."""
    if spec.get("kind") != "gemm" or not spec["quantized_input"] or \
            spec["experts"] or spec["rows"] not in TOKENS:
        return None
    halves = 2 if spec["epilogue"].startswith("swiglu") else 1
    shape = (halves * spec["n"], spec["k"])
    return (spec["rows"], *shape) \
        if SHAPES.get(shape) == spec["epilogue"] else None


def kind(row):
    return row.get("spec", {}).get("kind")


def us(value):
    return f"{value * 1e6:.1f}" if isinstance(value, float) else "-"


def share(value):
    return f"{value:.2f}" if isinstance(value, (int, float)) else "-"


def verdict(met):
    return "-" if met is None else "yes" if met else "NO"


def table(title, header, rows):
    lines = [f"\n{title}\n", "| " + " | ".join(header) + " |",
             "|" + " --- |" * len(header)]
    return lines + ["| " + " | ".join(str(c) for c in row) + " |" for row in rows]


def gemm_table(rows, peers):
    """rows: of hadal-bench; peers: {"m,n,k": {name: seconds or reason}}."""
    found, reasons = [], set()
    for row in rows:
        shape = dense_gemm(row.get("spec", {}))
        if not shape or "seconds" not in row:
            continue
        m, n, k = shape
        other = peers.get(f"{m},{n},{k}", {})
        reasons |= {v for v in other.values() if isinstance(v, str)}
        torch = other.get("torch scaled_mm")
        torch = torch if isinstance(torch, float) else None
        ratio = torch / row["seconds"] if torch else None
        met = row["share_of_copy"] >= 0.6 if m == 1 else \
            ratio >= 0.9 if ratio else None
        found.append((m, n, k, us(row["seconds"]), us(torch), share(ratio),
                      us(other.get("triton")), share(row["share_of_copy"]),
                      share(row["share_of_floor"]), verdict(met)))
    lines = table(
        "Dense FP8 GEMM; wanted: 0.9 of torch's blockwise scaled_mm, at M = 1 "
        "0.6 of a copy",
        ("M", "N", "K", "us", "torch us", "torch/ours", "triton us", "of copy",
         "of floor", "met"), sorted(found))
    return lines + [f"not timed: {reason}" for reason in sorted(reasons)]


def decode_table(rows, machine):
    found = []
    copy = machine.get("copy_bytes_per_second")
    math = machine.get("bf16_flops_per_second")
    for row in rows:
        if kind(row) != "mla_decode" or "seconds" not in row or not copy:
            continue
        bound = max(row["bytes"] / copy,
                    row["flops"] / (0.9 * math) if math else 0)
        found.append((row["name"], row["entry"], us(row["seconds"]), us(bound),
                      share(row["seconds"] / bound),
                      verdict(row["seconds"] <= 2 * bound)))
    return table("MLA over the cache; wanted: within 2 of max(bytes / copy, "
                 "FLOP / (0.9 x bf16))",
                 ("kernel", "bucket", "us", "bound us", "times", "met"), found)


ELEMENTWISE = ("norm_quant", "latent_norm_rope_cache", "moe_combine", "embed")


def elementwise_table(rows):
    found = [(row["name"], row["entry"], us(row["seconds"]),
              share(row["share_of_copy"]), verdict(row["share_of_copy"] >= 0.75))
             for row in rows if kind(row) in ELEMENTWISE and
             row["entry"] == "prefill_4096" and "share_of_copy" in row]
    return table("Elementwise at 4096 tokens; wanted: 0.75 of a copy",
                 ("kernel", "bucket", "us", "of copy", "met"), found)


def other_table(rows):
    found = [(row["name"], row["entry"], us(row["seconds"]),
              share(row["share_of_floor"]), share(row["share_of_copy"]),
              share(row["share_of_bf16"]))
             for row in rows if "share_of_floor" in row]
    return table("Every kernel", ("kernel", "bucket", "us", "of floor",
                                  "of copy", "of bf16"), found)


def slice_table(report):
    found = []
    for run in report.get("runs", []):
        decode, prefill = run.get("decode", {}), run.get("prefill", {})
        found.append((run.get("batch"),
                      f"{prefill.get('tokens_per_second', 0):.0f}",
                      f"{decode.get('tokens_per_second', 0):.1f}",
                      us(decode.get("median_step_seconds"))))
    return table("Four layers of DeepSeek-V3, decode from captured graphs",
                 ("batch", "prefill tokens/s", "decode tokens/s", "step us"),
                 found) if found else []


def tables(report):
    """All that the report has, as lines."""
    lines = [f"{report.get('gpu', '')}, {report.get('date', '')}", ""]
    for name, step in report.get("steps", {}).items():
        lines.append(f"{name}: {step.get('result', 'not run')} "
                     f"({step.get('seconds', 0):.0f} s)")
        lines += [f"  {line}" for line in step.get("notes", [])]
    times = report.get("steps", {}).get("times", {})
    rows, machine = times.get("kernels", []), times.get("machine", {})
    if machine:
        lines.append(f"\ncopy {machine['copy_bytes_per_second'] / 1e9:.0f} GB/s "
                     f"({machine['copy_by']}); bf16 "
                     f"{machine['bf16_flops_per_second'] / 1e12:.0f} TFLOP/s "
                     f"({machine['bf16_by']})")
    if rows:
        lines += other_table(rows)
        lines += elementwise_table(rows)
        lines += decode_table(rows, machine)
        lines += gemm_table(rows, times.get("peers", {}))
    lines += slice_table(report.get("steps", {}).get("slice", {}))
    return lines
