// What executables share: option parsing without escaping exceptions, exit
// codes, interrupts.
#pragma once

#include <functional>
#include <string_view>

#include <CLI/CLI.hpp>

#include "runtime/base/Interrupt.h"
#include "runtime/base/Status.h"

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

/// Writes to stdout; H5015 if it cannot take it (a full disk, a closed pipe).
Status writeStdout(std::string_view text);

} // namespace hadal::cli
