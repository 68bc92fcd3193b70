#include "compiler/artifact/ProgramWriter.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace hadal {

// exec's enums are the schema's, number for number.
static_assert(static_cast<int>(exec::Input::HiddenRows) ==
                  static_cast<int>(schema::Input::hidden_rows) &&
              static_cast<int>(exec::Input::Tokens) ==
                  static_cast<int>(schema::Input::tokens));
static_assert(static_cast<int>(exec::EntryKind::DraftPrefill) ==
              static_cast<int>(schema::EntryKind::draft_prefill));
static_assert(static_cast<int>(exec::CollectiveKind::AllToAll) ==
              static_cast<int>(schema::CollectiveKind::all_to_all));
static_assert(static_cast<int>(exec::Rung::Expected) ==
              static_cast<int>(schema::Rung::expected));

/// Events are numbered from 0.
static uint32_t countEvents(Block &block) {
  int64_t count = 0;
  for (auto record : block.getOps<exec::RecordOp>())
    count = std::max(count, record.getEvent() + 1);
  return count;
}

static schema::DType sumTypeOf(exec::CollectiveOp op) {
  return op.getSumType() ? dtypeOf(*op.getSumType()) : schema::DType::none;
}

uint32_t ProgramWriter::add(exec::FuncOp func) {
  auto it = functionIndex.find(func);
  if (it != functionIndex.end())
    return it->second;
  auto commands = serializeCommands(func.getBodyBlock());
  auto name = manifest.string(func.getSymName());
  functions.push_back(schema::CreateFunction(
      b, name, func.getParameters().size(), func.getStates().size(),
      b.CreateVector(commands), manifest.strings(func.getArgNames()),
      countEvents(func.getBodyBlock())));
  return functionIndex[func] = functions.size() - 1;
}

fb::Offset<schema::Entry> ProgramWriter::add(exec::EntryOp entry) {
  auto commands = serializeCommands(entry.getBodyBlock());
  auto functionName = manifest.string(entry.getSymName());
  functions.push_back(schema::CreateFunction(
      b, functionName, manifest.parameterIndex.size(),
      manifest.stateIndex.size(), b.CreateVector(commands), /*arg_names=*/0,
      countEvents(entry.getBodyBlock())));
  if (!entry.getArena())
    manifest.fail("entry '" + entry.getSymName() + "' has no arena");
  auto name = manifest.string(entry.getSymName());
  auto attention = manifest.string(entry.getAttention().value_or(""));
  artifact::CollectiveDigest digest;
  addCollectives(entry.getBodyBlock(), digest);
  fb::Offset<schema::Overlap> overlap;
  if (exec::OverlapAttr made = entry.getOverlapAttr())
    overlap = schema::CreateOverlap(
        b, made.getStepBefore(), made.getStepAfter(), made.getExposedBefore(),
        made.getExposedAfter(),
        static_cast<schema::OverlapDecision>(made.getDecision()),
        manifest.string(made.getReason().getValue()));
  return schema::CreateEntry(
      b, name, static_cast<schema::EntryKind>(entry.getKind()),
      entry.getTokens().value_or(0), entry.getRows().value_or(0),
      entry.getQueries().value_or(0), entry.getLogitRows().value_or(0),
      entry.getArena().value_or(0), functions.size() - 1, attention,
      static_cast<schema::Rung>(entry.getRung().value_or(exec::Rung::Worst)),
      entry.getCapacity().value_or(0), entry.getPairs().value_or(0),
      digest.finish(), entry.getMicroBatches(), overlap);
}

