#include "compiler/driver/MemoryReport.h"

#include "dialects/Exec/IR/Exec.h"
#include "frontend/Error.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace hadal {

namespace {

/// Sums of products of sizes that a user's files state; |overflowed| once one
/// does not fit 64 bits.
struct CheckedSizes {
  bool overflowed = false;

  uint64_t times(uint64_t a, uint64_t b) {
    bool over = false;
    uint64_t product = llvm::SaturatingMultiply(a, b, &over);
    overflowed |= over;
    return product;
  }
  uint64_t plus(uint64_t a, uint64_t b) {
    bool over = false;
    uint64_t sum = llvm::SaturatingAdd(a, b, &over);
    overflowed |= over;
    return sum;
  }
};

struct Line {
  std::string label;
  uint64_t bytes;
};

/// The report's lines in order, and their total.
class Report {
public:
  Report(ModuleOp module, const MemoryByKernel &memory)
      : module(module), memory(memory) {}

  llvm::Error print(raw_ostream &os) {
    addWeights();
    addCacheAndStates();
    addArenas();
    addInputsAndLogits();
    addKernels();
    if (sizes.overflowed)
      return makeError(2003,
                       "the memory plan takes more than 2^64 bytes; expected "
                       "sizes of a model that a machine holds");
    os << "memory plan";
    if (exec::MeshAttr mesh = exec::getMesh(module))
      os << " of each of " << mesh.getWorld() << " ranks";
    os << ":\n";
    for (const Line &line : lines)
      printLine(os, line);
    return llvm::Error::success();
  }

private:
  uint64_t number(StringRef key) {
    auto model = module->getAttrOfType<DictionaryAttr>(exec::kModelAttr);
    auto value = model ? model.getAs<IntegerAttr>(key) : IntegerAttr();
    return value ? value.getInt() : 0;
  }

  void add(const Twine &label, uint64_t bytes) {
    lines.push_back({label.str(), bytes});
    total = sizes.plus(total, bytes);
  }

  void addWeights() {
    for (exec::Placement place :
         {exec::Placement::Map, exec::Placement::Copy}) {
      llvm::MapVector<Type, uint64_t> byType;
      for (auto op : module.getOps<exec::ParameterOp>())
        if (op.getPlace() == place)
          byType[op.getDtype()] =
              sizes.plus(byType[op.getDtype()], op.getBytes());
      if (place == exec::Placement::Copy)
        for (auto op : module.getOps<exec::RopeTableOp>()) {
          uint64_t &bytes = byType[Float32Type::get(module.getContext())];
          bytes =
              sizes.plus(bytes, sizes.times(sizes.times(op.getPositions(), 8),
                                            op.getInvFreq().size()));
        }
      if (place == exec::Placement::Copy)
        for (auto op : module.getOps<exec::PlacementTableOp>()) {
          uint64_t &bytes = byType[IntegerType::get(module.getContext(), 32)];
          bytes = sizes.plus(bytes, sizes.times(sizes.times(4, op.getExperts()),
                                                1 + op.getReplicas()));
        }
      for (auto [type, bytes] : byType) {
        std::string text;
        // Of a checkpoint, words are codes of four bits.
        if (type.isInteger(32) && place == exec::Placement::Map)
          text = "int4";
        else
          llvm::raw_string_ostream(text) << type;
        add("weights " + text +
                (place == exec::Placement::Map ? ", mapped" : ", copied"),
            bytes);
      }
    }
  }

  void addCacheAndStates() {
    uint64_t pageSize = std::max<uint64_t>(number("page_size"), 1);
    uint64_t rows = sizes.times(
        number("max_batch_size"),
        sizes.times(pageSize,
                    llvm::divideCeil(number("max_seq_len"), pageSize)));
    uint64_t cache = 0, states = 0;
    for (auto op : module.getOps<exec::StateOp>()) {
      if (op.getKind() == exec::StateKind::PagedCache)
        cache = sizes.plus(cache, sizes.times(rows, op.getRowBytes()));
      else
        states = sizes.plus(states, *op.getBytes());
    }
    add("latent cache, " + Twine(number("max_batch_size")) + " x " +
            Twine(number("max_seq_len")) + " tokens",
        cache);
    add("states", states);
  }

  /// Entries run one at a time and share the largest arena.
  void addArenas() {
    uint64_t largest = 0;
    for (auto entry : module.getOps<exec::EntryOp>()) {
      uint64_t bytes = entry.getArena().value_or(0);
      lines.push_back({("arena of " + entry.getSymName()).str(), bytes});
      largest = std::max(largest, bytes);
    }
    total = sizes.plus(total, largest);
    if (uint64_t exchange = exchangeBytes())
      lines.push_back({"exchange buffers, of an arena", exchange});
  }

