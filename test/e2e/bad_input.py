"""Gives the built tools bad input and checks what they say.

    bad_input.py --bin build/bin [--only TEXT] [--flips N]

Every case must end with an exit status of the error table (2 to 6, never a
signal and never 0 or 1: bad input is no internal error), print a line with an
error code (H and four digits) or a usage message that names what is wrong, and
leave no output file and no temporary file behind. Prints one line a case and
`N passed, N failed`. Needs python3 and numpy.
"""

import argparse
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile

import make_configs
import numpy as np

formats = make_configs.formats
MODEL = "v3-odd-fp8"
GOOD = "0,5,17,3"


class Bench:
    """A directory to spoil things in, and the outcome of the cases."""

    def __init__(self, bin_dir, work, only):
        self.bin, self.work, self.only = bin_dir, work, only
        self.passed = self.failed = 0
        self.good = make_configs.write(MODEL, os.path.join(work, "good"))
        self.artifact = os.path.join(work, "good.hadal")

    def call(self, tool, *args, file_limit=None):
        """Runs a tool; file_limit caps what it may write, in bytes."""
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))

        return subprocess.run(
            [os.path.join(self.bin, tool), *map(str, args)], capture_output=True,
            timeout=300, preexec_fn=limit if file_limit else None)

    def verdict(self, done, words, status):
        """Returns what is wrong with the outcome of a call, or None."""
        text = done.stderr.decode(errors="replace")
        if done.returncode < 0:
            return f"died of signal {-done.returncode}: {text[-200:]}"
        if done.returncode not in status:
            return f"status {done.returncode}, expected {status}: {text[-200:]}"
        if not re.search(r"\bH\d{4}\b|usage|for the --", text):
            return f"no error code and no usage message: {text[-200:]}"
        for word in words:
            if word not in text:
                return f"the message does not name {word!r}: {text[-300:]}"
        lines = [l for l in text.splitlines() if re.search(r"\bH\d{4}\b", l)]
        if len(lines) > 1:
            return f"{len(lines)} lines with an error code: {lines[:3]}"
        self.said = (lines or text.splitlines())[0]
        return None

    def case(self, name, act, words=(), status=(2, 3, 4, 5)):
        """Runs act(directory) -> completed process and judges it."""
        if self.only and self.only not in name:
            return
        folder = tempfile.mkdtemp(dir=self.work)
        try:
            done = act(folder)
            wrong = self.verdict(done, words, status)
            left = [f for f in os.listdir(folder) if f.startswith("out")]
            if not wrong and left:
                wrong = f"left behind: {left}"
        except subprocess.TimeoutExpired:
            wrong = "did not end within 300 s"
        finally:
            shutil.rmtree(folder)
        self.passed += not wrong
        self.failed += bool(wrong)
        print(f"FAIL {name}: {wrong}" if wrong else f"ok   {name}: {self.said[:150]}",
              flush=True)

    def compile(self, model, folder, *args, **kwargs):
        return self.call("hadal-compile", model, "-o",
                         os.path.join(folder, "out.hadal"), *args, **kwargs)

    def run(self, *args, artifact=None, weights=None):
        return self.call("hadal-run", artifact or self.artifact, "--weights",
                         weights or self.good, *args)

    def copy(self, folder):
        model = os.path.join(folder, "model")
        shutil.copytree(self.good, model)
        return model


# ------------------------------------------------------------- config.json

def set_field(path, value):
    """Returns a change that sets a field ("a.b" is b inside a)."""
    def change(config):
        *outer, last = path.split(".")
        for key in outer:
            config = config[key]
        config[last] = value

    return change


def drop_field(path):
    return lambda config: config.pop(path)


