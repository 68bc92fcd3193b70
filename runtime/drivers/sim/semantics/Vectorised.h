// Compiles one always-inline body for the x86-64 levels and picks the widest
// that this machine runs.
#pragma once

#include <cstring>

// Vectors never cross a call here: every function with one is inlined.
#pragma clang diagnostic ignored "-Wpsabi"

namespace hadal::sim {

/// |Count| neighbouring elements as one value.
template <typename T, unsigned Count>
using Lanes [[gnu::vector_size(sizeof(T) * Count)]] = T;

template <typename V, typename T>
[[gnu::always_inline]] inline V loadLanes(const T *from) {
  V v;
  std::memcpy(&v, from, sizeof(V));
  return v;
}

} // namespace hadal::sim

#if defined(__x86_64__)
#define HADAL_SIM_VECTORISED(Name, Params, Args, Body)                         \
  __attribute__((target("arch=x86-64-v4"))) static void Name##V4 Params {      \
    Body Args;                                                                 \
  }                                                                            \
  __attribute__((target("arch=x86-64-v3"))) static void Name##V3 Params {      \
    Body Args;                                                                 \
  }                                                                            \
  static void Name##Base Params { Body Args; }                                 \
  void Name Params {                                                           \
    static const int level = __builtin_cpu_supports("x86-64-v4")   ? 4         \
                             : __builtin_cpu_supports("x86-64-v3") ? 3         \
                                                                   : 1;        \
    if (level == 4)                                                            \
      Name##V4 Args;                                                           \
    else if (level == 3)                                                       \
      Name##V3 Args;                                                           \
    else                                                                       \
      Name##Base Args;                                                         \
  }
#else
#define HADAL_SIM_VECTORISED(Name, Params, Args, Body)                         \
  void Name Params { Body Args; }
#endif
