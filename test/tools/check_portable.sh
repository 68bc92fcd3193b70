#!/bin/sh
# Fails if one of the given executables needs a library that is not glibc's, or
# if its needs cannot be read.
for tool in "$@"; do
  needed=$(readelf -d "$tool" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p') || exit 1
  case $needed in
  *libc.so.6*) ;;
  *) echo "$tool: its needed libraries cannot be read"; exit 1 ;;
  esac
  for library in $needed; do
    case $library in
    libc.so.6 | libm.so.6 | libdl.so.2 | libpthread.so.0 | librt.so.1 | \
      ld-linux-x86-64.so.2) ;;
    *) echo "$tool needs $library"; exit 1 ;;
    esac
  done
done
