#!/usr/bin/env bash
# Prepares the folder that run.py needs on a machine with a GPU.
#
#   test/gpu/prepare.sh OUT
set -euo pipefail
[ $# -eq 1 ] || { echo "usage: test/gpu/prepare.sh OUT" >&2; exit 2; }
root=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
bin="$root/build/bin"
[ -x "$bin/hadal-compile" ] || {
  echo "prepare: $bin/hadal-compile is missing; run tools/quickstart first" >&2
  exit 1
}
cd "$root"
# Debian's own has numpy; another on PATH may not.
python=/usr/bin/python3
[ -x "$python" ] || python=python3
echo "== portable runtime"
cmake --preset portable >/dev/null
cmake --build --preset portable --target hadal-run hadal-bench hadal-inspect
mkdir -p "$out/bin" "$out/models"
for tool in hadal-run hadal-bench hadal-inspect; do
  strip -o "$out/bin/$tool" "build-portable/bin/$tool"
done

echo "== artifacts"
slice="$out/models/slice"
mkdir -p "$slice" "$out/models/bench"
cp models/bench/make_v3_shaped.py "$out/models/bench/"
cp models/formats.py "$out/models/"
"$python" models/bench/make_v3_shaped.py --out "$slice" --dense-layers 3 \
  --moe-layers 1 --experts 256 --vocab 129280 --config-only
for target in sm_90a cpu; do
  "$bin/hadal-compile" models/tiny --target=$target -o "$out/tiny-$target.hadal"
done
"$bin/hadal-compile" models/deepseek-v3 --target=sm_90a \
  --decode-buckets 1,4,16,64,128 --prefill-buckets 128,512,4096 \
  --max-batch-size 128 --max-seq-len 8192 -o "$out/v3.hadal"
"$bin/hadal-compile" "$slice" --target=sm_90a --max-batch-size 64 \
  -o "$out/slice.hadal"

echo "== models/tiny on the simulator"
cp -r models/tiny "$out/models/"
"$bin/hadal-bench" "$out/tiny-sm_90a.hadal" --device sim --kernels --check-only \
  --json "$out/sim.json"
cp test/gpu/run.py test/gpu/peers.py test/gpu/triton_gemm.py "$out/"
du -sh "$out"
