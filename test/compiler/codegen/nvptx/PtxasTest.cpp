// The ptxas subprocess against programs that behave as one, or do not.
#include "compiler/codegen/nvptx/Ptxas.h"

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "llvm/Support/Process.h"

using namespace hadal::nvptx;
namespace fs = std::filesystem;

namespace {

constexpr const char *kVersion =
    "echo 'Cuda compilation tools, release 12.4, V12.4.131'";

class PtxasTest : public testing::Test {
protected:
  void SetUp() override {
    root = fs::path(testing::TempDir()) /
           ("ptxas." + std::to_string(llvm::sys::Process::getProcessId()));
    fs::remove_all(root);
    fs::create_directories(root);
  }
  void TearDown() override { fs::remove_all(root); }

  /// A shell script as |name|, and its path.
  std::string script(const std::string &name, const std::string &body) {
    fs::path file = root / name;
    fs::create_directories(file.parent_path());
    std::ofstream(file) << "#!/bin/sh\n" << body << "\n";
    fs::permissions(file, fs::perms::owner_all);
    return file;
  }
  /// A ptxas that answers --version and else runs |body|.
  Ptxas fake(const std::string &body) {
    std::string path =
        script("fake", std::string("if [ \"$1\" = --version ]; then ") +
                           kVersion + "; exit 0; fi\n" + body);
    auto found = findPtxas(path);
    EXPECT_TRUE(static_cast<bool>(found));
    return **found;
  }
  static std::string message(llvm::Error error) {
    return llvm::toString(std::move(error));
  }

  fs::path root;
};

/// Sets a variable for its lifetime.
struct Environment {
  Environment(const char *name, const std::string &value) : name(name) {
    if (const char *old = std::getenv(name))
      before = old;
    setenv(name, value.c_str(), 1);
  }
  ~Environment() {
    if (before)
      setenv(name, before->c_str(), 1);
    else
      unsetenv(name);
  }
  const char *name;
  std::optional<std::string> before;
};

} // namespace

TEST_F(PtxasTest, OutputOfAKernelWithSpills) {
  PtxasFacts facts = parsePtxasOutput(
      "ptxas info    : 0 bytes gmem\n"
      "ptxas info    : Compiling entry function 'k' for 'sm_90a'\n"
      "ptxas info    : Function properties for k\n"
      "    120 bytes stack frame, 168 bytes spill stores, 140 bytes spill "
      "loads\n"
      "ptxas info    : Used 168 registers, used 3 barriers, 120 bytes "
      "cumulative stack size, 64 bytes smem\n"
      "ptxas info    : (C7510) Potential Performance Loss: wgmma.mma_async "
      "instructions are serialized in function 'k'\n");
  EXPECT_EQ(facts.registers, 168u);
  EXPECT_EQ(facts.barriers, 3u);
  EXPECT_EQ(facts.stackBytes, 120u);
  EXPECT_EQ(facts.spillStoreBytes, 168u);
  EXPECT_EQ(facts.spillLoadBytes, 140u);
  EXPECT_EQ(facts.sharedBytes, 64u);
  ASSERT_EQ(facts.advice.size(), 1u);
  EXPECT_EQ(facts.advice[0].substr(0, 7), "(C7510)");
}

TEST_F(PtxasTest, OutputOfACleanKernelAndOfNone) {
  PtxasFacts facts = parsePtxasOutput(
      "    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
      "ptxas info    : Used 8 registers, used 1 barriers\n");
  EXPECT_EQ(facts.registers, 8u);
  EXPECT_EQ(facts.spillStoreBytes + facts.spillLoadBytes + facts.stackBytes,
            0u);
  EXPECT_TRUE(facts.advice.empty());
  EXPECT_EQ(parsePtxasOutput("").registers, 0u);
  EXPECT_EQ(parsePtxasOutput("bytes spill stores Used registers\n").registers,
            0u);
}

TEST_F(PtxasTest, AnExplicitPathMustBeAPtxasThatIsRecentEnough) {
  auto complaint = [&](const std::string &path) {
    auto found = findPtxas(path);
    EXPECT_FALSE(static_cast<bool>(found));
    return found ? "" : message(found.takeError());
  };
  EXPECT_NE(complaint(root / "missing").find("is not an executable file"),
            std::string::npos);
  EXPECT_NE(complaint(script("other", "echo gcc 12"))
                .find("does not answer --version as ptxas does"),
            std::string::npos);
  EXPECT_NE(complaint(script("fails", std::string(kVersion) + "; exit 3"))
                .find("does not answer"),
            std::string::npos);
  std::string old =
      complaint(script("old", "echo 'release 11.8, V11.8.89'"));
  EXPECT_NE(old.find("is ptxas 11.8.89, sm_90a needs 12.0 or newer"),
            std::string::npos)
      << old;
  EXPECT_NE(old.find("H3006"), std::string::npos);
}

