#include "runtime/device/Driver.h"

#include <algorithm>

namespace hadal {

StatusOr<std::unique_ptr<PreparedEntry>>
Executable::prepare(unsigned index, const Bindings &bindings) {
  const schema::Entry &entry = *artifact.root().entries()->Get(index);
  return prepare(entry.name()->str(),
                 flatten(artifact.root(), entry, bindings),
                 entry.kind() == schema::EntryKind::decode);
}

Status Driver::upload(DeviceAddress to, uint64_t bytes,
                      const FillFunction &fill) {
  constexpr uint64_t kPiece = uint64_t(4) << 20;
  std::vector<uint8_t> staging(std::min(bytes, kPiece));
  for (uint64_t begin = 0; begin < bytes; begin += kPiece) {
    const uint64_t end = std::min(bytes, begin + kPiece);
    fill(staging.data(), begin, end);
    HADAL_RETURN_IF_ERROR(write(to + begin, staging.data(), end - begin));
  }
  return {};
}

} // namespace hadal
