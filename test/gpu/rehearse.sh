#!/usr/bin/env bash
# Prepares a rehearsal and runs it twice: whole, and with no time left.
# usage: rehearse.sh BUILD_DIR WORK_DIR LIBCUDA LIBCUBLASLT LIBNCCL
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
rm -rf "$2"
"$here/prepare.sh" --rehearsal "$1" "$2"
# Debian's own has numpy; another on PATH may not.
python=/usr/bin/python3
[ -x "$python" ] || python=python3
"$python" "$2/run.py" --rehearse "$3" "$4" "$5" | tee "$2/log"
grep -q "^all steps passed" "$2/log"
grep -q "memcheck: .*ERROR SUMMARY: 0 errors" "$2/log"
grep -q "| mla_decode.* | decode_1 | " "$2/results/table.md"
grep -q "2 ranks, captured: 0 of [0-9]* logits differ" "$2/log"
"$python" -c "import json; json.load(open('$2/results/gpu.json'))"
# What cannot be finished fails, and says so.
if "$python" "$2/run.py" --rehearse "$3" "$4" "$5" --minutes 0.05 --only times \
  --out "$2/cut" >"$2/log"; then
  echo "a run without time passed" >&2
  exit 1
fi
grep -q "^failed: times" "$2/log"
test -s "$2/cut/table.md"
