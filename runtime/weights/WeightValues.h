// The values of checkpoint tensors, and which of them a model can use.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "runtime/base/DType.h"
#include "runtime/base/Status.h"
#include "runtime/checkpoint/SafetensorsFile.h"
#include "runtime/weights/ParameterSpec.h"

namespace hadal {

/// The element type of the schema that a file type is, or none.
DType schemaDType(SafetensorsDType dtype);

bool isFloat(DType dtype);

/// Element |i| of |data|, of a float type, as f32; |data| may have any
/// alignment.
float loadAsF32(const uint8_t *data, DType dtype, uint64_t i);

/// The number of leading elements that are finite and, with |isScale|, not
/// negative. A zero is legal: a block of zeros has the scale 0.
uint64_t countUsable(const uint8_t *data, DType dtype, uint64_t elements,
                     bool isScale);

/// "'file': tensor T holds V at element I" of the first value behind |specs|
/// that is not finite, or an empty string. Reads every weight of |directory|
/// that they name, so it is for the time after a failure. Errors: those of
/// CheckpointIndex::open and find.
StatusOr<std::string> findNonFinite(const std::string &directory,
                                    std::span<const ParameterSpec> specs);

} // namespace hadal
