#!/bin/sh
# Fails if one of the given executables needs LLVM, MLIR or a library from an
# LLVM directory, or if its needs cannot be read.
for tool in "$@"; do
  needed=$(readelf -d "$tool" | grep NEEDED) || exit 1
  case $needed in
  *libc.so*) ;;
  *) echo "$tool: its needed libraries cannot be read"; exit 1 ;;
  esac
  if echo "$needed" | grep -iE 'llvm|mlir|clang'; then
    echo "$tool links the libraries above; the runtime may not"
    exit 1
  fi
  if ldd "$tool" | grep -iE 'llvm|mlir|clang'; then
    echo "$tool loads the libraries above; the runtime may not"
    exit 1
  fi
done