  /// Entries share them too: the largest of each counts. Sizes as the schema
  /// has them at Input; the words of `sizes` are a few hundred bytes.
  void addInputsAndLogits() {
    const uint64_t pages =
        llvm::divideCeil(number("max_seq_len"),
                         std::max<uint64_t>(number("page_size"), 1));
    uint64_t tokens = 0, rows = 0, logitRows = 0, fed = 0;
    for (auto entry : module.getOps<exec::EntryOp>()) {
      tokens = std::max<uint64_t>(tokens, entry.getTokens().value_or(0));
      if (entry.getKind() == exec::EntryKind::Draft ||
          entry.getKind() == exec::EntryKind::DraftPrefill)
        fed = std::max<uint64_t>(fed, *entry.getTokens());
      rows = std::max<uint64_t>(rows, entry.getRows().value_or(0));
      logitRows = std::max<uint64_t>(logitRows, entry.getLogitRows().value_or(0));
    }
    // tokens and positions i32, slot i64, of drafts hidden_rows i32; q_start, kv_len and the pages of each
    // row; logit_rows and the logits.
    uint64_t bytes = sizes.plus(sizes.times(tokens, 16), sizes.times(fed, 4));
    bytes = sizes.plus(bytes, sizes.times(rows, 4 * (2 + pages)));
    bytes = sizes.plus(
        bytes, sizes.times(sizes.times(logitRows, 4), 1 + number("vocab_size")));
    add("inputs and logits", bytes);
  }

  /// The end of the last exchange buffer: what a rank registers with its
  /// communication library, the same of every arena.
  uint64_t exchangeBytes() {
    uint64_t end = 0;
    module.walk([&](exec::BufferOp op) {
      if (op.getExchange())
        end = std::max<uint64_t>(end, op.getOffset().value_or(0) + op.getBytes());
    });
    return end;
  }

  void addKernels() {
    uint64_t scratch = 0;
    for (const auto &kernel : memory)
      scratch = std::max(scratch, kernel.second.scratch);
    if (scratch)
      add("scratch, each thread", scratch);
    if (uint64_t workspaces = sumWorkspaces())
      add("workspace of split kernels", workspaces);
    lines.push_back(
        {scratch ? "total (one arena, one thread)" : "total (one arena)",
         total});
  }

  /// Of docs/artifact.md: each kernel's own, for its largest launch.
  uint64_t sumWorkspaces() {
    llvm::MapVector<StringRef, uint64_t> byKernel;
    module.walk([&](exec::LaunchOp launch) {
      auto it = memory.find(launch.getKernel());
      if (it == memory.end())
        return;
      uint64_t &bytes = byKernel[launch.getKernel()];
      bytes =
          std::max(bytes, sizes.plus(sizes.times(it->second.workspacePerItem,
                                                 launch.getItems()),
                                     it->second.workspaceFixed));
    });
    uint64_t sum = 0;
    for (auto [kernel, bytes] : byKernel)
      sum = sizes.plus(sum, sizes.times(llvm::divideCeil(bytes, 256), 256));
    return sum;
  }

  /// Right-aligned, in the unit that keeps three digits and more.
  static void printLine(raw_ostream &os, const Line &line) {
    static const char *const units[] = {"B  ", "KiB", "MiB",
                                        "GiB", "TiB", "PiB"};
    double value = line.bytes;
    unsigned unit = 0;
    while (value >= 1024 && unit + 1 < std::size(units)) {
      value /= 1024;
      ++unit;
    }
    os << "  " << llvm::left_justify(line.label, 34)
       << llvm::format("%10.2f ", value) << units[unit] << "  (" << line.bytes
       << " bytes)\n";
  }

  ModuleOp module;
  const MemoryByKernel &memory;
  CheckedSizes sizes;
  std::vector<Line> lines;
  uint64_t total = 0;
};

} // namespace

MemoryByKernel memoryOf(const TargetCode &code) {
  MemoryByKernel memory;
  for (const KernelFacts &kernel : code.kernels) {
    KernelMemory &needs = memory[kernel.name];
    needs.scratch = kernel.scratchBytes;
    if (kernel.device)
      needs = {needs.scratch, kernel.device->workspaceFixed,
               kernel.device->workspacePerItem};
  }
  return memory;
}

llvm::Error printMemoryReport(ModuleOp module, const MemoryByKernel &memory,
                              raw_ostream &os) {
  return Report(module, memory).print(os);
}

} // namespace hadal
