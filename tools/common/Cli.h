// What the runtime's executables share: option parsing without escaping
// exceptions, exit codes, interrupts, loading.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "runtime/base/Interrupt.h"
#include "runtime/base/Status.h"
#include "runtime/drivers/CreateDriver.h"
#include "runtime/session/Model.h"

namespace hadal::cli {

/// Runs a tool: parses |argc|, |argv| with |app|, then calls |body|. Returns
/// the exit code: 0, 2 for a usage error, that of the error otherwise. The
/// error is printed as one line on stderr; no exception leaves. SIGINT, SIGTERM
/// and SIGHUP set interruptFlag(), and end the process a second later with
/// status 130 if |body| has not seen it; a mapped file that shrinks ends it with
/// H5012.
int run(CLI::App &app, int argc, char **argv,
        const std::function<Status()> &body);
/// The same where the tool waits for the signals itself.
int runWithoutWatch(CLI::App &app, int argc, char **argv,
                    const std::function<Status()> &body);

/// What |body| returns; H5006 or H5014 for an exception.
Status withoutExceptions(const std::function<Status()> &body);

/// A check for unsigned options: CLI11 itself would wrap a negative number.
CLI::Validator nonNegative();

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

/// Writes to stdout; H5015 if it cannot take it (a full disk, a closed pipe).
Status writeStdout(std::string_view text);

} // namespace hadal::cli
