#include "compiler/driver/MemoryReport.h"

#include "dialects/Exec/IR/Exec.h"
#include "frontend/Error.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace hadal {

/// Right-aligned, in the unit that keeps three digits and more.
static void line(raw_ostream &os, const Twine &what, uint64_t bytes) {
  static const char *const units[] = {"B  ", "KiB", "MiB", "GiB", "TiB"};
  double value = bytes;
  unsigned unit = 0;
  while (value >= 1024 && unit + 1 < std::size(units)) {
    value /= 1024;
    ++unit;
  }
  std::string label = what.str();
  os << "  " << llvm::left_justify(label, 34) << llvm::format("%10.2f ", value)
     << units[unit] << "  (" << bytes << " bytes)\n";
}

namespace {

/// Sums and products of sizes; whether one of them left 64 bits.
struct CheckedSizes {
  bool overflowed = false;

  uint64_t sum(std::initializer_list<uint64_t> terms) {
    uint64_t total = 0;
    for (uint64_t term : terms) {
      bool wrapped = false;
      total = llvm::SaturatingAdd(total, term, &wrapped);
      overflowed |= wrapped;
    }
    return total;
  }
  uint64_t product(std::initializer_list<uint64_t> factors) {
    uint64_t total = 1;
    for (uint64_t factor : factors) {
      bool wrapped = false;
      total = llvm::SaturatingMultiply(total, factor, &wrapped);
      overflowed |= wrapped;
    }
    return total;
  }
};

} // namespace

llvm::Error printMemoryReport(ModuleOp module, uint64_t scratchBytes,
                              uint64_t workspaceBytes, raw_ostream &out) {
  std::string text;
  llvm::raw_string_ostream os(text);
  CheckedSizes sizes;
  auto model = module->getAttrOfType<DictionaryAttr>(exec::kModelAttr);
  auto number = [&](StringRef key) -> uint64_t {
    auto value = model ? model.getAs<IntegerAttr>(key) : IntegerAttr();
    return value ? value.getInt() : 0;
  };
  uint64_t total = 0;
  os << "memory plan:\n";
  for (exec::Placement place : {exec::Placement::Map, exec::Placement::Copy}) {
    llvm::MapVector<Type, uint64_t> byType;
    for (auto op : module.getOps<exec::ParameterOp>())
      if (op.getPlace() == place)
        byType[op.getDtype()] = sizes.sum(
            {byType[op.getDtype()], static_cast<uint64_t>(op.getBytes())});
    if (place == exec::Placement::Copy)
      for (auto op : module.getOps<exec::RopeTableOp>()) {
        uint64_t &bytes = byType[Float32Type::get(module.getContext())];
        bytes = sizes.sum(
            {bytes, sizes.product({static_cast<uint64_t>(op.getPositions()),
                                   op.getInvFreq().size(), 8})});
      }
    for (auto [type, bytes] : byType) {
      std::string name;
      llvm::raw_string_ostream(name) << type;
      line(os,
           "weights " + name +
               (place == exec::Placement::Map ? ", mapped" : ", copied"),
           bytes);
      total = sizes.sum({total, bytes});
    }
  }
  uint64_t pageSize = std::max<uint64_t>(number("page_size"), 1);
  uint64_t rows = sizes.product(
      {number("max_batch_size"),
       llvm::divideCeil(number("max_seq_len"), pageSize), pageSize});
  uint64_t cache = 0, states = 0;
  for (auto op : module.getOps<exec::StateOp>()) {
    if (op.getKind() == exec::StateKind::PagedCache)
      cache = sizes.sum(
          {cache,
           sizes.product({rows, static_cast<uint64_t>(op.getRowBytes())})});
    else
      states = sizes.sum({states, static_cast<uint64_t>(*op.getBytes())});
  }
  line(os,
       "latent cache, " + Twine(number("max_batch_size")) + " x " +
           Twine(number("max_seq_len")) + " tokens",
       cache);
  line(os, "states", states);
  uint64_t arena = 0;
  for (auto entry : module.getOps<exec::EntryOp>()) {
    uint64_t bytes = entry.getArena().value_or(0);
    line(os, "arena of " + entry.getSymName(), bytes);
    arena = std::max(arena, bytes);
  }
  if (scratchBytes)
    line(os, "scratch, each thread", scratchBytes);
  if (workspaceBytes)
    line(os, "workspace of split kernels", workspaceBytes);
  // Entries run one at a time and share the largest arena.
  line(os, scratchBytes ? "total (one arena, one thread)" : "total (one arena)",
       sizes.sum({total, cache, states, arena, scratchBytes, workspaceBytes}));
  if (sizes.overflowed)
    return makeError(2003,
                     "the memory plan takes more than 2^64 bytes; expected "
                     "sizes of a model that a machine holds");
  out << text;
  return llvm::Error::success();
}

} // namespace hadal
