#!/usr/bin/env python3
"""Checks the direction of #includes between the folders of the tree.

dialects <- {kernels, schedule} <- passes <- compiler <- tools, runtime <- tools,
frontend -> dialects and runtime/checkpoint, which reads checkpoints as the
runtime does; compiler -> runtime/schemas and runtime/base, whose files and
signals both halves share; cost -> runtime/base, for schedule, passes, compiler
and tools;
the runtime and cost never include LLVM or MLIR. Prints each violation and exits 1
if there is one. With --self-test it checks itself on planted violations.
"""
import pathlib
import re
import sys

# folder -> what it may include, as path prefixes from the root.
ALLOWED = {
    "dialects": ["dialects/", "runtime/schemas/"],
    "options": ["options/"],
    "frontend": ["frontend/", "options/", "dialects/", "runtime/schemas/",
                 "runtime/checkpoint/"],
    "schedule": ["schedule/", "kernels/", "cost/", "dialects/",
                 "runtime/schemas/"],
    "kernels": ["kernels/", "schedule/", "dialects/", "runtime/schemas/"],
    "cost": ["cost/", "runtime/base/"],
    "passes": ["passes/", "kernels/", "schedule/", "cost/", "options/",
               "dialects/", "runtime/schemas/"],
    "compiler": ["compiler/", "passes/", "kernels/", "schedule/", "cost/",
                 "options/", "frontend/", "dialects/", "runtime/schemas/",
                 "runtime/base/"],
    "runtime": ["runtime/", "hadal/"],
}
OURS = ("dialects/", "options/", "frontend/", "schedule/", "kernels/", "cost/",
        "passes/", "compiler/", "runtime/", "tools/", "hadal/", "test/")
FOREIGN_TO_RUNTIME = ("llvm/", "mlir/", "llvm-c/", "mlir-c/", "clang/")
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.M)


def violations(folder, path, text):
    for include in INCLUDE.findall(text):
        if folder in ("runtime", "cost") and include.startswith(
                FOREIGN_TO_RUNTIME):
            yield f"{path}: {folder}/ includes {include}"
        elif include.startswith(OURS) and not include.startswith(
                tuple(ALLOWED[folder])):
            yield f"{path}: {folder}/ may not include {include}"


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    if "--self-test" in sys.argv:
        planted = list(violations("runtime", "x.cpp", '#include "mlir/IR/A.h"\n'))
        planted += violations("cost", "x.cpp", '#include "llvm/ADT/A.h"\n')
        planted += violations("dialects", "y.cpp", '#include "passes/P.h"\n')
        clean = list(violations("passes", "z.cpp",
                                '#include "dialects/Tile/IR/T.h"\n'))
        return 0 if len(planted) == 3 and not clean else 1
    found = []
    files = 0
    for folder in ALLOWED:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in (".h", ".cpp", ".c", ".td", ".def"):
                files += 1
                found += violations(folder, path.relative_to(root),
                                    path.read_text())
    print("\n".join(found))
    print(f"check_dependencies: {files} files, {len(found)} violations")
    return 1 if found or not files else 0


if __name__ == "__main__":
    sys.exit(main())