CONFIG_CASES = [
    # name of the case, change, words that the message must hold
    ("missing field", drop_field("hidden_size"), ["hidden_size"]),
    ("field of the wrong type", set_field("hidden_size", "256"), ["hidden_size"]),
    ("negative width", set_field("kv_lora_rank", -8), ["kv_lora_rank"]),
    ("zero width", set_field("v_head_dim", 0), ["v_head_dim"]),
    ("fractional width", set_field("intermediate_size", 2.5), ["intermediate_size"]),
    ("width beyond any machine", set_field("hidden_size", 2**62), ["hidden_size"]),
    ("number beyond 64 bits", set_field("vocab_size", 10**30), ["vocab_size"]),
    ("odd rotary width", set_field("qk_rope_head_dim", 15), ["qk_rope_head_dim"]),
    ("groups that do not divide the experts", set_field("n_group", 5), ["n_group"]),
    ("more groups kept than there are", set_field("topk_group", 4), ["topk_group"]),
    ("more experts than the kept groups hold",
     set_field("num_experts_per_tok", 9), ["num_experts_per_tok"]),
    ("key heads unlike heads", set_field("num_key_value_heads", 1),
     ["num_key_value_heads"]),
    ("another architecture", set_field("model_type", "llama"), ["llama"]),
    ("V3.2's indexer", set_field("index_topk", 2048), ["index_topk"]),
    ("another activation", set_field("hidden_act", "gelu"), ["hidden_act"]),
    ("biases in attention", set_field("attention_bias", True), ["attention_bias"]),
    ("unknown scoring", set_field("scoring_func", "tanh"), ["scoring_func"]),
    ("unknown selection", set_field("topk_method", "best"), ["topk_method"]),
    ("another rotary scaling", set_field("rope_scaling.type", "llama3"), ["llama3"]),
    ("another block size", set_field(
        "quantization_config.weight_block_size", [64, 64]), ["weight_block_size"]),
    ("another quantisation", set_field(
        "quantization_config.quant_method", "gptq"), ["gptq"]),
    ("unknown scale format", set_field(
        "quantization_config.scale_fmt", "e5m2"), ["scale_fmt"]),
]


def config_cases(bench):
    for name, change, words in CONFIG_CASES:
        def act(folder, change=change):
            model = bench.copy(folder)
            path = os.path.join(model, "config.json")
            with open(path) as file:
                config = json.load(file)
            change(config)
            with open(path, "w") as file:
                json.dump(config, file)
            return bench.compile(model, folder)

        bench.case("config: " + name, act, words, (3,))
    for name, text in [("empty file", ""), ("not JSON", "{"), ("not an object", "[1]"),
                       ("not UTF-8", b"{\"a\": \"\xff\"}"),
                       ("nested without end", "[" * 200000)]:
        def act(folder, text=text):
            model = bench.copy(folder)
            with open(os.path.join(model, "config.json"), "wb") as file:
                file.write(text if isinstance(text, bytes) else text.encode())
            return bench.compile(model, folder)

        bench.case("config: " + name, act, ["config.json"], (3,))
    bench.case("config: no such directory", lambda folder: bench.compile(
        os.path.join(folder, "none"), folder), ["none"], (2, 3))


# ------------------------------------------------------------- safetensors

def rebuilt(model, change):
    """Rewrites the weights of `model` with the header changed in place."""
    path = os.path.join(model, "model.safetensors")
    with open(path, "rb") as file:
        data = file.read()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header = change(header) or header
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + data[8 + size :])


PROJ = "model.layers.1.self_attn.o_proj.weight"
NORM = "model.norm.weight"


def spoiled(bench, folder, change):
    """Returns a copy of the model whose {name: (dtype, array)} went through
    change."""
    model = bench.copy(folder)
    path = os.path.join(model, "model.safetensors")
    tensors = {n: (d, np.array(a))
               for n, (d, a) in formats.read_safetensors(path).items()}
    change(tensors)
    formats.write_safetensors(path, tensors)
    return model


def entry(**changes):
    def change(header):
        header[PROJ].update(changes)

    return change


HEADER_CASES = [
    ("offsets backwards", entry(data_offsets=[100, 50]), [PROJ]),
    ("offsets beyond the file", entry(data_offsets=[0, 2**40]), [PROJ]),
    ("offsets beyond 64 bits", entry(data_offsets=[0, 2**70]), []),
    ("negative offset", entry(data_offsets=[-8, 16]), []),
    ("offsets that do not fit the shape", entry(data_offsets=[0, 16]), [PROJ]),
    ("a shape whose size overflows", entry(shape=[2**33, 2**33]), [PROJ]),
    ("a negative extent", entry(shape=[-1, 200]), []),
    ("an unknown dtype", entry(dtype="F7"), [PROJ]),
    ("a missing dtype", lambda h: h[PROJ].pop("dtype") and None, []),
    ("no shape", lambda h: h[PROJ].pop("shape") and None, []),
    ("transposed", lambda h: entry(shape=h[PROJ]["shape"][::-1])(h), [PROJ]),
    ("a scale grid of another shape",
     lambda h: h[PROJ + "_scale_inv"].update(shape=[1, 4]), [PROJ]),
    ("overlapping tensors", lambda h: h[NORM].update(
        data_offsets=[0, h[NORM]["data_offsets"][1] - h[NORM]["data_offsets"][0]]),
     []),
    ("not JSON", lambda h: b"{\"a\": ", []),
    ("not an object", lambda h: b"[]", []),
    ("nested without end", lambda h: b"{\"a\":" * 50000, []),
]


