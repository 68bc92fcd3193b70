#!/usr/bin/env python3
"""Checks that every message of a verifier or refusal is expected by a test.

Takes the string literals of each emitOpError, emitError, emitRemark, refuse,
emitCodedError, emitCodedOpError and makeError of CHECKED, joins those that the compiler joins, cuts them where a
value is put in, and looks for the longest piece of each message in what the
tests expect: the {{...}} of expected-error and its kind, the CHECK lines, the
strings of tests in C++ and Python. A test that spells only a part of that piece
does not count. Also, no text spells a code of the error table ("H2002: ..."): a
diagnostic has it as a number (dialects/Diagnostics.h), from which the exit status
comes. Prints each message without a test and each spelt code, and exits 1 if there
is one.
With --self-test it checks itself on planted texts.
"""
import pathlib
import re
import sys

CHECKED = ["dialects", "passes", "frontend", "compiler/driver",
           "compiler/artifact", "compiler/codegen/cpu",
           "compiler/codegen/nvptx"]

# Messages that no test can cause, with the reason: most say that two parts of
# the compiler disagree.
EXEMPT = {
    "an operand has no memory": "values without storage are refused where made",
    "no kernel can be built for this operation": "each op has a builder",
    "takes more than": "the views of a kernel are those that its builder made",
    "views, given": "as above",
    "and its operand disagree about scales": "as above",
    "the tuned schedule of": "the driver hands on what reads back",
    "the default of the tuned kernel": "what was lowered by rules builds",
    "the imported module does not verify": "the importer builds verified ops",
    "the plan does not parse back": "the printer and the parser are one format",
    "the manifest and its blobs disagree": "both come from one list",
    "has no sm_90a lowering: operand b is not in shared memory":
        "the plan of shared memory has refused the kernel before",
    "has no sm_90a lowering: FP8 operands are K-major":
        "tile.dot takes no codes, tile.dot_scaled has one form",
    "does not lower to loops": "every op of a verified kernel has loops",
    "kernels do not lower to LLVM": "loops are lowered by MLIR's passes",
    "the dot forms do not lower to LLVM": "as above",
    "the LLVM dialect does not translate": "as above",
    "no x86-64 code generator": "a fact of the build",
    "the x86-64 target cannot emit an object": "a fact of the build",
    "this LLVM has no NVPTX target": "a fact of the build",
    "the NVPTX target cannot emit PTX text": "a fact of the build",
}

CALL = re.compile(r"\b(?:emitOpError|emitError|emitRemark|emitCodedError|"
                  r"emitCodedOpError|refuse|makeError)\b(?=\s*\()")
# Where no text may spell a code.
CODED = ["dialects", "passes", "frontend", "compiler", "kernels", "schedule"]
SPELT = re.compile(r"\bH[1-6]\d{3}\b")
# A comment, a character or a string; only the last has group 1.
TOKEN = re.compile(
    r"//[^\n]*|/\*.*?\*/|'(?:\\.|[^'\\])'|\"((?:\\.|[^\"\\\n])*)\"", re.S)
PLACE = re.compile(r"\{\d+[^{}]*\}")
ESCAPE = re.compile(r"\\(.)")
EXPECTED = re.compile(
    r"expected-(?:error|warning|remark|note)(?:-re)?[^{\n]*\{\{(.*?)\}\}(?!\})")
CHECK = re.compile(r"^.*?\b[A-Z][A-Z0-9_]*(?:-[A-Z]+)*:(.*)$", re.M)


def unescape(text):
    return ESCAPE.sub(lambda m: {"n": "\n", "t": "\t"}.get(m[1], m[1]), text)


def strings(text):
    """Yields (start, value) of the strings, adjacent ones joined."""
    start, value, end = None, "", 0
    for token in TOKEN.finditer(text):
        if token[1] is None:
            if start is not None and not text[end:token.start()].strip():
                end = token.end()  # a comment between two strings
            continue
        if start is not None and not text[end:token.start()].strip():
            value += unescape(token[1])
        else:
            if start is not None:
                yield start, value
            start, value = token.start(), unescape(token[1])
        end = token.end()
    if start is not None:
        yield start, value


