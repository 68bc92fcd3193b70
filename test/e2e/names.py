"""Checks that no model operation loses its name on the way to the program.

    names.py --bin build/bin [--only TEXT]

Every configuration of models/ and of make_configs.py is compiled for both
targets as far as phase lower, with the check after each pass on. Then, from the
text of the dumps alone: each launch has a key, and the members of a function's
launches are the operations that its kind of function was imported with, in
every bucket, none more and none less. Prints a line a model and exits 1 if a
name is lost.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

import make_configs

HERE = os.path.dirname(os.path.abspath(__file__))
MODELS = os.path.join(HERE, "../../models")

ALIAS = re.compile(r'^(#loc\d*) = loc\((?:"([^"]*)"(?:\((#loc\d*)\))?)?', re.M)
PLACE = re.compile(r"loc\((#loc\d*)\)$")
# References to parameters and states are no operations of the model.
OPERATION = re.compile(r"^ +(?:%[^=]* = )?dsv3\.(?!get_)\w+ ")
LAUNCH = re.compile(r'^ +exec\.launch .*?(?: op "([^"]*)")?(?: members \[(.*?)\])?'
                    r" loc\(")


def functions(text):
    """Yields (kind, lines) of each function of a dump."""
    names = {alias: (name, inner) for alias, name, inner in ALIAS.findall(text)}
    lines = None
    for line in text.splitlines():
        if re.match(r"  (func\.func|exec\.func|exec\.entry) ", line):
            lines = []
        elif line.startswith("  }") and lines is not None:
            yield names[PLACE.search(line)[1]][0], lines, names
            lines = None
        elif lines is not None:
            lines.append(line)


def imported(text):
    """The keys of the operations of each kind of function."""
    found = {}
    for kind, lines, names in functions(text):
        keys = set()
        for line in lines:
            if OPERATION.match(line):
                name, inner = names[PLACE.search(line)[1]]
                keys.add(f"{names[inner][0]}.{name}")
        found.setdefault(kind, []).append(keys)
    return found


def problems(before, after):
    """Yields what is wrong with the program; the number of its launches last."""
    kinds, launches = imported(before), 0
    for kind, lines, _ in functions(after):
        members = set()
        for line in lines:
            launch = LAUNCH.match(line)
            if not launch:
                continue
            launches += 1
            if not launch[1]:
                yield f"a launch of a {kind} has no key: {line.strip()}"
            elif launch[2]:
                members |= set(json.loads(f"[{launch[2]}]"))
            else:
                members.add(launch[1])
        # Layers of one kind may differ (the first may store another dtype).
        if members not in kinds.get(kind, []):
            wanted = kinds.get(kind, [set()])[0]
            yield (f"a {kind} lost {sorted(wanted - members)} and invented "
                   f"{sorted(members - wanted)}")
    yield launches


def misplaced(lines, index):
    """Yields the rows of an index whose lines do not hold their operation."""
    columns, strings = index["ops"], index["strings"]
    for row in zip(*(columns[key] for key in ("op", "key", "first", "last"))):
        op, key, first, last = strings[row[0]], strings[row[1]], row[2], row[3]
        # Operations of func are printed without their dialect.
        if not (0 < first <= last <= len(lines)
                and op.removeprefix("func.") in lines[first - 1]):
            yield f"the index has {op} {key} at lines {first} to {last}"
        if op == "exec.launch" and f'op "{key}"' not in lines[first - 1]:
            yield f"the index has key {key} for line {first}"


def configurations(work):
    """Yields (name, path of a config file)."""
    for name in sorted(os.listdir(MODELS)):
        path = os.path.join(MODELS, name, "config.json")
        if os.path.exists(path):
            yield name, path
    for name, (config, _) in sorted(make_configs.CONFIGS.items()):
        path = os.path.join(work, name + ".json")
        with open(path, "w") as file:
            json.dump(config, file)
        yield name, path


def check(compiler, name, path, target, work):
    dumps = os.path.join(work, "dumps")
    done = subprocess.run(
        [compiler, path, "--target=" + target, "--compile-to=lower",
         "--max-seq-len=128", "--verify-each", "--dump-phases-to", dumps,
         "-o", os.path.join(work, "lower.mlir")],
        capture_output=True, text=True)
    if done.returncode == 3:
        return f"{name} {target}: {done.stderr.splitlines()[-1]}", None
    if done.returncode:
        return f"{name} {target}: {done.stderr.strip()}", 1
    texts, wrong = [], []
    for phase in ("1-import", "9-lower"):
        with open(os.path.join(dumps, phase + ".mlir")) as file:
            texts.append(file.read())
        with open(os.path.join(dumps, phase + ".index.json")) as file:
            wrong += misplaced(texts[-1].splitlines(), json.load(file))
    *more, launches = problems(*texts)
    wrong += more
    if not launches:
        wrong.append("the program has no launch")
    for line in wrong:
        print(f"{name} {target}: {line}")
    return f"{name} {target}: {launches} launches, {len(wrong)} faults", len(wrong)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    compiler = os.path.join(arguments.bin, "hadal-compile")
    faults, served = 0, {"cpu": 0, "sm_90a": 0}
    with tempfile.TemporaryDirectory() as work:
        for name, path in configurations(work):
            if arguments.only not in name:
                continue
            for target in served:
                line, wrong = check(compiler, name, path, target, work)
                print(line, flush=True)
                faults += wrong or 0
                served[target] += wrong is not None
    print(f"names: {served} models compiled, {faults} faults")
    return 1 if faults or not all(served.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
