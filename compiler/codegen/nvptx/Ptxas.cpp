#include "compiler/codegen/nvptx/Ptxas.h"

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <thread>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include "frontend/Error.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/raw_ostream.h"
#include "runtime/base/Interrupt.h"

extern char **environ;

namespace hadal::nvptx {

namespace fs = llvm::sys::fs;
namespace path = llvm::sys::path;

//===----------------------------------------------------------------------===//
// Subprocess
//===----------------------------------------------------------------------===//

namespace {

constexpr unsigned kVersionLimitSeconds = 20;

/// A directory for the files of one run, removed with the object or by an
/// interrupt.
class ScratchDirectory {
public:
  static llvm::Expected<ScratchDirectory> create() {
    ScratchDirectory directory;
    auto held = CleanUp::lock();
    if (std::error_code ec =
            fs::createUniqueDirectory("hadal-ptxas", directory.root))
      return makeError(4006,
                       "cannot create a temporary directory for ptxas: {0}; "
                       "set TMPDIR to a place with space",
                       ec.message());
    directory.cleanUp = CleanUp([root = std::string(directory.root)] {
      // Again where the killed child was just making a file.
      for (int i = 0; i < 10 && fs::remove_directories(root); ++i)
        ;
    });
    return directory;
  }
  ScratchDirectory(ScratchDirectory &&other)
      : root(std::move(other.root)), cleanUp(std::move(other.cleanUp)) {
    other.root.clear();
  }
  ~ScratchDirectory() {
    if (root.empty())
      return;
    auto held = CleanUp::lock();
    fs::remove_directories(root);
  }
  std::string file(llvm::StringRef name) const {
    llvm::SmallString<128> result(root);
    path::append(result, name);
    return std::string(result);
  }
  const char *c_str() { return root.c_str(); }

private:
  ScratchDirectory() = default;
  llvm::SmallString<128> root;
  CleanUp cleanUp;
};

/// The whole of file |name|; "" if it cannot be read.
std::string readFile(const std::string &name) {
  auto buffer = llvm::MemoryBuffer::getFile(name, /*IsText=*/false,
                                            /*RequiresNullTerminator=*/false);
  return buffer ? (*buffer)->getBuffer().str() : std::string();
}

/// Ends |child| and what it started in its process group, and reaps it.
void killGroup(pid_t child) {
  kill(-child, SIGKILL);
  while (waitpid(child, nullptr, 0) < 0 && errno == EINTR)
    ;
}

struct RunResult {
  /// Exit status; -1: not started, -2: killed at the limit, -3: died of a signal.
  int status = -1;
  std::string output;
};

/// Runs |program| in |directory| with both outputs in one file. Not by
/// llvm::sys::ExecuteAndWait, whose time limit is an alarm of the whole process.
RunResult run(const std::string &program, llvm::ArrayRef<std::string> arguments,
              ScratchDirectory &directory, unsigned limitSeconds) {
  RunResult result;
  std::vector<char *> argv = {const_cast<char *>(program.c_str())};
  for (const std::string &argument : arguments)
    argv.push_back(const_cast<char *>(argument.c_str()));
  argv.push_back(nullptr);
  std::string log = directory.file("log");
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  llvm::scope_exit release([&] {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  });
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, log.c_str(),
                                   O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  // Relative names: the bytes of a cubin must not depend on where it was made.
  posix_spawn_file_actions_addchdir_np(&actions, directory.c_str());
  // Its own process group, so that a wrapper script dies with its child; and no
  // blocked signals, which those of an interrupt are here.
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setsigmask(&attributes, &none);
  pid_t child;
  CleanUp killing;
  {
    auto held = CleanUp::lock();
    if (posix_spawn(&child, program.c_str(), &actions, &attributes,
                    argv.data(), environ) != 0)
      return result;
    // Runs before the directory's: the last registered is undone first.
    killing = CleanUp([child] { killGroup(child); });
  }
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + std::chrono::seconds(limitSeconds);
  auto pause = std::chrono::microseconds(500);
  int status = 0;
  while (true) {
    {
      // Once it is reaped its number may be another's.
      auto held = CleanUp::lock();
      pid_t waited = waitpid(child, &status, WNOHANG);
      if (waited < 0 && errno == EINTR)
        continue;
      if (waited != 0) {
        killing.dismiss();
        break;
      }
      if (Clock::now() >= deadline) {
        killGroup(child);
        killing.dismiss();
        result.status = -2;
        return result;
      }
    }
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, std::chrono::microseconds(8000));
  }
  result.status = WIFEXITED(status) ? WEXITSTATUS(status) : -3;
  result.output = readFile(log);
  return result;
}

//===----------------------------------------------------------------------===//
// Search
//===----------------------------------------------------------------------===//

/// An error that is only part of a message.
template <typename... Args>
llvm::Error sentence(const char *format, Args &&...args) {
  return llvm::createStringError(
      llvm::formatv(format, std::forward<Args>(args)...).str());
}

/// The version that |program| states, or a sentence that says why not.
llvm::Expected<Ptxas> probe(const std::string &program) {
  if (!fs::can_execute(program))
    return sentence("{0}: is not an executable file", program);
  llvm::Expected<ScratchDirectory> directory = ScratchDirectory::create();
  if (!directory)
    return directory.takeError();
  // The child starts in another directory.
  llvm::SmallString<128> absolute(program);
  fs::make_absolute(absolute);
  RunResult result = run(std::string(absolute), {"--version"}, *directory,
                         kVersionLimitSeconds);
  // "Cuda compilation tools, release 13.0, V13.0.88"
  llvm::StringRef text = llvm::StringRef(result.output).split(", V").second;
  text = text.take_while([](char c) { return llvm::isDigit(c) || c == '.'; });
  auto [major, rest] = text.split('.');
  unsigned majorNumber, minorNumber;
  if (result.status != 0 || major.getAsInteger(10, majorNumber) ||
      rest.split('.').first.getAsInteger(10, minorNumber) ||
      majorNumber > 1000 || minorNumber > 99)
    return sentence("{0}: does not answer --version as ptxas does", program);
  Ptxas ptxas{std::string(absolute), text.str(),
              majorNumber * 1000 + minorNumber * 10};
  if (ptxas.release < kMinimumPtxasRelease)
    return sentence("{0}: is ptxas {1}, sm_90a needs {2}.{3} or newer", program,
                    ptxas.version, kMinimumPtxasRelease / 1000,
                    kMinimumPtxasRelease % 1000 / 10);
  return ptxas;
}

/// Adds the ptxas of wheels nvidia-cuda-nvcc* under |root|/lib/python3*/{site,
/// dist}-packages and |root|/lib/python3/dist-packages.
void addWheels(llvm::StringRef root, std::vector<std::string> &out) {
  if (root.empty())
    return;
  llvm::SmallString<128> lib(root);
  path::append(lib, "lib");
  std::error_code ec;
  std::vector<std::string> pythons;
  for (fs::directory_iterator it(lib, ec), end; it != end && !ec;
       it.increment(ec))
    if (path::filename(it->path()).starts_with("python3"))
      pythons.push_back(it->path());
  llvm::sort(pythons);
  for (const std::string &python : llvm::reverse(pythons))
    for (llvm::StringRef packages : {"site-packages", "dist-packages"}) {
      llvm::SmallString<128> nvidia(python);
      path::append(nvidia, packages, "nvidia");
      // nvidia/cuda_nvcc of CUDA 12, nvidia/cu13 since.
      std::vector<std::string> trees;
      for (fs::directory_iterator it(nvidia, ec), end; it != end && !ec;
           it.increment(ec))
        if (path::filename(it->path()).starts_with("cu"))
          trees.push_back(it->path());
      llvm::sort(trees);
      for (const std::string &tree : trees) {
        llvm::SmallString<128> binary(tree);
        path::append(binary, "bin", "ptxas");
        out.push_back(std::string(binary));
      }
    }
}

std::string environment(const char *name) {
  const char *value = std::getenv(name);
  return value ? value : "";
}

} // namespace