TEST_F(PtxasTest, AnOldOneOnThePathDoesNotHideANewerOne) {
  script("bin/ptxas", "echo 'release 11.8, V11.8.89'");
  std::string inToolkit = script("toolkit/bin/ptxas", kVersion);
  Environment path("PATH", (root / "bin").string() + ":/usr/bin:/bin"),
      home("CUDA_HOME", (root / "toolkit").string());
  auto found = findPtxas("");
  ASSERT_TRUE(static_cast<bool>(found));
  ASSERT_TRUE(found->has_value());
  EXPECT_EQ((*found)->path, inToolkit);
  EXPECT_EQ((*found)->version, "12.4.131");
  EXPECT_EQ((*found)->release, 12040u);
}

TEST_F(PtxasTest, AWheelInAVirtualEnvironmentIsACandidate) {
  std::string wheel = script(
      "venv/lib/python3.11/site-packages/nvidia/cuda_nvcc/bin/ptxas", kVersion);
  Environment environment("VIRTUAL_ENV", (root / "venv").string());
  std::vector<std::string> candidates = ptxasCandidates();
  EXPECT_NE(std::find(candidates.begin(), candidates.end(), wheel),
            candidates.end());
}

TEST_F(PtxasTest, NoneIsNone) {
  auto found = findPtxas("none");
  ASSERT_TRUE(static_cast<bool>(found));
  EXPECT_FALSE(found->has_value());
}

TEST_F(PtxasTest, TheCubinAndItsFactsComeBack) {
  Ptxas ptxas = fake(
      "cat kernel.ptx > kernel.cubin; printf '\\177ELF' > head; "
      "cat head kernel.ptx > kernel.cubin\n"
      "echo 'ptxas info : Used 40 registers, used 2 barriers'");
  auto assembly = assemble(ptxas, "k", "text of k");
  ASSERT_TRUE(static_cast<bool>(assembly));
  EXPECT_EQ(assembly->cubin, "\x7f"
                             "ELFtext of k");
  EXPECT_EQ(assembly->facts.registers, 40u);
}

TEST_F(PtxasTest, FailuresNameTheKernelAndQuotePtxas) {
  auto complaint = [&](const std::string &body) {
    auto assembly = assemble(fake(body), "gemm", "x");
    EXPECT_FALSE(static_cast<bool>(assembly));
    return assembly ? "" : message(assembly.takeError());
  };
  std::string text = complaint(
      "echo 'ptxas kernel.ptx, line 5; error   : Unknown modifier'; exit 255");
  EXPECT_NE(text.find("H3005: kernel 'gemm': ptxas 12.4.131 ended with 255: "
                      "ptxas kernel.ptx, line 5; error   : Unknown modifier"),
            std::string::npos)
      << text;
  EXPECT_NE(complaint("kill -9 $$").find(
                "died of a signal; --ptxas chooses another one, --ptxas=none "
                "leaves the PTX to the driver"),
            std::string::npos);
  EXPECT_NE(complaint("exit 0").find("wrote no cubin"), std::string::npos);
  EXPECT_NE(complaint("echo no > kernel.cubin").find("wrote no cubin"),
            std::string::npos);
}

TEST_F(PtxasTest, WithoutAPlaceForItsFilesTheRemedyIsNamed) {
  Ptxas ptxas = fake("exit 0");
  {
    Environment nowhere("TMPDIR", root / "missing");
    auto assembly = assemble(ptxas, "k", "x");
    ASSERT_FALSE(static_cast<bool>(assembly));
    std::string text = message(assembly.takeError());
    EXPECT_NE(text.find("H4006: cannot create a temporary directory for ptxas: "
                        "No such file or directory; set TMPDIR to a place with "
                        "space"),
              std::string::npos)
        << text;
  }
  // A full disk: no file of this process may hold a byte more.
  struct rlimit before, none{0, 0};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  none.rlim_max = before.rlim_max;
  auto ignored = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &none), 0);
  auto assembly = assemble(ptxas, "k", "x");
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, ignored);
  ASSERT_FALSE(static_cast<bool>(assembly));
  std::string text = message(assembly.takeError());
  EXPECT_NE(text.find("cannot write the PTX of kernel 'k' for ptxas: File too "
                      "large; set TMPDIR to a place with space"),
            std::string::npos)
      << text;
}

TEST_F(PtxasTest, OneThatHangsIsKilledWithItsChildren) {
  Ptxas ptxas = fake("sleep 600 & wait");
  auto begin = std::chrono::steady_clock::now();
  auto assembly = assemble(ptxas, "k", "x", /*limitSeconds=*/1);
  double seconds = std::chrono::duration<double>(
                       std::chrono::steady_clock::now() - begin)
                       .count();
  ASSERT_FALSE(static_cast<bool>(assembly));
  EXPECT_NE(message(assembly.takeError()).find("has not finished after 1 "
                                               "seconds"),
            std::string::npos);
  EXPECT_LT(seconds, 30);
}