def squeeze(text):
    return " ".join(text.split())


def trim(piece):
    """The piece without the joints to the values around it."""
    return re.sub(r"(?:[,;] (?:got|found|not|expected))?[\s'\":;,]*$", "",
                  re.sub(r"^[\s'\":;,]+", "", piece))


def blank(text):
    """The text with comments and the insides of strings blanked out."""
    return TOKEN.sub(
        lambda m: re.sub(r"[^\n]", " " if m[1] is None else "_", m[0]), text)


def messages(text):
    """Yields (line, longest piece) of each message in C++ source."""
    plain = blank(text)
    for call in CALL.finditer(plain):
        end = plain.find(";", call.end())
        pieces = []
        for _, value in strings(text[call.end():end]):
            pieces += PLACE.split(value)
        piece = max((trim(squeeze(each)) for each in pieces), key=len, default="")
        # A piece of one short word is no sentence: the message is a value.
        if len(piece) >= 8:
            yield text.count("\n", 0, call.start()) + 1, piece


def spelt_codes(text):
    """Yields (line, text) of each string that spells a code."""
    for start, value in strings(text):
        if SPELT.search(value):
            yield text.count("\n", 0, start) + 1, value


def expectations(path, text):
    """What a test file expects to be said, as one squeezed text."""
    if path.suffix == ".mlir":
        found = EXPECTED.findall(text) + CHECK.findall(text)
    elif path.suffix == ".test":
        found = CHECK.findall(text)
    elif path.suffix == ".py":
        found = [text.replace('"\n', "").replace('"', "")]
    else:
        found = [value for _, value in strings(text)]
    return "\n".join(squeeze(each) for each in found)


def self_test():
    source = '''
      return emitOpError("has ") << n << " columns, wgmma takes "
                                         "8..256; not " << m; // "more"
      return makeError(3004, "--x={0} is unknown; known: {1}", a, b);
      other("nothing to see");'''
    found = [piece for _, piece in messages(source)]
    wanted = ["columns, wgmma takes 8..256", "is unknown; known"]
    mlir = "// expected-error @+1 {{has 7 columns, wgmma takes 8..256; not 9}}\n"
    cpp = '// is unknown; known:\n  EXPECT_EQ(f(), "--x=1 is un"\n "known; known: 2");'
    ok = (found == wanted
          and list(spelt_codes('// "H2001"\n f("at H2001: no");'))
          == [(2, "at H2001: no")]
          and wanted[0] in expectations(pathlib.Path("a.mlir"), mlir)
          and wanted[1] in expectations(pathlib.Path("a.cpp"), cpp)
          and wanted[1] not in expectations(pathlib.Path("a.cpp"), "// " + wanted[1])
          and "f32" not in expectations(pathlib.Path("a.mlir"), "// f32\n"))
    return 0 if ok else 1


def main():
    if "--self-test" in sys.argv:
        return self_test()
    root = pathlib.Path(__file__).resolve().parent.parent
    tests = []
    for path in sorted((root / "test").rglob("*")):
        if path.suffix in (".mlir", ".test", ".cpp", ".h", ".py"):
            tests.append(expectations(path, path.read_text()))
    expected = "\n".join(tests)
    count, missing, unused = 0, [], set(EXEMPT)
    for folder in CHECKED:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix not in (".cpp", ".h"):
                continue
            for line, piece in messages(path.read_text()):
                count += 1
                if piece in EXEMPT:
                    unused.discard(piece)
                elif piece not in expected:
                    missing.append(f"{path.relative_to(root)}:{line}: no test "
                                   f"expects '{piece}'")
    missing += [f"no message says '{piece}', which is exempt" for piece in unused]
    for folder in CODED:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in (".cpp", ".h"):
                missing += [f"{path.relative_to(root)}:{line}: spells a code: "
                            f"'{text}'" for line, text in
                            spelt_codes(path.read_text())]
    print("\n".join(missing))
    print(f"check_messages: {count} messages, {len(missing)} without "
          f"a test or with a spelt code")
    return 1 if missing or not count else 0


if __name__ == "__main__":
    sys.exit(main())
