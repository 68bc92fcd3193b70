// A report: what is known of an artifact, its compilation and its runs, joined
// by the keys of model operations.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "runtime/base/Status.h"

namespace hadal::report {

using Json = nlohmann::ordered_json;

/// Tables are columns ({"key": [], "us": []}) and refer to each other by index;
/// null is what is not known. Texts and large tables are blobs, which |data|
/// names ("b7") and a reader inflates when they are looked at.
struct Report {
  /// What may be left out of a report that is too large, first things first.
  enum class Part { needed, sm90, passes, profile };
  struct Blob {
    std::string text;
    Part part = Part::needed;
    std::string what; ///< "the sm90 IR of gemm_2112x7168"
  };
  Json data;
  std::vector<Blob> blobs;

  /// Keeps |text| and returns its name.
  std::string addBlob(std::string text, Part part = Part::needed,
                      std::string what = "");
};

/// The page: one file that needs no server, no network and no other file. At
/// most |budget| bytes where leaving out parts makes it so; what is left out is
/// listed in it. A function of |report| alone.
std::string toHtml(Report report, uint64_t budget);

/// |data| and the texts of the blobs as one JSON: {"report": ..., "blobs":
/// ...}.
std::string toJson(const Report &report);
/// The same, of a page that toHtml() made. H5023 if |html| is none.
StatusOr<std::string> extractJson(const std::string &html,
                                  const std::string &path);

} // namespace hadal::report
