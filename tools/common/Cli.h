// What the runtime's executables share beside RunTool.h: loading.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "runtime/drivers/CreateDriver.h"
#include "runtime/session/Model.h"
#include "tools/common/RunTool.h"

namespace hadal::cli {

/// Options of every tool that loads a model.
struct LoadFlags {
  std::string artifact, weights;
  DeviceOptions device;
  bool quiet = false;

  /// |needsWeights| false: --weights may be left out.
  void add(CLI::App &app, bool needsWeights = true);
};

/// Loads the model for sessions of |rows| rows (0: as many as it was compiled
/// for) and prints a line on stderr: time, mapped, uploaded and anonymous
/// memory. H5011 for an unknown device. |group|, |placement|: of several ranks,
/// as ModelOptions has them.
StatusOr<std::unique_ptr<Model>> loadModel(const LoadFlags &flags,
                                           uint32_t rows = 0,
                                           comm::Group *group = nullptr,
                                           const std::string &placement = "");

/// "5,17,3" as ids; H5011 names what is not a number.
StatusOr<std::vector<int32_t>> parseIds(const std::string &text);

/// The lines of a text file without their ends, LF or CR LF; H5001.
StatusOr<std::vector<std::string>> readLines(const std::string &path);

} // namespace hadal::cli
