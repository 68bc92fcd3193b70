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
enum class Generator : uint8_t { none, ropeCosSin };

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
  bool isScale = false;
  bool isFinite = false;
  Generator generator = Generator::none;
  std::vector<float> invFreq; // ropeCosSin
  uint64_t positions = 0;     // ropeCosSin
  float scale = 1.0f;         // ropeCosSin
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

} // namespace hadal
