// What /metrics shows, in Prometheus' text format: vLLM's names, so that its
// dashboards work, and some of our own.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "runtime/engine/Statistics.h"

namespace hadal::serve {

class Histogram {
public:
  /// |bounds| ascending; one more bucket holds what is above.
  explicit Histogram(std::vector<double> bounds)
      : bounds(std::move(bounds)), counts(this->bounds.size() + 1) {}
  void add(double value);
  /// Samples with |labels| ('a="b",...') behind |name|.
  void write(std::string &text, const std::string &name,
             const std::string &labels) const;

private:
  std::vector<double> bounds;
  std::vector<uint64_t> counts;
  uint64_t total = 0;
  double sum = 0;
};

/// The engine's observer; all members may be called from any thread.
class Metrics final : public engine::Observer {
public:
  Metrics(std::string modelName, uint64_t maxSeqLen);

  void onCall(const engine::CallRecord &record) override;
  void onTokens(uint32_t tokens, double seconds) override;
  void onEnd(const engine::RequestRecord &record) override;
  void onResponse(unsigned status);

  /// |connections|: open ones. Without statistics the engine is not there yet.
  std::string text(const std::optional<engine::Statistics> &statistics,
                   uint32_t connections) const;

private:
  struct Named {
    std::string name, help;
    Histogram histogram;
  };
  void add(const char *name, double value);

  const std::string labels;
  mutable std::mutex mutex; // guards what follows
  std::vector<Named> histograms;
  std::map<unsigned, uint64_t> responses;
  /// By kind of call and tokens of it, rounded up to a power of two.
  std::map<std::pair<bool, uint32_t>, Histogram> calls;
};

} // namespace hadal::serve