std::vector<std::string> ptxasCandidates() {
  std::vector<std::string> candidates;
  llvm::SmallVector<llvm::StringRef> directories;
  std::string search = environment("PATH");
  llvm::StringRef(search).split(directories, ':', -1, /*KeepEmpty=*/false);
  auto add = [&](llvm::StringRef root, llvm::ArrayRef<llvm::StringRef> parts) {
    if (root.empty())
      return;
    llvm::SmallString<128> file(root);
    for (llvm::StringRef part : parts)
      path::append(file, part);
    candidates.push_back(std::string(file));
  };
  for (llvm::StringRef directory : directories)
    add(directory, {"ptxas"});
  for (const char *name : {"CUDA_HOME", "CUDA_PATH"})
    add(environment(name), {"bin", "ptxas"});
  add("/usr/local/cuda", {"bin", "ptxas"});
  addWheels(environment("VIRTUAL_ENV"), candidates);
  if (std::string home = environment("HOME"); !home.empty())
    addWheels(home + "/.local", candidates);
  addWheels("/usr/local", candidates);
  addWheels("/usr", candidates);
  llvm::erase_if(candidates, [](const std::string &file) {
    return !fs::can_execute(file);
  });
  return candidates;
}

llvm::Expected<std::optional<Ptxas>> findPtxas(llvm::StringRef choice) {
  if (choice == "none")
    return std::nullopt;
  if (!choice.empty()) {
    llvm::Expected<Ptxas> ptxas = probe(choice.str());
    if (!ptxas)
      return makeError(3006, "--ptxas: {0}; give another, or --ptxas=none for an "
                             "artifact of PTX only",
                       llvm::toString(ptxas.takeError()));
    return std::optional<Ptxas>(std::move(*ptxas));
  }
  for (const std::string &candidate : ptxasCandidates()) {
    llvm::Expected<Ptxas> ptxas = probe(candidate);
    if (ptxas)
      return std::optional<Ptxas>(std::move(*ptxas));
    // An old one on PATH does not hide a newer one elsewhere.
    llvm::consumeError(ptxas.takeError());
  }
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// Assembly
//===----------------------------------------------------------------------===//

/// The number before |unit| in |line|: of "  8 bytes spill stores" and "spill
/// stores" 8.
static uint64_t numberBefore(llvm::StringRef line, llvm::StringRef unit) {
  size_t end = line.find(unit);
  if (end == llvm::StringRef::npos)
    return 0;
  llvm::StringRef head = line.take_front(end).rtrim();
  llvm::StringRef digits =
      head.take_back(head.size() - (head.find_last_not_of("0123456789") + 1));
  uint64_t value = 0;
  digits.getAsInteger(10, value);
  return value;
}

PtxasFacts parsePtxasOutput(llvm::StringRef output) {
  PtxasFacts facts;
  llvm::SmallVector<llvm::StringRef> lines;
  output.split(lines, '\n');
  for (llvm::StringRef line : lines) {
    if (line.contains("spill stores")) {
      facts.stackBytes += numberBefore(line, "bytes stack frame");
      facts.spillStoreBytes += numberBefore(line, "bytes spill stores");
      facts.spillLoadBytes += numberBefore(line, "bytes spill loads");
    } else if (line.contains("Used ")) {
      facts.registers = numberBefore(line, "registers");
      facts.barriers = numberBefore(line, "barriers");
      facts.sharedBytes = numberBefore(line, "bytes smem");
    }
    size_t code = line.find("(C75");
    if (code != llvm::StringRef::npos)
      facts.advice.push_back(line.drop_front(code).trim().str());
  }
  return facts;
}

llvm::Expected<Assembly> assemble(const Ptxas &ptxas, llvm::StringRef name,
                                  llvm::StringRef ptx,
                                  unsigned limitSeconds) {
  llvm::Expected<ScratchDirectory> directory = ScratchDirectory::create();
  if (!directory)
    return directory.takeError();
  {
    std::error_code ec;
    llvm::raw_fd_ostream out(directory->file("kernel.ptx"), ec);
    out << ptx;
    out.close();
    if (ec || out.has_error()) {
      std::string reason = (ec ? ec : out.error()).message();
      out.clear_error();
      return makeError(4006,
                       "cannot write the PTX of kernel '{0}' for ptxas: {1}; "
                       "set TMPDIR to a place with space",
                       name, reason);
    }
  }
  RunResult result =
      run(ptxas.path, {"-arch=sm_90a", "-v", "-o", "kernel.cubin", "kernel.ptx"},
          *directory, limitSeconds);
  auto fail = [&](const llvm::Twine &what) {
    return makeError(3005,
                     "kernel '{0}': ptxas {1} {2}; --ptxas chooses another one, "
                     "--ptxas=none leaves the PTX to the driver",
                     name, ptxas.version, what.str());
  };
  switch (result.status) {
  case -1:
    return fail("does not start");
  case -2:
    return fail("has not finished after " + llvm::Twine(limitSeconds) +
                " seconds");
  case -3:
    return fail("died of a signal");
  default:
    break;
  }
  if (result.status != 0) {
    // The first complaint; the rest repeats that it gave up.
    llvm::StringRef text(result.output);
    size_t error = text.find("error");
    llvm::StringRef line =
        text.drop_front(error == llvm::StringRef::npos
                            ? 0
                            : text.rfind('\n', error) + 1)
            .split('\n')
            .first;
    return fail("ended with " + llvm::Twine(result.status) + ": " +
                line.trim());
  }
  Assembly assembly;
  assembly.facts = parsePtxasOutput(result.output);
  assembly.cubin = readFile(directory->file("kernel.cubin"));
  if (!llvm::StringRef(assembly.cubin).starts_with("\x7f"
                                                   "ELF"))
    return fail("wrote no cubin");
  return assembly;
}

} // namespace hadal::nvptx
