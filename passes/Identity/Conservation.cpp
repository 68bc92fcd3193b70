#include "dialects/Diagnostics.h"
#include "passes/Identity/Conservation.h"

#include "dialects/Dsv3/IR/Dsv3.h"
#include "dialects/Exec/IR/Exec.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"
#include "passes/Identity/Names.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;

namespace hadal {

namespace {

/// The names of one function.
struct Function {
  std::string symbol;
  bool isProgram = false; // of exec
  NameSet kinds;     // of the function itself, by its location
  NameSet names;     // of its operations
  NameSet accounted; // names, and those that were dropped
};

bool isFunction(Operation *op) {
  return isa<func::FuncOp, exec::FuncOp, exec::EntryOp>(op);
}

/// True for an operation of the model, as opposed to memory of the program: a
/// buffer has the name of what writes it and would hide that it is gone.
bool hasName(Operation *op) {
  if (op->hasTrait<OpTrait::IsTerminator>())
    return false;
  if (isa<func::CallOp, exec::LaunchOp, exec::CallOp, exec::RepeatOp,
          exec::GetParameterOp, exec::GetStateOp>(op))
    return true;
  return op->getName().getDialectNamespace() == "dsv3";
}

Function describe(Operation *op) {
  Function result;
  result.symbol = SymbolTable::getSymbolName(op).str();
  result.isProgram = isa<exec::FuncOp>(op);
  addMembers(op->getLoc(), result.kinds);
  op->walk([&](Operation *inner) {
    auto launch = dyn_cast<exec::LaunchOp>(inner);
    if (launch && launch.getOp())
      for (StringRef name : launch.getAllMembers())
        result.names.insert(name.str());
    else if (inner != op && hasName(inner))
      addMembers(inner->getLoc(), result.names);
  });
  result.accounted = result.names;
  if (auto dropped = op->getAttrOfType<ArrayAttr>(dsv3::kDroppedAttr))
    for (auto name : dropped.getAsRange<StringAttr>())
      result.accounted.insert(name.str());
  return result;
}

std::vector<Function> describeAll(Operation *root) {
  if (isFunction(root))
    return {describe(root)};
  std::vector<Function> result;
  for (Region &region : root->getRegions())
    for (Operation &op : region.getOps())
      if (isFunction(&op))
        result.push_back(describe(&op));
  return result;
}

/// What the functions of one kind have, all together and each.
struct Kind {
  explicit Kind(const Function &first)
      : any(first.names), all(first.names), accounted(first.accounted) {}
  void add(const Function &func) {
    any.insert(func.names.begin(), func.names.end());
    all.remove_if(
        [&](const std::string &n) { return !func.names.contains(n); });
    accounted.insert(func.accounted.begin(), func.accounted.end());
  }
  NameSet any, all, accounted;
};

llvm::StringMap<Kind> byKind(const std::vector<Function> &functions) {
  llvm::StringMap<Kind> result;
  for (const Function &func : functions)
    for (const std::string &kind : func.kinds)
      if (auto [it, isNew] = result.try_emplace(kind, func); !isNew)
        it->second.add(func);
  return result;
}

class ConservationCheck : public PassInstrumentation {
public:
  explicit ConservationCheck(std::string &lossy) : lossy(lossy) {}

  void runBeforePass(Pass *pass, Operation *op) override {
    if (isChecked(pass, op))
      before[op].push_back(describeAll(op));
  }
  void runAfterPassFailed(Pass *pass, Operation *op) override {
    if (isChecked(pass, op))
      before[op].pop_back();
  }
  void runAfterPass(Pass *pass, Operation *op) override {
    if (isChecked(pass, op))
      compare(pass, op, before[op].pop_back_val(), describeAll(op));
  }

private:
  /// Passes of others (canonicalize, cse) erase what is dead without a word.
  static bool isChecked(Pass *pass, Operation *op) {
    return pass->getArgument().starts_with("hadal-") &&
           (isa<ModuleOp>(op) || isFunction(op));
  }

  void compare(Pass *pass, Operation *op, const std::vector<Function> &old,
               const std::vector<Function> &now) {
    llvm::StringMap<Kind> oldKinds = byKind(old), nowKinds = byKind(now);
    NameSet told;
    auto require = [&](const NameSet &wanted, const NameSet &found,
                       StringRef where) {
      for (const std::string &name : wanted)
        if (!found.contains(name) && told.insert(name)) {
          if (lossy.empty())
            lossy = pass->getArgument();
          emitCodedError(op->getLoc(), 2001)
              << pass->getArgument() << " loses '" << name
              << "' of '" << where
              << "': no operation stands for it; fuse its location into the "
                 "one that does (passes/Identity/Names.h), or record it as "
                 "dropped";
        }
    };
    llvm::StringMap<const Function *> bySymbol;
    for (const Function &func : old)
      bySymbol[func.symbol] = &func;
    // A function of the program that is gone may have become several, each with
    // a part of it.
    llvm::StringMap<NameSet> parts;
    llvm::StringSet<> there;
    for (const Function &func : now)
      there.insert(func.symbol);
    for (const Function &func : old)
      if (func.isProgram && !there.contains(func.symbol))
        parts[func.symbol];
    for (const Function &func : now) {
      if (auto whole = findWhole(func, bySymbol, parts); whole != parts.end()) {
        whole->second.insert(func.accounted.begin(), func.accounted.end());
        continue;
      }
      for (const std::string &kind : func.kinds)
        if (auto it = oldKinds.find(kind); it != oldKinds.end())
          require(it->second.all, func.accounted, func.symbol);
      auto it = bySymbol.find(func.symbol);
      if (it != bySymbol.end() &&
          llvm::any_of(it->second->kinds, [&](const std::string &kind) {
            return func.kinds.contains(kind);
          }))
        require(it->second->names, func.accounted, func.symbol);
    }
    for (auto &[symbol, names] : parts)
      if (!names.empty())
        require(bySymbol[symbol]->names, names, symbol);
    for (auto &[kind, names] : oldKinds) {
      auto it = nowKinds.find(kind);
      require(names.any,
              it == nowKinds.end() ? NameSet() : it->second.accounted, kind);
    }
  }

  /// The function of |parts| that the new |func| has the name and a kind of,
  /// and more of a name behind it: "layer" of "layer_prologue".
  static llvm::StringMap<NameSet>::iterator
  findWhole(const Function &func,
            const llvm::StringMap<const Function *> &bySymbol,
            llvm::StringMap<NameSet> &parts) {
    auto best = parts.end();
    if (!func.isProgram || bySymbol.contains(func.symbol))
      return best;
    for (auto it = parts.begin(); it != parts.end(); ++it) {
      StringRef rest = func.symbol;
      if (rest.consume_front(it->first()) && rest.starts_with("_") &&
          (best == parts.end() || it->first().size() > best->first().size()) &&
          llvm::any_of(bySymbol.lookup(it->first())->kinds,
                       [&](const std::string &kind) {
                         return func.kinds.contains(kind);
                       }))
        best = it;
    }
    return best;
  }

  // Callbacks come one at a time, whatever threads the passes run on.
  std::string &lossy;
  /// Of passes that are running, the innermost last.
  llvm::DenseMap<Operation *, SmallVector<std::vector<Function>, 1>> before;
};

} // namespace

std::unique_ptr<PassInstrumentation>
createConservationCheck(std::string &pass) {
  return std::make_unique<ConservationCheck>(pass);
}

} // namespace hadal
