#!/bin/sh
# Configures and builds the runtime's tools with LLVM and MLIR hidden from CMake,
# as the binaries that are shipped: they need the libraries of glibc alone.
# usage: check_builds_alone.sh SOURCE_DIR BUILD_DIR
set -e
cd "$1"
cmake --preset portable -B "$2" \
  -DCMAKE_DISABLE_FIND_PACKAGE_MLIR=ON -DCMAKE_DISABLE_FIND_PACKAGE_LLVM=ON
ninja -C "$2" hadal-run hadal-bench hadal-inspect
"$2/bin/hadal-run" --help | grep -q -- --weights
"$(dirname "$0")/check_portable.sh" "$2/bin/hadal-run" "$2/bin/hadal-bench" \
  "$2/bin/hadal-inspect"