EXTRA = "model.layers.1.extra.weight"
LAYER = "model.layers.7.input_layernorm.weight"
SCALE = "model.layers.1.mlp.experts.3.up_proj.weight_scale_inv"
BIAS = "model.layers.1.mlp.gate.e_score_correction_bias"


def put(name, value):
    def change(tensors):
        tensors[name][1].reshape(-1)[0] = value

    return change


def cut(name):
    def change(tensors):
        dtype, array = tensors[name]
        tensors[name] = (dtype, array[:-1])

    return change


def add(name, like):
    return lambda tensors: tensors.update({name: tensors[like]})


TENSOR_CASES = [  # seen in the headers, by the compiler
    ("a tensor missing", lambda t: t.pop(NORM), [NORM]),
    ("a scale missing", lambda t: t.pop(SCALE), [SCALE.removesuffix("_scale_inv")]),
    ("a bias missing", lambda t: t.pop(BIAS), [BIAS]),
    ("an extra tensor", add(EXTRA, NORM), [EXTRA]),
    ("a layer too many", add(LAYER, NORM), [LAYER]),
    ("a tensor of another shape", cut(NORM), [NORM]),
    ("a scale for a weight that is not FP8", lambda t: t.update(
        {PROJ: ("BF16", formats.to_bf16(formats.E4M3[t[PROJ][1]]))}), [PROJ]),
]
VALUE_CASES = [  # seen in the data, by the runtime
    ("a bias that is not a number", put(BIAS, np.nan), [BIAS]),
    ("an infinite bias", put(BIAS, np.inf), [BIAS]),
    ("a scale that is not a number", put(SCALE, np.nan), [SCALE]),
    ("an infinite scale", put(SCALE, np.inf), [SCALE]),
]


