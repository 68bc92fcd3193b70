#!/usr/bin/env python3
"""Compares rendered templates with jinja2 as transformers sets it up.

    compare.py RENDER_LINES [--random N] [--seed S] [--write]

The templates of templates/ on 200 lists of messages, and N random templates:
equal texts, errors of both or of none, and the origin of every character. Where
jinja2 3.1 is missing, the former are compared with golden.json, which --write
makes, and the random ones are skipped (exit status 77 if there is nothing else).
"""
import argparse
import hashlib
import json
import pathlib
import subprocess
import sys
import unicodedata
import warnings

import cases

try:
    import jinja2
    HAS_JINJA = jinja2.__version__.startswith("3.1.")
except ImportError:
    HAS_JINJA = False

HERE = pathlib.Path(__file__).resolve().parent
LISTS = 200


def is_greek(character):
    return "GREEK" in unicodedata.name(character, "")


def own_cases():
    for path in sorted((HERE / "templates").glob("*.jinja")):
        template = path.read_text()
        # The constructs see no messages: once is enough.
        for seed in range(1 if path.stem == "constructs" else LISTS):
            yield f"{path.stem} {seed}", cases.case(template, seed)


def random_cases(count, seed):
    for index in range(count):
        number = seed * 1_000_000 + index
        yield (f"random {number}",
               cases.case(cases.Grammar(number).template(), number))


def render_all(program, every):
    lines = "".join(json.dumps(case) + "\n" for _, case in every)
    done = subprocess.run([program], input=lines.encode(), check=True,
                          stdout=subprocess.PIPE)
    return [json.loads(line) for line in done.stdout.decode().splitlines()]


def digest(answer):
    if "text" not in answer:
        return "error"
    return hashlib.sha256(answer["text"].encode()).hexdigest()[:16]


def fault_of(case, ours, expected):
    """Of an answer of ours: what is wrong, or None. |expected|: a digest."""
    pieces = ours.get("pieces")
    text = None if pieces is None else "".join(p[0] for p in pieces)
    if digest({} if text is None else {"text": text}) != expected:
        return "another text"
    for part, trusted in pieces or []:
        for character in part:
            if character.isalpha() and is_greek(character) and trusted:
                return f"'{character}' of a message is trusted"
        if "<|User|>" in part and not trusted and "<|User|>" not in json.dumps(
                case["messages"]):
            return "a marker of the template is not trusted"
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--random", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    golden = HERE / "golden.json"
    own = [] if options.random else list(own_cases())
    if options.random and not HAS_JINJA:
        print("SKIPPED: needs the Python package jinja2 3.1")
        return 77
    every = own + list(random_cases(options.random, options.seed))
    if HAS_JINJA:
        import jinja_environment
        warnings.simplefilter("ignore")  # of the code that jinja2 compiles to
        env = jinja_environment.environment()
        answers = [jinja_environment.render(env, case) for _, case in every]
        if options.write:
            golden.write_text(json.dumps(
                {name: digest(answer)
                 for (name, _), answer in zip(every, answers)}, indent=0) + "\n")
        expected = [digest(answer) for answer in answers]
    else:
        known = json.loads(golden.read_text())
        answers = [{}] * len(every)
        expected = [known[name] for name, _ in every]
    faults = errors = refused = 0
    for (name, case), ours, digest_, answer in zip(
            every, render_all(options.program, every), expected, answers):
        errors += digest_ == "error"
        # What is unknown is refused by name, and at load where jinja2 first
        # fails when it comes there; rarely: see below.
        if (digest_ != "error" and "not supported" in
                ours.get("error", "") + ours.get("load", "")):
            refused += 1
            continue
        if fault := fault_of(case, ours, digest_):
            faults += 1
            if faults <= 20:
                print(f"{name}: {fault}\n  template {case['template']!r}\n"
                      f"  ours     {json.dumps(ours, ensure_ascii=False)}\n"
                      f"  expected {answer}")
    print(f"compare: {len(every)} renderings against "
          f"{'jinja2 ' + jinja2.__version__ if HAS_JINJA else 'golden.json'}, "
          f"{errors} of them errors, {refused} refused by name, {faults} faults")
    return int(faults > 0 or not every or errors == len(every)
               or refused > len(every) // 100)


if __name__ == "__main__":
    sys.exit(main())
