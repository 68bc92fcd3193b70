// What the artifact says about a parameter, without flatbuffers: a mirror of
// table Parameter in runtime/schemas/artifact.fbs, with equal enum values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/base/DType.h"

namespace hadal {

enum class ParameterKind : uint8_t { tensor, stack, segments, generated };
enum class Placement : uint8_t { map, copy };
enum class Generator : uint8_t { none, ropeCosSin, placementTable };

/// Part |index| of |count| equal ones along a dimension of the file's tensors: 0
/// the rows, 1 the columns.
struct SliceSpec {
  uint32_t dim = 0;
  uint64_t index = 0, count = 1;
};

struct ParameterSpec {
  std::string name;
  ParameterKind kind = ParameterKind::tensor;
  Placement place = Placement::map;
  DType dtype = DType::none;
  std::vector<DType> fileDtypes;
  std::vector<std::string> parts; // stack: one pattern with `{e}`
  uint32_t count = 0;             // stack
  std::vector<uint64_t> rows;     // leading extent of each part
  std::vector<uint64_t> inner;    // the other extents
  uint32_t segmentRows = 0;       // segments
  std::vector<std::string> copies; // of a tensor: others with its values
  bool isScale = false;
  bool isFinite = false;
  Generator generator = Generator::none;
  std::vector<float> invFreq; // ropeCosSin
  uint64_t positions = 0;     // ropeCosSin
  float scale = 1.0f;         // ropeCosSin
  // Of several ranks: `rows`, `inner` and `count` are the rank's own.
  SliceSpec slice;
  std::vector<uint32_t> members; // stack: its tensors; empty: 0 to count
  std::vector<int32_t> table;    // placementTable: its value, row-major
  uint64_t tableColumns = 0;     // placementTable
  // Upload steps of a device with its own memory (DeviceWeights.h).
  uint64_t rowPitch = 0;               // bytes; 0: dense
  std::vector<std::string> scaleParts; // dequantise: one for each part
  std::vector<DType> scaleDtypes;      // accepted of them in the file
  uint32_t scaleBlockRows = 0, scaleBlockCols = 0;
};

/// The name of tensor |element| of a stack whose part is |pattern|.
inline std::string stackPartName(std::string pattern, uint32_t element) {
  return pattern.replace(pattern.find("{e}"), 3, std::to_string(element));
}

/// The number in the file of array |i| of a stack.
inline uint32_t stackMember(const ParameterSpec &spec, uint32_t i) {
  return spec.members.empty() ? i : spec.members[i];
}

/// The tensors that |spec| names |parts| of: those of a stack for each of its
/// arrays.
inline std::vector<std::string>
partNames(const ParameterSpec &spec, const std::vector<std::string> &parts) {
  if (spec.kind != ParameterKind::stack)
    return parts;
  std::vector<std::string> names;
  for (const std::string &part : parts)
    for (uint32_t i = 0; i < spec.count; ++i)
      names.push_back(stackPartName(part, stackMember(spec, i)));
  return names;
}

} // namespace hadal
