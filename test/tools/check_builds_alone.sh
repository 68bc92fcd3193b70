#!/bin/sh
# Configures and builds the runtime's tools with LLVM and MLIR hidden from CMake.
# usage: check_builds_alone.sh SOURCE_DIR BUILD_DIR
set -e
cd "$1"
cmake --preset runtime -B "$2" -DHADAL_BUILD_TESTS=OFF \
  -DCMAKE_DISABLE_FIND_PACKAGE_MLIR=ON -DCMAKE_DISABLE_FIND_PACKAGE_LLVM=ON
ninja -C "$2" hadal-run hadal-bench hadal-inspect
"$2/bin/hadal-run" --help | grep -q -- --weights