void ProgramWriter::addCollectives(Block &block,
                                   artifact::CollectiveDigest &digest) {
  for (Operation &op : block) {
    if (auto collective = dyn_cast<exec::CollectiveOp>(op)) {
      std::vector<artifact::CollectiveDigest::Part> parts;
      for (unsigned i = 0; i < collective.getNumParts(); ++i) {
        exec::CollectivePart part = collective.getPart(i);
        parts.push_back({sumTypeOf(collective),
                         static_cast<uint64_t>(part.rows),
                         static_cast<uint64_t>(part.rowBytes),
                         static_cast<int32_t>(part.countColumn)});
      }
      digest.add(
          manifest.communicatorIndex.lookup(collective.getCommunicator()),
          static_cast<schema::CollectiveKind>(collective.getKind()),
          collective.getCountStride().value_or(0), parts);
    } else if (isa<exec::CallOp, exec::RepeatOp>(op)) {
      auto repeat = dyn_cast<exec::RepeatOp>(op);
      StringRef callee =
          repeat ? repeat.getCallee() : cast<exec::CallOp>(op).getCallee();
      artifact::CollectiveDigest inner;
      addCollectives(symbols.lookup<exec::FuncOp>(callee).getBodyBlock(),
                     inner);
      if (!inner.empty())
        for (int64_t i = 0; i < (repeat ? repeat.getCount() : 1); ++i)
          digest.add(inner);
    }
  }
}

std::vector<fb::Offset<schema::Command>>
ProgramWriter::serializeCommands(Block &block) {
  std::vector<fb::Offset<schema::Command>> out;
  for (Operation &op : block) {
    if (auto launch = dyn_cast<exec::LaunchOp>(op))
      out.push_back(serialize(launch));
    else if (auto collective = dyn_cast<exec::CollectiveOp>(op))
      out.push_back(serialize(collective));
    else if (auto record = dyn_cast<exec::RecordOp>(op))
      out.push_back(serializeEvent(schema::CommandKind::record,
                                   record.getEvent(), record.getStream()));
    else if (auto wait = dyn_cast<exec::WaitOp>(op))
      out.push_back(serializeEvent(schema::CommandKind::wait, wait.getEvent(),
                                   wait.getStream()));
    else if (auto call = dyn_cast<exec::CallOp>(op))
      out.push_back(serializeCall(schema::CommandKind::call, call.getCallee(),
                                  0, call.getParameters(), call.getStates()));
    else if (auto repeat = dyn_cast<exec::RepeatOp>(op))
      out.push_back(serializeCall(schema::CommandKind::repeat,
                                  repeat.getCallee(), repeat.getCount(),
                                  repeat.getParameters(), repeat.getStates()));
  }
  return out;
}

std::pair<schema::ArgKind, uint32_t> ProgramWriter::slotOf(Value ref) {
  if (auto at = ref.getDefiningOp<exec::AtOp>())
    ref = at.getBase();
  if (auto arg = dyn_cast<BlockArgument>(ref)) {
    auto func = cast<exec::FuncOp>(arg.getOwner()->getParentOp());
    uint32_t parameters = func.getParameters().size();
    if (arg.getArgNumber() < parameters)
      return {schema::ArgKind::parameter, arg.getArgNumber()};
    return {schema::ArgKind::state, arg.getArgNumber() - parameters};
  }
  using Slot = std::pair<schema::ArgKind, uint32_t>;
  return llvm::TypeSwitch<Operation *, Slot>(ref.getDefiningOp())
      .Case([&](exec::GetParameterOp op) {
        return Slot{schema::ArgKind::parameter,
                    manifest.parameterIndex.lookup(op.getParameter())};
      })
      .Case([&](exec::GetStateOp op) {
        return Slot{schema::ArgKind::state,
                    manifest.stateIndex.lookup(op.getState())};
      })
      .Case([&](exec::InputOp op) {
        return Slot{schema::ArgKind::input,
                    static_cast<uint32_t>(op.getName())};
      })
      .Case([&](exec::OutputOp op) {
        return Slot{schema::ArgKind::output,
                    static_cast<uint32_t>(op.getName())};
      })
      .Default([](Operation *) { return Slot{schema::ArgKind::arena, 0}; });
}

fb::Offset<schema::Command> ProgramWriter::serialize(exec::LaunchOp op) {
  std::vector<fb::Offset<schema::Arg>> args;
  for (unsigned slot = 0; slot < op.getNumSlots(); ++slot) {
    Value ref = op.getRef(slot);
    if (!ref) {
      args.push_back(schema::CreateArg(b, schema::ArgKind::scalar, 0,
                                       op.getScalars()[slot]));
      continue;
    }
    args.push_back(argOf(ref));
  }
  auto argTable = b.CreateVector(args);
  auto none = b.CreateVector(std::vector<uint32_t>());
  int32_t name = op.getOp() ? int32_t(nameOf(*op.getOp())) : -1;
  fb::Offset<fb::Vector<uint32_t>> members;
  if (op.getMembers()) {
    std::vector<uint32_t> list;
    for (StringRef member : op.getAllMembers())
      list.push_back(nameOf(member));
    members = b.CreateVector(list);
  }
  return schema::CreateCommand(b, schema::CommandKind::launch, op.getStream(),
                               manifest.kernelIndex.lookup(op.getKernel()),
                               op.getItems(), argTable, 0, 0, none, none, name,
                               members);
}

