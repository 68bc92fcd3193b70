// How long a kernel is predicted to take, and what that is the time of.
#pragma once

#include <array>
#include <string>
#include <string_view>

namespace hadal::cost {

/// What a part of a kernel's time is spent on. X(name, word).
#define HADAL_FOR_EACH_TERM(X)                                                 \
  X(launch, "launch")       /* before the first work item runs */              \
  X(ramp, "ramp")           /* until a wave's loads flow */                    \
  X(memory, "memory")       /* parameters, at the memory's rate */             \
  X(stream, "stream")       /* what one multiprocessor can draw */             \
  X(tensor, "tensor")       /* products */                                     \
  X(latency, "latency")     /* too few stages for the distance */              \
  X(issue, "issue")         /* instructions that are no products */            \
  X(packing, "packing")     /* activations put into another order */           \
  X(meet, "meet")           /* parts of a split come together */               \
  X(epilogue, "epilogue")   /* results stored */                               \
  X(imbalance, "imbalance") /* workers wait for the last item */

enum class Term {
#define HADAL_TERM(name, word) name,
  HADAL_FOR_EACH_TERM(HADAL_TERM)
#undef HADAL_TERM
      count
};
std::string_view toString(Term term);

struct Prediction {
  double seconds = 0; ///< the sum of the terms
  std::array<double, static_cast<size_t>(Term::count)> terms = {};

  void add(Term term, double more) {
    seconds += more;
    terms[static_cast<size_t>(term)] += more;
  }
  /// The largest term.
  Term bound() const;
  /// "memory 71 %, latency 22 %": the terms of a tenth or more, largest first.
  std::string describe() const;
};

} // namespace hadal::cost
