#include "compiler/driver/DumpIndex.h"

#include "compiler/artifact/FileWriter.h"
#include "dialects/Dsv3/IR/Dsv3.h"
#include "dialects/Exec/IR/Exec.h"
#include "frontend/Error.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/AsmState.h"
#include "passes/Dsv3/Passes.h"
#include "passes/Identity/Names.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/xxhash.h"

using namespace mlir;

namespace hadal {

namespace {

using Lines = AsmState::LocationMap;

/// The last line of |op|: the one that closes its last region, or its only one.
unsigned getLastLine(Operation *op, const Lines &lines) {
  unsigned last = lines.lookup(op).first;
  for (Region &region : op->getRegions()) {
    for (Operation &inner : region.getOps())
      last = std::max(last, getLastLine(&inner, lines));
    ++last;
  }
  return last;
}

/// The bucket of each function of |module|, as its entry is called.
llvm::StringMap<std::string> findBuckets(ModuleOp module) {
  llvm::StringMap<std::string> buckets;
  for (auto func : module.getOps<func::FuncOp>())
    if (dsv3::getBucket(func))
      buckets[func.getSymName()] = dsv3::getEntryName(func);
  // A function of a program is reached from one entry.
  llvm::StringMap<exec::FuncOp> functions;
  for (auto func : module.getOps<exec::FuncOp>())
    functions[func.getSymName()] = func;
  for (auto entry : module.getOps<exec::EntryOp>()) {
    buckets[entry.getSymName()] = entry.getSymName().str();
    SmallVector<Operation *> pending = {entry};
    while (!pending.empty())
      pending.pop_back_val()->walk([&](Operation *call) {
        auto callee = call->getAttrOfType<FlatSymbolRefAttr>("callee");
        auto it = callee ? functions.find(callee.getValue()) : functions.end();
        if (it == functions.end())
          return;
        if (buckets.try_emplace(callee.getValue(), entry.getSymName()).second)
          pending.push_back(it->second);
      });
  }
  return buckets;
}

/// The texts of an index, each once; a column holds their numbers.
class StringTable {
public:
  int64_t operator()(StringRef text) {
    auto [it, isNew] = numbers.try_emplace(text, texts.size());
    if (isNew)
      texts.push_back(text.str());
    return it->second;
  }
  llvm::json::Array take() { return std::move(texts); }

private:
  llvm::StringMap<int64_t> numbers;
  llvm::json::Array texts;
};

std::string makeIndex(ModuleOp module, StringRef text, const Lines &lines) {
  StringTable number;
  llvm::json::Array keys, functions, bucketNames, first, last, ops, types,
      members;
  llvm::StringMap<std::string> buckets = findBuckets(module);
  for (Operation &func : *module.getBody()) {
    if (!isa<func::FuncOp, exec::FuncOp, exec::EntryOp>(func))
      continue;
    StringRef symbol = SymbolTable::getSymbolName(&func).getValue();
    func.walk<WalkOrder::PreOrder>([&](Operation *op) {
      if (op == &func)
        return;
      auto launch = dyn_cast<exec::LaunchOp>(op);
      bool isNamed = launch && launch.getOp();
      llvm::json::Array names;
      if (isNamed)
        for (StringRef name : launch.getAllMembers())
          names.push_back(number(name));
      else
        for (const std::string &name : getMembers(op->getLoc()))
          names.push_back(number(name));
      std::string type;
      if (op->getNumResults())
        llvm::raw_string_ostream(type) << op->getResult(0).getType();
      keys.push_back(number(isNamed ? launch.getOp()->str() : getKey(op)));
      functions.push_back(number(symbol));
      bucketNames.push_back(number(buckets.lookup(symbol)));
      first.push_back(lines.lookup(op).first);
      last.push_back(getLastLine(op, lines));
      ops.push_back(number(op->getName().getStringRef()));
      types.push_back(number(type));
      members.push_back(std::move(names));
    });
  }
  llvm::json::Object columns{
      {"key", std::move(keys)},           {"function", std::move(functions)},
      {"bucket", std::move(bucketNames)}, {"first", std::move(first)},
      {"last", std::move(last)},          {"op", std::move(ops)},
      {"type", std::move(types)},         {"members", std::move(members)}};
  llvm::json::Object index{
      {"hadal_index", 1},
      {"text_xxh3", llvm::formatv("{0:x-16}", llvm::xxh3_64bits(text)).str()},
      {"strings", number.take()},
      {"ops", std::move(columns)}};
  return llvm::formatv("{0}\n", llvm::json::Value(std::move(index))).str();
}

} // namespace

Dump dumpModule(ModuleOp module) {
  Dump dump;
  Lines lines;
  AsmState state(module, getDumpFlags(), &lines);
  llvm::raw_string_ostream os(dump.text);
  module->print(os, state);
  os << "\n";
  dump.index = makeIndex(module, dump.text, lines);
  return dump;
}

llvm::Error writeDump(const Dump &dump, StringRef directory, StringRef name) {
  if (std::error_code ec = llvm::sys::fs::create_directories(directory))
    return makeError(4006, "{0}: cannot create the directory: {1}", directory,
                     ec.message());
  for (auto [suffix, text] :
       {std::pair<StringRef, StringRef>{".mlir", dump.text},
        {".index.json", dump.index}}) {
    llvm::SmallString<128> path(directory);
    llvm::sys::path::append(path, name + suffix);
    if (llvm::Error error = writeOutput(
            path, ArrayRef(text.bytes_begin(), text.size())))
      return error;
  }
  return llvm::Error::success();
}

} // namespace hadal
