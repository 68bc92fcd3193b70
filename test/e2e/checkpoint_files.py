"""Checkpoint directories as users have them, through compiler and runtime.

    checkpoint_files.py --bin build/bin [--only TEXT]

Each case lays out the tensors of one model in another way: shards, an index that
is right, stale or partial, files of other formats and of a Mac's Finder beside
them, the tensors of parts that are switched off, odd headers. A case says
whether the directory is good. If it is, hadal-compile must import the very same
module as from the plain directory, and hadal-run must give the same bits of
logits; lines that must be said are looked for. If not, both must refuse it with
status 3 and words that name the fault. Then values: scales in other dtypes, a
block of zeros with scale 0, NaN codes, a config.json that announces FP8 for
bf16 tensors, models without query compression at two depths, a file that
shrinks. Needs python3 and numpy.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile

import make_configs
import numpy as np
from metrics import one_minus_cos
from oracle import Oracle

formats = make_configs.formats
MODEL = "v3-odd"
LAYERS = make_configs.CONFIGS[MODEL][0]["num_hidden_layers"]
SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
FINDER = bytes.fromhex("00051607000200004d6163204f5320582020202020202020") + bytes(4072)
NORM = "model.norm.weight"
EXPERT = "model.layers.1.mlp.experts.0.gate_proj"


class Failure(Exception):
    pass


class Bench:
    def __init__(self, bin_dir, work, only):
        self.bin, self.work, self.only = bin_dir, work, only
        self.passed = self.failed = 0
        self.plain = make_configs.write(MODEL, os.path.join(work, "plain"))
        self.config, self.tensors = formats.read_checkpoint(self.plain)
        self.artifact = os.path.join(work, "plain.hadal")
        self.compile(self.plain, self.artifact)
        self.module = self.imported(self.plain)
        self.logits = self.run(self.artifact, self.plain)

    def call(self, tool, *args, status=0):
        done = subprocess.run([os.path.join(self.bin, tool), *map(str, args)],
                              capture_output=True, timeout=600)
        text = done.stderr.decode(errors="replace")
        if done.returncode != status:
            raise Failure(f"{tool}: status {done.returncode}, expected {status}: "
                          f"{text.strip()[-300:]}")
        return done.stdout, text

    def compile(self, model, out, *args):
        self.call("hadal-compile", model, "-o", out, "--max-batch-size=1",
                  "--max-seq-len=128", "--decode-buckets=1",
                  "--prefill-buckets=64", *(args or ["--activations=f32"]))

    def imported(self, model, said=""):
        """The module that the compiler imports; |said|: words of its lines."""
        text, lines = self.call(
            "hadal-compile", model, "--compile-to=import", "-o", "-")
        if said not in lines:
            raise Failure(f"hadal-compile does not say {said!r}: {lines}")
        return text

    def refusal(self, model):
        """What the compiler says when it refuses `model`."""
        return self.call("hadal-compile", model, "--compile-to=import", "-o",
                         "-", status=3)[1]

    def run(self, artifact, model, count=12, name=MODEL, **kwargs):
        out = os.path.join(self.work, "o.npy")
        ids = make_configs.prompt_ids(name, count)
        text = self.call("hadal-run", artifact, "--weights", model,
                         "--input-ids", ",".join(map(str, ids)), "--logits",
                         "all", "--output", out, "-t", 2, **kwargs)[1]
        return text if kwargs.get("status") else np.load(out)

    def case(self, name, act):
        if self.only and self.only not in name:
            return
        folder = tempfile.mkdtemp(dir=self.work)
        try:
            act(folder)
            self.passed += 1
            print(f"ok {name}", flush=True)
        except Failure as wrong:
            self.failed += 1
            print(f"FAILED {name}: {wrong}", flush=True)
        finally:
            shutil.rmtree(folder)


# ------------------------------------------------------------- directories

def write_config(folder, config, **fields):
    config = {k: v for k, v in {**config, **fields}.items() if v is not ...}
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(config, file)


def write_file(folder, name, data=FINDER):
    with open(os.path.join(folder, name), "wb") as file:
        file.write(data if isinstance(data, bytes) else data.encode())


def write_tensors(folder, name, tensors):
    formats.write_safetensors(os.path.join(folder, name), tensors)


def write_index(folder, places):
    write_file(folder, INDEX, json.dumps({"metadata": {}, "weight_map": places}))


def halves(tensors):
    names = list(tensors)
    middle = len(names) // 2
    return [{n: tensors[n] for n in part}
            for part in (names[:middle], names[middle:])]


def shards(folder, tensors, index=True, names=SHARDS, **changes):
    """Two shards and their index; `changes` are tensors added to the first."""
    parts = halves(tensors)
    places = {n: name for name, part in zip(names, parts) for n in part}
    if changes:
        parts[0] = {**changes, **parts[0]}
    for name, part in zip(names, parts):
        write_tensors(folder, name, part)
    if index:
        write_index(folder, places)
    return parts, places


def extra_layer(bench, layer, modules=("enorm", "hnorm", "eh_proj",
                                       "shared_head.norm", "shared_head.head",
                                       "embed_tokens")):
    """The tensors of a multi-token prediction layer, as V3 stores them."""
    last = f".layers.{LAYERS - 1}."
    tensors = {n.replace(last, f".layers.{layer}."): t
               for n, t in bench.tensors.items() if last in n}
    for module in modules:
        tensors[f"model.layers.{layer}.{module}.weight"] = bench.tensors[NORM]
    return tensors


def rewritten(folder, change, data=lambda d: d):
    """Changes the header of the single file, and its data."""
    path = os.path.join(folder, SINGLE)
    with open(path, "rb") as file:
        blob = file.read()
    size = int.from_bytes(blob[:8], "little")
    text = change(json.loads(blob[8 : 8 + size]))
    text = text if isinstance(text, bytes) else json.dumps(text).encode()
    write_file(folder, SINGLE,
               len(text).to_bytes(8, "little") + text + data(blob[8 + size :]))


def layouts(bench):
    """(name, good, words, lay out a folder)."""
    t = bench.tensors
    good, bad = True, False

    def single(folder, tensors=t, name=SINGLE):
        write_tensors(folder, name, tensors)

    def with_files(base, **files):
        def lay(folder):
            base(folder)
            for name in files.get("finder", []):
                write_file(folder, name)
            for name in files.get("copies", []):
                write_tensors(folder, name, halves(t)[0])

        return lay

    def finder(base):
        def lay(folder):
            base(folder)
            for name in os.listdir(folder):
                write_file(folder, "._" + name)
            write_file(folder, "._" + SINGLE)
            os.makedirs(os.path.join(folder, ".cache/huggingface/download"))

        return lay

    def linked(folder):
        os.makedirs(os.path.join(folder, "blobs"))
        single(os.path.join(folder, "blobs"), name="a1b2")
        os.symlink("blobs/a1b2", os.path.join(folder, SINGLE))

    plain_shards = lambda folder: shards(folder, t, index=False)
    other_names = ["part-1-of-2.safetensors", "part-2-of-2.safetensors"]
    yield "one file under another name", good, "", \
        lambda f: single(f, name="weights.safetensors")
    yield "a link to a blob", good, "", linked
    yield "shards with an index", good, "", lambda f: shards(f, t)
    yield "shards without an index", good, "", plain_shards
    yield "shards of another prefix", good, "", \
        lambda f: shards(f, t, False, other_names)
    for name, base in (("one file", single), ("shards", plain_shards),
                       ("shards and index", lambda f: shards(f, t))):
        yield f"Finder's files beside {name}", good, "", finder(base)
    over = "passed over 1 file that is not part of the model: "
    yield "consolidated.safetensors beside one file", good, \
        over + "consolidated.safetensors", \
        with_files(single, copies=["consolidated.safetensors"])
    yield "consolidated.safetensors beside shards", good, \
        over + "consolidated.safetensors", \
        with_files(plain_shards, copies=["consolidated.safetensors"])
    yield "consolidated.safetensors beside an index", good, \
        over + "consolidated.safetensors", \
        with_files(lambda f: shards(f, t), copies=["consolidated.safetensors"])
    yield "an adapter beside", good, over + "adapter_model.safetensors", \
        with_files(single, copies=["adapter_model.safetensors"])
    yield "optimizer and second download beside", good, "passed over 2 files", \
        with_files(plain_shards, finder=["optimizer.safetensors",
                                         "model-00001-of-00002 (1).safetensors"])
    yield "pytorch_model.bin and a GGUF beside", good, "", \
        with_files(single, finder=["pytorch_model.bin", "m.gguf", "x.pth"])

    def stale(folder):
        wrong = {n: (d, a[::-1].copy()) for n, (d, a) in list(halves(t)[1].items())[:3]}
        shards(folder, t, **wrong)

    yield "stale copies in the first shard", good, "", stale
    yield "a tensor that the index does not name", good, \
        "left out 1 tensors: 1 that the index does not name", \
        lambda f: shards(f, t, **{EXPERT + ".qweight": t[NORM]})

    def partial(folder):
        _, places = shards(folder, t)
        write_index(folder, {n: p for n, p in places.items() if n != NORM})

    yield "a needed tensor that the index does not name", good, "", partial

    def outlived(folder):
        single(folder)
        write_index(folder, {n: SHARDS[0] for n in t})

    yield "an index whose shards were merged", good, over + INDEX, outlived

    mtp = extra_layer(bench, LAYERS)
    said = f"left out {len(mtp)} tensors: {len(mtp)} of multi-token prediction"
    for name, count in (("announced", 1), ("switched off", 0), ("not named", ...)):
        def lay(folder, count=count):
            single(folder, {**t, **mtp})
            write_config(folder, bench.config, num_nextn_predict_layers=count)

        yield f"MTP tensors, {name}", good, said, lay
    deep = {**extra_layer(bench, LAYERS + 5, ["enorm"]),
            **extra_layer(bench, 61, ["shared_head.norm"])}
    yield "MTP layers at other depths", good, f"{len(deep)} of multi-token", \
        lambda f: single(f, {**t, **deep})
    yield "MTP layers in shards", good, f"{len(mtp)} of multi-token", \
        lambda f: shards(f, {**t, **mtp})
    table = {f"model.layers.{i}.self_attn.rotary_emb.inv_freq": t[NORM]
             for i in range(LAYERS)}
    yield "rotary tables", good, f"{LAYERS} rotary tables", \
        lambda f: single(f, {**t, **table})

    def header(change, data=lambda d: d):
        def lay(folder):
            single(folder)
            rewritten(folder, change, data)

        return lay

    yield "a header in another order", good, "", \
        header(lambda h: dict(sorted(h.items(), reverse=True)))
    for pad in (1, 2, 5):
        yield f"data at an odd place ({pad})", good, "", header(
            lambda h, p=pad: (s := json.dumps(h).encode())
            + b" " * ((p - len(s)) % 8))
    end = lambda h: max(e["data_offsets"][1] for n, e in h.items()
                        if n != "__metadata__")
    odd = lambda dtype, size: lambda h: {
        **h, "model.layers.9.enorm.weight": dict(
            dtype=dtype, shape=[2, 4], data_offsets=[end(h), end(h) + size])}
    for dtype, size in (("C64", 64), ("F4", 4), ("I16", 16), ("F8_E4M3FNUZ", 8)):
        yield f"{dtype} in a tensor that is left out", good, "1 of multi-token", \
            header(odd(dtype, size), lambda d, s=size: d + bytes(s))
    yield "a tensor of no elements that is left out", good, "1 of multi-token", \
        header(lambda h: {**h, "model.layers.9.enorm.weight": dict(
            dtype="F32", shape=[0, 7], data_offsets=[0, 0])})

    def without(name):
        def lay(folder):
            plain_shards(folder)
            os.remove(os.path.join(folder, name))

        return lay

    yield "a shard missing", bad, "shard 2 of model-*-of-00002", without(SHARDS[1])
    yield "a shard of the index missing", bad, SHARDS[0], \
        lambda f: (shards(f, t), os.remove(os.path.join(f, SHARDS[0])))
    yield "a download that did not end", bad, "the download", \
        lambda f: (single(f), os.rename(os.path.join(f, SINGLE),
                                        os.path.join(f, SINGLE + ".part")))
    yield "two sets of shards", bad, "two sets of shards", \
        lambda f: (plain_shards(f), single(f, t, "model-1-of-1.safetensors"))
    yield "a tensor in two files", bad, "is in both", \
        lambda f: (single(f, t, "a.safetensors"),
                   single(f, {NORM: t[NORM]}, "b.safetensors"))
    yield "an index that names a wrong file", bad, "puts tensor", \
        lambda f: write_index(f, {**shards(f, t)[1], NORM: SHARDS[0]})
    yield "an index of a tensor that no file has", bad, "model.extra.weight", \
        lambda f: write_index(f, {**shards(f, t)[1],
                                  "model.extra.weight": SHARDS[0]})
    yield "PyTorch's format alone", bad, "pytorch_model.bin", \
        lambda f: write_file(f, "pytorch_model.bin")
    yield "an adapter alone", bad, "is an adapter", \
        lambda f: single(f, t, "adapter_model.safetensors")
    yield "one rank's share", bad, "2 ranks' share", \
        lambda f: single(f, t, "model0-mp2.safetensors")
    yield "a pipe", bad, "expected a regular file", \
        lambda f: os.mkfifo(os.path.join(f, SINGLE))
    yield "a link to nothing", bad, "cannot open", \
        lambda f: os.symlink("blobs/none", os.path.join(f, SINGLE))
    yield "a key twice in the index", bad, "duplicate key", \
        lambda f: (single(f), write_file(f, INDEX, json.dumps(
            {"weight_map": {"x": SINGLE}}).replace('"x"', '"x":"a","x"')))
    yield "a number in __metadata__", bad, "__metadata__", \
        header(lambda h: {**h, "__metadata__": {"epoch": 3}})
    yield "half a byte", bad, "whole bytes", header(lambda h: {
        **h, NORM: {**h[NORM], "dtype": "F4", "shape": [3]}})


def layout_cases(bench):
    for name, good, words, lay in layouts(bench):
        def act(folder, good=good, words=words, lay=lay):
            write_config(folder, bench.config)
            lay(folder)
            if good:
                if bench.imported(folder, words) != bench.module:
                    raise Failure("another module is imported")
                got = bench.run(bench.artifact, folder)
                if got.tobytes() != bench.logits.tobytes():
                    raise Failure("other logits")
                return
            for said in (
                    bench.refusal(folder),
                    bench.run(bench.artifact, folder, status=3)):
                if words not in said or " H" not in said:
                    raise Failure(f"does not say {words!r}: {said[-300:]}")

        bench.case(name, act)


# ------------------------------------------------------------- values

def value_cases(bench):
    w8a16 = ["--activations=f32", "--fp8=w8a16"]

    def checkpoint(name, folder):
        model = make_configs.write(name, folder)
        config, tensors = formats.read_checkpoint(model)
        return model, config, {n: (d, np.array(a)) for n, (d, a) in tensors.items()}

    def scales(folder):
        """Power-of-two scales are the same numbers in three dtypes."""
        model, config, tensors = checkpoint("v3.1-fp8", folder)
        results = []
        for dtype in ("F32", "BF16", "F8_E8M0"):
            header, blob, at = {}, b"", 0
            for name, (kind, array) in tensors.items():
                if name.endswith("_scale_inv"):
                    kind = dtype
                    exponent = np.log2(array).round().astype(int) + 127
                    array = {"F32": array, "BF16": formats.to_bf16(array),
                             "F8_E8M0": exponent.astype(np.uint8)}[dtype]
                data = array.tobytes()
                header[name] = dict(dtype=kind, shape=list(array.shape),
                                    data_offsets=[at, at + len(data)])
                blob, at = blob + data, at + len(data)
            text = json.dumps(header).encode()
            write_file(model, SINGLE, len(text).to_bytes(8, "little") + text + blob)
            if not results:
                bench.compile(model, model + ".hadal", *w8a16)
            else:
                bench.imported(model)
            results.append(bench.run(model + ".hadal", model, name="v3.1-fp8"))
        ids = make_configs.prompt_ids("v3.1-fp8", 12)
        want = Oracle(config, tensors).run(ids)["logits"]
        if one_minus_cos(results[0], want).max() > 1e-8:
            raise Failure("the logits are not the oracle's")
        if any(r.tobytes() != results[0].tobytes() for r in results):
            raise Failure("the dtype of the scales changes the logits")

    def zeros(folder):
        """A pruned expert, a block of zeros in a dense layer: scale 0."""
        name = "v3-fp8"
        model, config, tensors = checkpoint(name, folder)
        for stem in [EXPERT.replace("gate", p) for p in ("gate", "up", "down")]:
            tensors[stem + ".weight"][1][:] = 0
            tensors[stem + ".weight_scale_inv"][1][:] = 0
        dense = "model.layers.0.mlp.up_proj.weight"
        tensors[dense][1][:128, :128] = 0
        tensors[dense + "_scale_inv"][1][0, 0] = 0
        # Codes under a scale of 0 are 0 too.
        kv = "model.layers.1.self_attn.kv_a_proj_with_mqa.weight"
        tensors[kv + "_scale_inv"][1][0, 1] = 0
        write_tensors(model, SINGLE, tensors)
        bench.compile(model, model + ".hadal", *w8a16)
        got = bench.run(model + ".hadal", model, name=name)
        ids = make_configs.prompt_ids(name, 12)
        want = Oracle(config, tensors).run(ids)["logits"]
        worst = one_minus_cos(got, want).max()
        if not worst < 1e-8:
            raise Failure(f"1 - cos {worst:.1e} to the oracle")
        # A NaN code under a scale of 0 is no zero.
        for code in (0x7F, 0xFF):
            tensors[dense][1][5, 7] = code
            write_tensors(model, SINGLE, tensors)
            said = bench.run(model + ".hadal", model, name=name, status=1)
            if "H5008" not in said:
                raise Failure(f"a NaN code: {said[-200:]}")
        for scale in (-1.0, np.inf, -np.inf, np.nan):
            tensors[dense + "_scale_inv"][1][0, 1] = scale
            write_tensors(model, SINGLE, tensors)
            said = bench.run(model + ".hadal", model, name=name, status=3)
            if "H5004" not in said or dense + "_scale_inv" not in said \
                    or "element 1" not in said:
                raise Failure(f"scale {scale}: {said[-200:]}")

    def cast(folder):
        """bf16 tensors, and a config.json that still says FP8."""
        write_config(folder, bench.config, quantization_config=make_configs.FP8)
        write_tensors(folder, SINGLE, bench.tensors)
        if bench.imported(folder) != bench.module:
            raise Failure("another module is imported")

    def direct(folder):
        """No query compression, at depths that other programs have special."""
        for depth in (26, 27):
            config = make_configs.v3(
                hidden_size=64, vocab_size=64, num_hidden_layers=depth,
                q_lora_rank=None, num_nextn_predict_layers=1, n_group=1,
                topk_group=1, intermediate_size=64, moe_intermediate_size=32)
            name = f"direct-{depth}"
            make_configs.CONFIGS[name] = (config, {"branch": 0.3})
            model = make_configs.write(name, folder)
            bench.compile(model, model + ".hadal")
            got = bench.run(model + ".hadal", model, name=name)
            tensors = formats.read_checkpoint(model)[1]
            want = Oracle(config, tensors).run(
                make_configs.prompt_ids(name, 12))["logits"]
            worst = one_minus_cos(got, want).max()
            if not worst < 1e-8:
                raise Failure(f"{depth} layers: 1 - cos {worst:.1e}")

    def rounded(folder):
        """Float32 matrices on sm_90a: the bits of those rounded to bf16."""
        model, config, tensors = checkpoint("dense", folder)
        rng = formats.Random(11)
        floats = {}
        for name, (dtype, array) in tensors.items():
            if dtype == "BF16" and array.ndim == 2:
                # Less than half a step away from the bf16 number.
                low = np.array(rng.integers(array.size, -0x7FFF, 0x8000))
                bits = (array.astype(np.int64) << 16) + low.reshape(array.shape)
                bits = np.where(array & 0x7FFF, bits, 0).astype(np.uint32)
                floats[name] = ("F32", bits.view(np.float32))
            else:
                floats[name] = (dtype, array)
        results = []
        for kind, some in (("bf16", tensors), ("f32", floats)):
            write_tensors(model, SINGLE, some)
            artifact = f"{model}.{kind}.hadal"
            bench.compile(model, artifact, "--target=sm_90a", "--ptxas=none",
                          "--attention=absorbed")
            out = artifact + ".npy"
            said = bench.call(
                "hadal-run", artifact, "--weights", model, "--input-ids", "0,5,9",
                "--logits", "all", "--output", out, "--device", "sim")[1]
            if ("float32 matrices are rounded to bf16" in said) != (kind == "f32"):
                raise Failure(f"{kind}: {said[-300:]}")
            results.append(np.load(out))
        if results[0].tobytes() != results[1].tobytes():
            raise Failure("other logits than of the rounded checkpoint")

    def short(folder):
        """A file that ends early: before the compile, before the run, and while
        it is read."""
        write_config(folder, bench.config)
        write_tensors(folder, SINGLE, bench.tensors)
        path = os.path.join(folder, SINGLE)
        size = os.path.getsize(path)
        os.truncate(path, size - 4096)
        for said in (bench.refusal(folder),
                     bench.run(bench.artifact, folder, status=3)):
            if "download" not in said:
                raise Failure(said[-200:])
        write_tensors(folder, SINGLE, bench.tensors)
        running = subprocess.Popen(
            [os.path.join(bench.bin, "hadal-run"), bench.artifact, "--weights",
             folder, "--input-ids", "5,6,7", "-n", "100", "--ignore-eos", "-t",
             "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        running.stdout.read(1)
        os.truncate(path, 4096)
        error = running.communicate(timeout=120)[1].decode(errors="replace")
        # It may have ended before the file shrank, never with a signal.
        if running.returncode not in (0, 3) or (
                running.returncode == 3 and "H5012" not in error):
            raise Failure(f"status {running.returncode}: {error[-200:]}")

    bench.case("scales in three dtypes", scales)
    bench.case("blocks of zeros with scale 0", zeros)
    bench.case("bf16 tensors under an FP8 config.json", cast)
    bench.case("no query compression, 26 and 27 layers", direct)
    bench.case("float32 matrices on sm_90a", rounded)
    bench.case("a file that ends early", short)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True)
    parser.add_argument("--only")
    args = parser.parse_args()
    work = tempfile.mkdtemp(prefix="hadal-files-")
    try:
        bench = Bench(args.bin, work, args.only)
        layout_cases(bench)
        value_cases(bench)
        print(f"{bench.passed} passed, {bench.failed} failed")
        sys.exit(1 if bench.failed or not bench.passed else 0)
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
