#!/bin/sh
# Fails if one of the given executables needs a library that is not glibc's, or
# a glibc newer than the one that docs/devices.md promises, or if its needs
# cannot be read.
# usage: check_portable.sh [--glibc VERSION] EXECUTABLE...
documented() {
  sed -n 's/.*glibc \([0-9.]*[0-9]\) or newer.*/\1/p' \
    "$(dirname "$0")/../../docs/devices.md" | head -n 1
}
if [ "$1" = --glibc ]; then
  limit=$2
  shift 2
else
  limit=$(documented)
fi
[ -n "$limit" ] || { echo "docs/devices.md names no glibc"; exit 1; }
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
  versions=$(readelf -VW "$tool" | grep -o 'GLIBC_[0-9.]*[0-9]' | sort -u) ||
    { echo "$tool: its glibc versions cannot be read"; exit 1; }
  for version in $versions; do
    version=${version#GLIBC_}
    newest=$(printf '%s\n%s\n' "$version" "$limit" | sort -V | tail -n 1)
    if [ "$newest" != "$limit" ]; then
      echo "$tool needs glibc $version, docs/devices.md promises $limit"
      exit 1
    fi
  done
done
