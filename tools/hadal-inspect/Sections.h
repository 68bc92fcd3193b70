// What hadal-inspect shows of an artifact, as JSON; the text form is rendered
// from it.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "runtime/artifact/Artifact.h"

namespace hadal::inspect {

using Json = nlohmann::ordered_json;

Json overview(const Artifact &artifact);
Json provenance(const Artifact &artifact);
Json kernels(const Artifact &artifact);
/// The entries of tuning databases that kernels were chosen by. H4004 of a blob
/// that does not decompress, H3007 of one that is no database.
StatusOr<Json> tuning(const Artifact &artifact);
Json program(const Artifact &artifact);
Json weights(const Artifact &artifact);
/// Bytes by use, for the artifact's largest batch.
Json memory(const Artifact &artifact);

/// The PTX of kernel |kernel|, as it is assembled. H5005 if there is none of that
/// name, or the artifact is not for a GPU.
StatusOr<std::string> ptx(const Artifact &artifact, const std::string &kernel);

/// Sections as text: "key: value" lines, tables for arrays of objects.
std::string render(const Json &sections);

} // namespace hadal::inspect
