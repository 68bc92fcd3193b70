#include "passes/Memory/VerifyDeterminism.h"

#include "kernels/SpecAttr.h"

using namespace mlir;

namespace hadal {

namespace {

/// The order of a kernel's sums; none of a kernel that does not contract.
std::optional<kernels::Sums> sumsOf(tile::KernelOp kernel) {
  if (!kernel || !kernel.getSpecAttr())
    return std::nullopt;
  FailureOr<kernels::AnySpec> spec = kernels::readSpec(kernel);
  if (failed(spec))
    return std::nullopt;
  return std::visit(
      [](const auto &s) -> std::optional<kernels::Sums> {
        if constexpr (requires { s.sums; })
          return s.sums;
        else
          return std::nullopt;
      },
      *spec);
}

/// Checks what one entry launches, in itself and in what it calls.
class LaunchVerifier {
public:
  LaunchVerifier(exec::EntryOp entry, SymbolTable &symbols)
      : entry(entry), symbols(symbols),
        expected(entry.getKind() == exec::EntryKind::Prefill ||
                         entry.getKind() == exec::EntryKind::DraftPrefill
                     ? kernels::Sums::panel
                     : kernels::Sums::rows) {}

  LogicalResult run(Block &block) {
    for (Operation &op : block) {
      if (auto launch = dyn_cast<exec::LaunchOp>(op)) {
        if (failed(check(launch)))
          return failure();
        continue;
      }
      StringRef name;
      if (auto call = dyn_cast<exec::CallOp>(op))
        name = call.getCallee();
      else if (auto repeat = dyn_cast<exec::RepeatOp>(op))
        name = repeat.getCallee();
      else
        continue;
      auto callee = symbols.lookup<exec::FuncOp>(name);
      if (callee && visited.insert(callee).second &&
          failed(run(callee.getBodyBlock())))
        return failure();
    }
    return success();
  }

private:
  static StringRef wordOf(kernels::Sums sums) {
    return wordsOf(sums)[static_cast<size_t>(sums)];
  }

  LogicalResult check(exec::LaunchOp launch) {
    std::optional<kernels::Sums> sums =
        sumsOf(symbols.lookup<tile::KernelOp>(launch.getKernel()));
    if (!sums || *sums == expected)
      return success();
    return launch.emitOpError("of entry '")
           << entry.getSymName() << "' of a deterministic program: kernel '"
           << launch.getKernel() << "' adds in the order '" << wordOf(*sums)
           << "', expected '" << wordOf(expected) << "'";
  }

  exec::EntryOp entry;
  SymbolTable &symbols;
  kernels::Sums expected;
  llvm::SmallPtrSet<Operation *, 8> visited;
};

} // namespace

LogicalResult verifyDeterminism(ModuleOp module, SymbolTable &symbols) {
  auto model = module->getAttrOfType<DictionaryAttr>(exec::kModelAttr);
  if (!model || !model.contains(exec::kDeterministic))
    return success();
  llvm::DenseMap<exec::EntryKind, exec::EntryOp> firstOf;
  for (auto entry : module.getOps<exec::EntryOp>()) {
    exec::EntryOp &first = firstOf[entry.getKind()];
    if (!first)
      first = entry;
    if (entry.getAttention() != first.getAttention())
      return entry.emitError("entry '")
             << entry.getSymName() << "' of a deterministic program has "
             << *entry.getAttention() << " attention, '" << first.getSymName()
             << "' " << *first.getAttention()
             << "; entries of a kind have one form";
    if (failed(LaunchVerifier(entry, symbols).run(entry.getBodyBlock())))
      return failure();
  }
  return success();
}

} // namespace hadal
