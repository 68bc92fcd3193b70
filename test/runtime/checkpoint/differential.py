#!/usr/bin/env python3
"""Compares which damaged safetensors files are accepted with the reference.

    differential.py OPEN_FILES [--count N] [--seed S]

Ours may refuse more, for reasons that EXPECTED names; it may never accept what
the reference refuses. Exits 77 where the package safetensors is missing.
"""
import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile

try:
    from safetensors import SafetensorError, safe_open
except ImportError:
    print("SKIPPED: the Python package safetensors is not installed")
    sys.exit(77)

# Ours alone: a name or member given twice, of which the reference silently takes
# the last, and types that an older release of the reference does not know.
EXPECTED = ("duplicate key",)
DTYPES = {"F32": 4, "BF16": 2, "F8_E4M3": 1, "U8": 1, "I64": 8, "F8_E8M0": 1,
          "BOOL": 1, "F64": 8, "C64": 8, "F4": 0.5, "F6_E2M3": 0.75, "f32": 4}
NUMBERS = [0, 1, 2, 3, 4, 7, 8, 16, -1, 1.5, 2 ** 32, 2 ** 62, 2 ** 63,
           2 ** 64 - 1, 2 ** 64, 10 ** 30, "1", None, True, [], {}]


def make_file(rng):
    header, end = {}, 0
    if rng.random() < 0.4:
        header["__metadata__"] = {"format": "pt"}
    for i in range(rng.randint(0, 4)):
        dtype = rng.choice(list(DTYPES)[:8])
        shape = [rng.randint(0, 4) for _ in range(rng.randint(0, 3))]
        size = DTYPES[dtype]
        for extent in shape:
            size *= extent
        header[f"t{i}"] = {"dtype": dtype, "shape": shape,
                           "data_offsets": [end, end + size]}
        end += size
    return header, end


def mutate(rng, header, size):
    """The bytes of a file with one to three kinds of damage, or none."""
    tensors = [t for t in header if t != "__metadata__"]
    for _ in range(rng.randrange(3)):
        if not tensors:
            break
        tensor = header[rng.choice(tensors)]
        kind = rng.randrange(6)
        if kind == 0:
            tensor["dtype"] = rng.choice(list(DTYPES) + [1, None])
        elif kind == 1 and tensor.get("shape"):
            tensor["shape"][rng.randrange(len(tensor["shape"]))] = \
                rng.choice(NUMBERS)
        elif kind == 2 and tensor.get("data_offsets"):
            tensor["data_offsets"][rng.randrange(2)] = rng.choice(NUMBERS)
        elif kind == 3:
            tensor.pop(rng.choice(["dtype", "shape", "data_offsets"]), None)
        elif kind == 4:
            tensor["extra"] = rng.choice(NUMBERS)
        else:
            size += rng.choice([-1, 1, 8])
    if rng.random() < 0.1:
        header["__metadata__"] = rng.choice([{"a": 1}, [], None, 3, {}])
    text = json.dumps(header).encode()
    if rng.random() < 0.3:
        text += b" " * rng.randint(1, 8)
    length = len(text)
    if rng.random() < 0.1:
        length = rng.choice([0, 1, length - 1, length + 1, 10 ** 8 + 1,
                             2 ** 63, 2 ** 64 - 1])
    data = length.to_bytes(8, "little") + text + bytes(max(size, 0))
    if rng.random() < 0.3:
        at = rng.randrange(min(len(data), 8 + len(text)))
        data = data[:at] + bytes([rng.randrange(256)]) + data[at + 1:]
    if rng.random() < 0.05:
        data = data[:rng.randrange(len(data) + 1)]
    return data


def reference_accepts(path):
    try:
        with safe_open(path, framework="numpy"):
            return True
    except (SafetensorError, OSError, ValueError):
        return False


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("open_files")
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    bad = accepted = stricter = 0
    with tempfile.TemporaryDirectory() as directory:
        paths = []
        for i in range(options.count):
            path = pathlib.Path(directory) / f"{i}.safetensors"
            path.write_bytes(mutate(rng, *make_file(rng)))
            paths.append(path)
        run = subprocess.run([options.open_files], capture_output=True,
                             input="\n".join(map(str, paths)) + "\n",
                             text=True, errors="replace", check=True)
        verdicts = run.stdout.split("\n")[:-1]
        if len(verdicts) != len(paths):
            sys.exit(f"{len(paths)} files, but {len(verdicts)} verdicts")
        for path, verdict in zip(paths, verdicts):
            reference = reference_accepts(path)
            accepted += verdict == "ok"
            if reference == (verdict == "ok"):
                continue
            if reference and any(reason in verdict for reason in EXPECTED):
                stricter += 1
                continue
            bad += 1
            if bad <= 10:
                print(f"reference accepts: {reference}; ours: {verdict}\n"
                      f"  {path.read_bytes()[:300]!r}")
    print(f"{options.count} files, {accepted} accepted, {stricter} refused only "
          f"by ours as expected, {bad} disagreements")
    return 1 if bad or not accepted else 0


sys.exit(main())
