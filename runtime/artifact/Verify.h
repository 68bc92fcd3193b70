// Verification of an artifact's bytes before anything in them is used.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/base/Status.h"
#include "runtime/schemas/EntryKinds.h"
#include "runtime/schemas/InputLayout.h"
#include "runtime/schemas/artifact_generated.h"

namespace hadal::artifact {

inline constexpr unsigned kNumInputs =
    static_cast<unsigned>(schema::Input::MAX) + 1;
inline constexpr unsigned kNumOutputs =
    static_cast<unsigned>(schema::Output::MAX) + 1;
/// More launches, or more collectives and events, than this in one unrolled
/// entry are taken for damage.
inline constexpr uint64_t kMaxLaunches = uint64_t(1) << 20;
inline constexpr uint64_t kMaxRankCommands = uint64_t(1) << 16;

/// Bytes of an element of |dtype|; 0 for `none` and unknown values.
uint64_t dtypeBytes(schema::DType dtype);
const char *dtypeName(schema::DType dtype);

/// The number of entries of a row of the page table: enough for max_seq_len.
uint64_t pagesPerRow(const schema::Model &model);

/// The ranks that run |artifact|.
uint64_t numRanks(const schema::Artifact &artifact);

/// Experts of an MoE layer that a rank holds: the mesh's slots, or all of them.
uint64_t localExperts(const schema::Artifact &artifact);

/// What a micro-batch of |entry| holds.
InputShape inputShape(const schema::Artifact &artifact,
                      const schema::Entry &entry);

/// Bytes of input |input| of |entry|, of all its micro-batches; 0 if such an
/// entry has none.
uint64_t inputBytes(const schema::Artifact &artifact,
                    const schema::Entry &entry, schema::Input input);
/// Bytes of output |output| of |entry|; 0 if such an entry has none.
uint64_t outputBytes(const schema::Model &model, const schema::Entry &entry,
                     schema::Output output);

/// Checks everything: size, header, checksums of all bytes (padding must be
/// zero), the flatbuffer's structure and the program's meaning. |name| is the
/// file's name for messages. Errors: H4001 to H4005, H4007. When it returns ok,
/// the manifest lies at byte 64 of |file| and every index in it is valid.
Status verifyFile(std::span<const uint8_t> file, const std::string &name);

/// The meaning alone, of a structurally valid manifest: indices, counts,
/// ranges, callee order. Part of verifyFile.
Status verifyMeaning(const schema::Artifact &artifact, const std::string &name);

} // namespace hadal::artifact