def header_cases(bench):
    for name, change, words in TENSOR_CASES:
        bench.case("safetensors: " + name, lambda folder, c=change: bench.compile(
            spoiled(bench, folder, c), folder), words, (3,))
    for name, change, words in HEADER_CASES:
        def act(folder, change=change):
            model = bench.copy(folder)
            rebuilt(model, change)
            return bench.compile(model, folder)

        bench.case("safetensors: " + name, act, words, (3,))
    path = "model.safetensors"
    for name, spoil in [
            ("empty", lambda data: b""),
            ("four bytes", lambda data: data[:4]),
            ("a header longer than the file",
             lambda data: (2**40).to_bytes(8, "little") + data[8:]),
            ("a header length beyond 63 bits",
             lambda data: (2**64 - 1).to_bytes(8, "little") + data[8:]),
            ("cut in the header", lambda data: data[:200]),
            ("cut in the data", lambda data: data[: len(data) // 2])]:
        def act(folder, spoil=spoil):
            model = bench.copy(folder)
            with open(os.path.join(model, path), "rb") as file:
                data = file.read()
            with open(os.path.join(model, path), "wb") as file:
                file.write(spoil(data))
            return bench.compile(model, folder)

        bench.case("safetensors: " + name, act, [path], (3,))
    for name, where in [("an index that names a missing file", "gone.safetensors"),
                        ("an index that leaves the directory", "../good.bin")]:
        def act(folder, where=where):
            model = bench.copy(folder)
            os.remove(os.path.join(model, path))
            names = make_configs.make_tensors(MODEL)
            with open(os.path.join(model, path + ".index.json"), "w") as file:
                json.dump({"weight_map": {n: where for n in names}}, file)
            return bench.compile(model, folder)

        bench.case("safetensors: " + name, act, [], (3,))


# ------------------------------------------------------------- options, files

def option_cases(bench):
    for args in (["--max-batch-size", 0], ["--max-seq-len", 0],
                 ["--max-seq-len", 2**40], ["--decode-buckets", "0"],
                 ["--prefill-buckets", "-4"], ["--target", "toaster"],
                 ["--attention", "sparse"], ["--fp8", "w4a4"]):
        bench.case(f"compile {args[0]} {args[1]}", lambda folder, a=args:
                   bench.compile(bench.good, folder, f"{a[0]}={a[1]}"))
    bench.case("compile into a missing directory", lambda folder: bench.call(
        "hadal-compile", bench.good, "-o",
        os.path.join(folder, "none", "x.hadal")))
    bench.case("compile to a file system that is full", lambda folder:
               bench.compile(bench.good, folder, file_limit=8192), [], (4,))


def artifact_cases(bench, flips):
    with open(bench.artifact, "rb") as file:
        data = file.read()

    def with_bytes(folder, changed):
        path = os.path.join(folder, "m.hadal")
        with open(path, "wb") as file:
            file.write(changed)
        return bench.run("--input-ids", GOOD, "-n", 1, artifact=path)

    for name, changed in [
            ("empty", b""), ("text", b"not an artifact\n" * 400),
            ("cut in the header", data[:40]), ("cut in the manifest", data[:3000]),
            ("last byte missing", data[:-1]), ("one byte more", data + b"\0"),
            ("another version", data[:8] + b"\x63\0\0\0" + data[12:])]:
        bench.case("artifact: " + name,
                   lambda folder, c=changed: with_bytes(folder, c), [], (3,))
    rng = formats.Random(2026)
    for bit in [*range(0, 512, 37), *rng.integers(flips, 512, 8 * len(data))]:
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        bench.case(f"artifact: bit {bit} flipped", lambda folder, c=bytes(flipped):
                   with_bytes(folder, c), [], (3,))
    bench.case("artifact: no such file", lambda folder: bench.run(
        "--input-ids", GOOD, artifact=os.path.join(folder, "none.hadal")), ["none"])


def weight_cases(bench):
    for name, change, words in TENSOR_CASES[:3] + TENSOR_CASES[5:] + VALUE_CASES:
        bench.case("weights: " + name, lambda folder, c=change: bench.run(
            "--input-ids", GOOD, "-n", 1,
            weights=spoiled(bench, folder, c)), words, (3,))
    bench.case("weights: no such directory", lambda folder: bench.run(
        "--input-ids", GOOD, weights=os.path.join(folder, "none")), ["none"])


def request_cases(bench):
    vocab = make_configs.CONFIGS[MODEL][0]["vocab_size"]
    for name, args in [
            ("an id outside the vocabulary", ["--input-ids", f"0,{vocab}"]),
            ("a negative id", ["--input-ids", "0,-1"]),
            ("an id beyond 32 bits", ["--input-ids", f"0,{2**32 + 5}"]),
            ("no number", ["--input-ids", "0,a"]),
            ("no ids", ["--input-ids", ""]),
            ("a trailing comma", ["--input-ids", "0,"]),
            ("more tokens than max-seq-len",
             ["--input-ids", ",".join(["5"] * 600)]),
            ("a text without a tokenizer", ["-p", "hello"]),
            ("neither text nor ids", []),
            ("text and ids", ["-p", "hello", "--input-ids", GOOD]),
            ("no thread", ["--input-ids", GOOD, "-t", 0]),
            ("a negative temperature", ["--input-ids", GOOD, "--temp", -1]),
            ("top-p of zero", ["--input-ids", GOOD, "--temp", 1, "--top-p", 0]),
            ("top-p of two", ["--input-ids", GOOD, "--temp", 1, "--top-p", 2]),
            ("an unknown device", ["--input-ids", GOOD, "--device", "toaster"]),
            ("an unknown flag", ["--input-ids", GOOD, "--frobnicate"])]:
        bench.case("run: " + name, lambda folder, a=args: bench.run(*a))
    bench.case("run: logits into a missing directory", lambda folder: bench.run(
        "--input-ids", GOOD, "--logits", "all", "--output",
        os.path.join(folder, "none", "x.npy")))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True)
    parser.add_argument("--only")
    parser.add_argument("--flips", type=int, default=60)
    args = parser.parse_args()
    work = tempfile.mkdtemp(prefix="hadal-bad-")
    try:
        bench = Bench(args.bin, work, args.only)
        done = bench.call(
            "hadal-compile", bench.good, "-o", bench.artifact, "--max-seq-len=512",
            "--max-batch-size=2", "--decode-buckets=2", "--prefill-buckets=64")
        if done.returncode:
            sys.exit(f"good input does not compile: {done.stderr.decode()[-500:]}")
        config_cases(bench)
        header_cases(bench)
        option_cases(bench)
        good = bench.run("--input-ids", GOOD, "-n", 1)
        if good.returncode:
            sys.exit(f"good input does not run: {good.stderr.decode()[-500:]}")
        weight_cases(bench)
        request_cases(bench)
        artifact_cases(bench, args.flips)
        print(f"{bench.passed} passed, {bench.failed} failed")
        sys.exit(1 if bench.failed or not bench.passed else 0)
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
