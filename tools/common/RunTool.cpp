#include "tools/common/RunTool.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>

#include "runtime/base/MappedFile.h"
#include "runtime/comm/control/Launch.h"

namespace hadal::cli {

namespace {

/// How long work may go on that does not look at interruptFlag(): a kernel
/// launch, the driver's compiler, a slow disk.
constexpr std::chrono::seconds kGrace{1};

} // namespace

CLI::Validator nonNegative() {
  return CLI::Validator(
      [](const std::string &text) -> std::string {
        return text.starts_with('-') ? "Value " + text + " is negative" : "";
      },
      "NONNEGATIVE");
}

Status withoutExceptions(const std::function<Status()> &body) {
  try {
    return body();
  } catch (const std::bad_alloc &) {
    return error(5006, "out of memory; use a smaller batch or sequence "
                       "length");
  } catch (const std::exception &e) {
    return error(5014, "unexpected exception: {}", e.what());
  }
}

namespace {

int runWatched(CLI::App &app, int argc, char **argv,
               const std::function<Status()> &body, bool watches) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp &) {
    std::fputs(app.help().c_str(), stdout);
    return 0;
  } catch (const CLI::ParseError &e) {
    std::fprintf(stderr, "error H5011: %s; see --help\n", e.what());
    return 2;
  }
  if (watches)
    watchInterrupts(kGrace);
  endProcessAtLostMapping();
  const Status status = withoutExceptions(body);
  if (status.ok())
    return 0;
  comm::printFailure(status);
  return status.exitCode();
}

} // namespace

int run(CLI::App &app, int argc, char **argv,
        const std::function<Status()> &body) {
  return runWatched(app, argc, argv, body, /*watches=*/true);
}

int runWithoutWatch(CLI::App &app, int argc, char **argv,
                    const std::function<Status()> &body) {
  return runWatched(app, argc, argv, body, /*watches=*/false);
}

Status writeStdout(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() ||
      std::fflush(stdout) != 0)
    return error(5015, "cannot write to standard output: {}",
                 std::strerror(errno));
  return {};
}

} // namespace hadal::cli
