#!/usr/bin/env bash
# Prepares the folder that run.py needs on a machine with a GPU.
#
#   test/gpu/prepare.sh OUT
#   test/gpu/prepare.sh --rehearsal BUILD OUT
#
# --rehearsal makes the folder that `run.py --rehearse` needs instead: the tools
# of the build directory BUILD, and models/tiny in place of every model.
set -euo pipefail
rehearsal=
if [ "${1:-}" = --rehearsal ]; then
  [ $# -ge 2 ] && rehearsal=$(cd "$2" && pwd)
  shift $(($# < 2 ? $# : 2))
fi
[ $# -eq 1 ] || {
  echo "usage: test/gpu/prepare.sh [--rehearsal BUILD] OUT" >&2
  exit 2
}
root=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
bin="${rehearsal:-$root/build}/bin"
[ -x "$bin/hadal-compile" ] || {
  echo "prepare: $bin/hadal-compile is missing; run tools/quickstart first" >&2
  exit 1
}
cd "$root"
# Debian's own has numpy; another on PATH may not.
python=/usr/bin/python3
[ -x "$python" ] || python=python3
mkdir -p "$out/bin" "$out/models"
cp test/gpu/{run,bench,tables,peers,triton_gemm}.py "$out/"
compile() { "$bin/hadal-compile" "$@" 2>&1 | tail -n 1; }

echo "== models/tiny"
cp -r models/tiny "$out/models/"
compile models/tiny --target=cpu -o "$out/tiny-cpu.hadal"
compile models/tiny --target=sm_90a -o "$out/tiny-sm_90a.hadal"
compile models/tiny --target=sm_90a --decode-buckets 1,4 --prefill-buckets 64 \
  --max-seq-len 512 --max-batch-size 4 -o "$out/small.hadal"

# What two ranks and one do alike.
ranks="--target=sm_90a --decode-buckets 4 --prefill-buckets 16 --max-seq-len 512
  --max-batch-size 4"
compile models/tiny $ranks -o "$out/ranks-1.hadal"
compile models/tiny $ranks --dp 2 --schedule-as ep=1 -o "$out/ranks-2.hadal"

if [ -n "$rehearsal" ]; then
  for tool in hadal-run hadal-bench hadal-inspect; do
    ln -sf "$bin/$tool" "$out/bin/$tool"
  done
  for artifact in v3 slice shape-o4096x7168 shape-o32768x512 \
    shape-o8192x8192; do
    cp "$out/small.hadal" "$out/$artifact.hadal"
  done
  cp -r models/tiny "$out/models/slice"
  mkdir -p "$out/stubs"
  cat >"$out/stubs/compute-sanitizer" <<'END'
#!/bin/sh
# compute-sanitizer --tool T --error-exitcode 9 COMMAND...
shift 4
"$@" && echo "========= ERROR SUMMARY: 0 errors"
END
  cat >"$out/stubs/nvidia-smi" <<'END'
#!/bin/sh
echo "no GPU: a rehearsal, 0.0, 0 MHz"
END
  chmod +x "$out/stubs/"*
else
  echo "== portable runtime"
  cmake --preset portable >/dev/null
  cmake --build --preset portable --target hadal-run hadal-bench hadal-inspect
  for tool in hadal-run hadal-bench hadal-inspect; do
    strip -o "$out/bin/$tool" "build-portable/bin/$tool"
  done

  echo "== DeepSeek-V3, and shapes that others publish"
  buckets="--decode-buckets 1,64,128 --max-batch-size 128 --max-seq-len 8192"
  compile models/deepseek-v3 --target=sm_90a $buckets \
    --prefill-buckets 4096 -o "$out/v3.hadal"
  "$python" test/gpu/shapes.py models/deepseek-v3/config.json "$out/models/shapes"
  for shape in o4096x7168 o32768x512; do
    compile "$out/models/shapes/$shape" --target=sm_90a $buckets \
      --prefill-buckets 4096 -o "$out/shape-$shape.hadal"
  done
  compile "$out/models/shapes/o8192x8192" --target=sm_90a --decode-buckets 1 \
    --prefill-buckets 8192 --max-batch-size 1 --max-seq-len 8192 \
    -o "$out/shape-o8192x8192.hadal"

  echo "== four layers of DeepSeek-V3"
  mkdir -p "$out/models/slice" "$out/models/bench" "$out/models/deepseek-v3"
  cp models/bench/make_v3_shaped.py "$out/models/bench/"
  cp models/formats.py "$out/models/"
  cp models/deepseek-v3/config.json "$out/models/deepseek-v3/"
  "$python" models/bench/make_v3_shaped.py --out "$out/models/slice" \
    --dense-layers 3 --moe-layers 1 --experts 256 --vocab 32768 --config-only
  compile "$out/models/slice" --target=sm_90a --decode-buckets 1,16,64 \
    --prefill-buckets 512,4096 --max-batch-size 64 --max-seq-len 2048 \
    -o "$out/slice.hadal"
fi

echo "== the small artifact on the simulator, FP8 accumulated as the hardware does"
"$out/bin/hadal-bench" "$out/small.hadal" --device sim --sim fp8=hopper13 \
  --kernels --check-only --json "$out/sim.json" | tail -n 3
kib=$(du -skL "$out" | cut -f 1)
echo "$out: $((kib / 1024)) MiB"
[ -n "$rehearsal" ] || [ "$kib" -lt 60000 ] || {
  echo "prepare: the folder must stay under 60 MB" >&2
  exit 1
}
