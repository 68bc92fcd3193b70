// The toy model for several ranks: one entry with collectives that a host can
// follow by hand. What tests of the artifact reader and of drivers run.
#pragma once

#include "runtime/cts/ToyArtifact.h"

namespace hadal::toy {

/// Floats in a row, and rows of a rank's block, of what ranks exchange.
inline constexpr unsigned kRowFloats = 2;
inline constexpr unsigned kBlockRows = 2;

/// toy::model for |ranks| ranks (2 or 4), whose decode_1 is another program.
/// With X the first ranks * kBlockRows * kRowFloats floats of state "hidden",
/// and counts the first `ranks` i32 of state "expert_load.0", it does on every
/// rank
/// - twice ("dispatch" of layer 0 and 1): sends block d of X to rank d, of
/// which
///   counts[d] rows are meant, and writes what it received to X;
/// - then writes the sum over ranks ("sum") of the first block of X to that
/// block. The received counts are left in "expert_load.1", the first block of X
/// as it was before dispatch L in "kv.L".
schema::ArtifactT rankModel(unsigned ranks);
/// The index of that program's function for a layer; the entry's is the next.
unsigned rankLayerFunction(const schema::ArtifactT &artifact);

/// The digest of the collectives of entry |index|, as its commands say.
uint64_t collectiveDigest(const schema::ArtifactT &artifact, size_t index);

} // namespace hadal::toy
