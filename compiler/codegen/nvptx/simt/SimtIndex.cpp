#include "compiler/codegen/nvptx/simt/SimtIndex.h"

namespace hadal::nvptx {

TileIndex TileIndex::times(int64_t factor) const {
  TileIndex result = *this;
  result.constant *= factor;
  result.scale *= factor;
  return result;
}

int64_t TileIndex::lastStepBelow(int64_t size) const {
  if (constant >= size)
    return -1;
  return scale == 0 ? 0 : (size - 1 - constant) / scale;
}

TileIndex TileIndex::simplified(int64_t threads) const {
  if (!dynamic && (scale == 0 || lastStep(threads) == 0))
    return of(constant);
  return *this;
}

std::optional<TileIndex> TileIndex::dividedBy(int64_t by, int64_t size,
                                              int64_t threads) const {
  if (dynamic)
    return std::nullopt;
  TileIndex e = simplified(threads);
  int64_t quotient = e.constant / by, rest = e.constant % by;
  int64_t last = std::min(e.lastStep(threads), e.lastStepBelow(size));
  if (e.scale * last + rest < by)
    return of(quotient);
  if (e.scale % by == 0)
    return TileIndex{quotient, e.scale / by, e.div, {}};
  // rest < scale and scale divides by: floor((scale f + rest) / by) is
  // floor(f / (by / scale)).
  if (by % e.scale == 0 && rest < e.scale)
    return TileIndex{quotient, 1, e.div * (by / e.scale), {}};
  return std::nullopt;
}

std::optional<TileIndex> TileIndex::modulo(int64_t by, int64_t size,
                                           int64_t threads) const {
  if (dynamic)
    return std::nullopt;
  TileIndex e = simplified(threads);
  int64_t rest = e.constant % by;
  int64_t last = std::min(e.lastStep(threads), e.lastStepBelow(size));
  if (e.scale * last + rest < by)
    return TileIndex{rest, e.scale, e.div, {}};
  if (e.scale % by == 0)
    return of(rest);
  return std::nullopt;
}

} // namespace hadal::nvptx
