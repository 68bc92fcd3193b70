#include "tools/hadal-diff/MatchKernels.h"

#include <map>
#include <string>

#include "tools/common/SpecJson.h"

namespace hadal::diff {

using namespace schema;

namespace {

/// Takes kernels of |b| one by one under keys.
class Takes {
public:
  Takes(const schema::Artifact &a, const schema::Artifact &b)
      : a(a), b(b), matched(a.kernels()->size()), isTaken(b.kernels()->size()) {
  }

  /// Pairs what is not paired yet and has the same |key|; "" is none.
  template <typename Key> void pair(Key key) {
    std::multimap<std::string, unsigned> free;
    for (unsigned k = 0; k < isTaken.size(); ++k)
      if (!isTaken[k])
        free.emplace(key(*b.kernels()->Get(k)), k);
    for (unsigned k = 0; k < matched.size(); ++k) {
      const std::string wanted = key(*a.kernels()->Get(k));
      // The first of equals: multimap keeps their order.
      auto it = free.lower_bound(wanted);
      if (matched[k] || wanted.empty() || it == free.end() ||
          it->first != wanted)
        continue;
      matched[k] = it->second;
      isTaken[it->second] = true;
      free.erase(it);
    }
  }

  std::vector<std::optional<unsigned>> take() { return std::move(matched); }

private:
  const schema::Artifact &a, &b;
  std::vector<std::optional<unsigned>> matched;
  std::vector<bool> isTaken;
};

std::string specOf(const Kernel &kernel) {
  return kernel.spec() ? specJson(kernel.spec()).dump() : "";
}

} // namespace

std::vector<std::optional<unsigned>> matchKernels(const schema::Artifact &a,
                                                  const schema::Artifact &b) {
  Takes takes(a, b);
  takes.pair([](const Kernel &kernel) {
    return kernel.name()->str() + " " + specOf(kernel);
  });
  takes.pair(specOf);
  takes.pair([](const Kernel &kernel) { return kernel.name()->str(); });
  return takes.take();
}

} // namespace hadal::diff
