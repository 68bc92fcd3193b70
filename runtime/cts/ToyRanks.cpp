#include "runtime/cts/ToyRanks.h"

#include "runtime/schemas/CollectiveDigest.h"

namespace hadal::toy {

using namespace schema;

namespace {

constexpr uint64_t kRowBytes = kRowFloats * 4;
constexpr uint64_t kSend = 0, kReceive = 64, kSum = 128, kSent = 192,
                   kGot = 256, kExchange = 320, kBeside = 320, kArena = 384;

ArgT arena(uint64_t at) { return arg(ArgKind::arena, 0, at); }
ArgT state(uint32_t slot) { return arg(ArgKind::state, slot); }

CommandT event(CommandKind kind, uint32_t number, uint32_t stream) {
  CommandT c;
  c.kind = kind;
  c.event = number;
  c.stream = stream;
  return c;
}

std::unique_ptr<PartT> part(uint64_t send, uint64_t receive, uint64_t rows,
                            uint64_t rowBytes) {
  auto p = std::make_unique<PartT>();
  p->send = std::make_unique<ArgT>(arena(send));
  p->receive = std::make_unique<ArgT>(arena(receive));
  p->rows = rows;
  p->row_bytes = rowBytes;
  return p;
}

CommandT collective(CollectiveKind kind, const char *label) {
  CommandT c;
  c.kind = CommandKind::collective;
  c.stream = 1;
  c.collective = kind;
  c.label = label;
  return c;
}

std::unique_ptr<FunctionT> function(const std::string &name,
                                    std::vector<CommandT> commands) {
  auto f = std::make_unique<FunctionT>();
  f->name = name;
  f->num_events = 2;
  for (CommandT &c : commands)
    f->commands.push_back(std::make_unique<CommandT>(std::move(c)));
  return f;
}

void addCollectives(const ArtifactT &a, const FunctionT &function,
                    artifact::CollectiveDigest &digest) {
  for (const auto &c : function.commands) {
    if (c->kind == CommandKind::collective) {
      std::vector<artifact::CollectiveDigest::Part> parts;
      for (const auto &p : c->parts)
        parts.push_back({p->dtype, p->rows, p->row_bytes, p->count_column});
      digest.add(c->communicator, c->collective, c->count_stride, parts);
    } else if (c->kind == CommandKind::call || c->kind == CommandKind::repeat) {
      for (uint32_t i = 0; i < (c->kind == CommandKind::repeat ? c->count : 1);
           ++i)
        addCollectives(a, *a.functions[c->callee], digest);
    }
  }
}

} // namespace

uint64_t collectiveDigest(const ArtifactT &artifact, size_t index) {
  artifact::CollectiveDigest digest;
  addCollectives(
      artifact, *artifact.functions[artifact.entries[index]->function], digest);
  return digest.finish();
}

unsigned rankLayerFunction(const ArtifactT &artifact) {
  return artifact.functions.size() - 2;
}

ArtifactT rankModel(unsigned ranks) {
  ArtifactT a = model();
  a.mesh = std::make_unique<MeshT>();
  a.mesh->dp = a.mesh->ep = ranks;
  a.mesh->slots = kExperts / ranks;
  auto ep = std::make_unique<CommunicatorT>();
  ep->name = "ep";
  ep->axis = Axis::ep;
  ep->size = ranks;
  a.communicators.push_back(std::move(ep));
  a.exchange_bytes = kExchange;

  const uint64_t floats = uint64_t(ranks) * kBlockRows * kRowFloats;
  const uint64_t block = kBlockRows * kRowFloats;
  // States: 0 kept, 1 counts, 2 received counts, 3 hidden.
  std::vector<CommandT> layer;
  layer.push_back(launch(kMove, floats, {arena(kSend), state(3)}));
  layer.push_back(launch(kMove, ranks, {arena(kSent), state(1)}));
  layer.push_back(event(CommandKind::record, 0, 0));
  layer.push_back(event(CommandKind::wait, 0, 1));
  CommandT dispatch = collective(CollectiveKind::all_to_all, "dispatch");
  dispatch.parts.push_back(part(kSend, kReceive, kBlockRows, kRowBytes));
  dispatch.parts.back()->count_column = 0;
  dispatch.parts.push_back(part(kSent, kGot, 1, 4));
  dispatch.counts = std::make_unique<ArgT>(arena(kSent));
  dispatch.count_stride = 1;
  layer.push_back(std::move(dispatch));
  layer.push_back(event(CommandKind::record, 1, 1));
  // Beside the collective.
  layer.push_back(launch(kMove, block, {arena(kBeside), state(3)}));
  layer.push_back(event(CommandKind::wait, 1, 0));
  layer.push_back(launch(kMove, block, {state(0), arena(kBeside)}));
  layer.push_back(launch(kMove, floats, {state(3), arena(kReceive)}));
  layer.push_back(launch(kMove, ranks, {state(2), arena(kGot)}));
  a.functions.push_back(function("ranks.layer", std::move(layer)));
  a.functions.back()->num_states = 4;
  a.functions.back()->arg_names = {"kept", "counts", "got", "hidden"};

  std::vector<CommandT> body;
  CommandT repeat;
  repeat.kind = CommandKind::repeat;
  repeat.callee = a.functions.size() - 1;
  repeat.count = 2;
  for (uint32_t cache : {0u, 2u})
    for (uint32_t slot : {cache, 1u, 3u, 4u})
      repeat.states.push_back(slot);
  body.push_back(std::move(repeat));
  body.push_back(launch(kMove, block, {arena(kSend), state(4)}));
  body.push_back(event(CommandKind::record, 0, 0));
  body.push_back(event(CommandKind::wait, 0, 1));
  CommandT sum = collective(CollectiveKind::all_reduce, "sum");
  sum.parts.push_back(part(kSend, kSum, kBlockRows, kRowBytes));
  sum.parts.back()->dtype = DType::f32;
  body.push_back(std::move(sum));
  body.push_back(event(CommandKind::record, 1, 1));
  body.push_back(event(CommandKind::wait, 1, 0));
  body.push_back(launch(kMove, block, {state(4), arena(kSum)}));
  a.functions.push_back(function("ranks", std::move(body)));
  a.functions.back()->num_parameters = a.parameters.size();
  a.functions.back()->num_states = a.states.size();

  EntryT &entry = *a.entries[0];
  entry.function = a.functions.size() - 1;
  entry.arena_bytes = kArena;
  entry.capacity_rows = kBlockRows;
  entry.capacity_pairs = kBlockRows;
  entry.collective_digest = collectiveDigest(a, 0);
  return a;
}

} // namespace hadal::toy