fb::Offset<schema::Arg> ProgramWriter::argOf(Value ref) {
  auto [kind, index] = slotOf(ref);
  uint64_t offset = 0;
  if (auto buffer = ref.getDefiningOp<exec::BufferOp>())
    offset = buffer.getOffset().value_or(0);
  else if (auto input = ref.getDefiningOp<exec::InputOp>())
    offset = input.getOffset();
  else if (auto at = ref.getDefiningOp<exec::AtOp>())
    offset = at.getOffset();
  return schema::CreateArg(b, kind, index, offset);
}

fb::Offset<schema::Command> ProgramWriter::serialize(exec::CollectiveOp op) {
  std::vector<fb::Offset<schema::Part>> parts;
  for (unsigned i = 0; i < op.getNumParts(); ++i) {
    exec::CollectivePart part = op.getPart(i);
    auto send = argOf(part.send);
    parts.push_back(schema::CreatePart(b, send, argOf(part.receive), part.rows,
                                       part.rowBytes, sumTypeOf(op),
                                       part.countColumn));
  }
  auto noArgs = b.CreateVector(std::vector<fb::Offset<schema::Arg>>());
  auto none = b.CreateVector(std::vector<uint32_t>());
  auto partTable = b.CreateVector(parts);
  fb::Offset<schema::Arg> counts;
  if (op.getCounts())
    counts = argOf(op.getCounts());
  auto label = manifest.string(op.getLabel());
  schema::CommandBuilder c(b);
  c.add_kind(schema::CommandKind::collective);
  c.add_stream(op.getStream());
  c.add_args(noArgs);
  c.add_parameters(none);
  c.add_states(none);
  c.add_op(op.getOp() ? int32_t(nameOf(*op.getOp())) : -1);
  c.add_communicator(manifest.communicatorIndex.lookup(op.getCommunicator()));
  c.add_collective(static_cast<schema::CollectiveKind>(op.getKind()));
  c.add_parts(partTable);
  if (op.getCounts())
    c.add_counts(counts);
  c.add_count_stride(op.getCountStride().value_or(0));
  c.add_label(label);
  return c.Finish();
}

fb::Offset<schema::Command>
ProgramWriter::serializeEvent(schema::CommandKind kind, int64_t event,
                              int64_t stream) {
  auto noArgs = b.CreateVector(std::vector<fb::Offset<schema::Arg>>());
  auto none = b.CreateVector(std::vector<uint32_t>());
  schema::CommandBuilder c(b);
  c.add_kind(kind);
  c.add_stream(stream);
  c.add_args(noArgs);
  c.add_parameters(none);
  c.add_states(none);
  c.add_event(event);
  return c.Finish();
}

uint32_t ProgramWriter::nameOf(StringRef key) {
  auto [it, isNew] = opIndex.try_emplace(key, opNames.size());
  if (isNew)
    opNames.push_back(manifest.string(key));
  return it->second;
}

fb::Offset<schema::Command>
ProgramWriter::serializeCall(schema::CommandKind kind, StringRef callee,
                             int64_t count, OperandRange parameters,
                             OperandRange states) {
  uint32_t index = add(symbols.lookup<exec::FuncOp>(callee));
  auto slots = [&](OperandRange refs) {
    std::vector<uint32_t> out;
    for (Value ref : refs)
      out.push_back(slotOf(ref).second);
    return b.CreateVector(out);
  };
  auto parameterSlots = slots(parameters), stateSlots = slots(states);
  auto noArgs = b.CreateVector(std::vector<fb::Offset<schema::Arg>>());
  return schema::CreateCommand(b, kind, 0, 0, 0, noArgs, index, count,
                               parameterSlots, stateSlots);
}

} // namespace hadal
