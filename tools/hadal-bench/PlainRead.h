// Which weight bytes a step reads, and how fast the machine reads them when
// nothing else is done: the yardstick of decode.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/session/Session.h"

namespace hadal::bench {

/// A contiguous piece of weights in memory.
struct Piece {
  const uint8_t *data; // null where the weights are in a device's own memory
  uint64_t bytes;
};

/// The weights of a model by what decides whether a step reads them.
class WeightMap {
public:
  explicit WeightMap(const Model &model);

  /// Appends what a step of |rows| rows read: all dense weights, the experts
  /// that got a token according to |loads| (of this step alone), and |rows|
  /// rows of the embedding.
  void read(uint64_t rows, std::span<const Session::ExpertLoad> loads,
            std::vector<Piece> &pieces) const;
  /// The share of experts that got a token, over all layers; 1 without experts.
  static double expertShare(std::span<const Session::ExpertLoad> loads);
  /// Everything.
  void all(std::vector<Piece> &pieces) const;

private:
  struct Experts {
    std::string layer;
    std::vector<Piece> experts;
  };
  std::vector<Piece> dense, embedding;
  uint64_t embeddingRowBytes = 0;
  std::vector<Experts> stacks;
};

/// By kernel index: whether it reads a stack of experts, of which a step uses
/// some only.
std::vector<bool> kernelsOfExperts(const Model &model);

uint64_t totalBytes(std::span<const Piece> pieces);

/// Reads |pieces|, all on the host, once on the threads of |driver| (the CPU's) with the widest
/// loads it has, and returns the seconds. |prefetch|: with a software prefetch
/// 4 KiB ahead; which of the two loops is faster depends on the machine.
double readPlainly(Driver &driver, std::span<const Piece> pieces,
                   bool prefetch);

/// Bytes a second of a plain read of up to 256 MiB of the weights of |model|,
/// which are on the host: the best of a few.
double plainReadRate(const Model &model);

} // namespace hadal::bench
