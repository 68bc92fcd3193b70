# Sourced by tools/quickstart and tools/check: installs, configures, builds.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"

# The cache must hit although the checkout moves and the PCH is rebuilt.
export CCACHE_BASEDIR="$root" CCACHE_NOHASHDIR=1 CCACHE_PCH_EXTSUM=1
export CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime

step() { printf '== %s\n' "$*"; }

build_all() {
  step "dependencies"
  tools/setup
  step "configure (build/)"
  cmake --preset default >build.configure.log 2>&1 ||
    { cat build.configure.log; rm -f build.configure.log; exit 1; }
  rm -f build.configure.log
  step "build (about ten minutes on two cores when the cache is cold)"
  if [ -t 1 ]; then
    ninja -C build
  else
    # Plain lines elsewhere: one every 25 steps, and every failure.
    NINJA_STATUS='[%f/%t %es] ' ninja -C build | awk '
      /^FAILED|error:|warning:/ { print; fflush(); next }
      /^\[[0-9]+\// { if (++n % 25 == 0) { print; fflush() } last = $0; next }
      { print; fflush() }
      END { print last }'
  fi
}
