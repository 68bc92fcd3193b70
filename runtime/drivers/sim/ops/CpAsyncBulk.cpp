// cp.async.bulk, cp.reduce.async.bulk and their groups: decoding and issue.
#include <fmt/format.h>

#include "runtime/drivers/sim/machine/BulkTransfer.h"
#include "runtime/drivers/sim/memory/Access.h"
#include "runtime/drivers/sim/ops/Handlers.h"

namespace hadal::sim {
namespace {

/// Flags of Instruction::sub.
constexpr uint8_t wideShared = 1, wideGlobal = 2, wideBarrier = 4,
                  isTensor = 8, isMulticast = 16, mapIsParameter = 32;

/// op[0] shared address, op[1] global address or map, op[2] mbarrier, op[3]
/// size, op[4] CTA mask; imm = shared offset | mbarrier offset << 32, aux2 =
/// global offset, list = coordinates; aux = reduction << 8 | element type.
struct BulkOperands {
  uint64_t shared[32], global[32], barrier[32];
  uint32_t lanes;
};

BulkOperands evaluate(Exec &x, const Instruction &i) {
  BulkOperands o;
  o.lanes = laneAddresses(x, i.op[0], i.sub & wideShared,
                          static_cast<int32_t>(i.imm), o.shared);
  o.lanes &= laneAddresses(x, i.op[1], i.sub & wideGlobal,
                           static_cast<int32_t>(i.aux2), o.global);
  if (i.op[2] != noOperand)
    o.lanes &= laneAddresses(x, i.op[2], i.sub & wideBarrier,
                             static_cast<int32_t>(i.imm >> 32), o.barrier);
  for (unsigned d = 0; d < i.listSize; ++d) {
    Operand coordinate = x.cta.kernel.lists[i.list + d];
    if (uint32_t bad = x.undefLanes<uint32_t>(coordinate) & o.lanes) {
      x.report(FindingKind::undefinedAddress, bad, 0,
               "a coordinate depends on undefined bits");
      o.lanes &= ~bad;
    }
  }
  return o;
}

/// The 128 bytes of a tensor map at generic address |address|.
bool readMap(Exec &x, unsigned lane, uint64_t address, bool parameter,
             TensorMapDesc &map) {
  const uint64_t given = address;
  Space space = parameter ? Space::param : resolveGeneric(address);
  const uint8_t *bytes = nullptr;
  const std::vector<uint8_t> &block = x.cta.launch.parameters;
  Memory &memory = *x.cta.launch.memory;
  if (space == Space::param && address + 128 <= block.size())
    bytes = block.data() + address;
  else if (space == Space::global && memory.find(address, 128))
    bytes = memory.host(address);
  if (!bytes || address % 64) {
    x.report(FindingKind::badDescriptor, 1u << lane, given,
             "a tensor map must be 128 bytes of a parameter or of global "
             "memory at a multiple of 64");
    return false;
  }
  auto decoded = decodeTensorMap(std::span(bytes, 128));
  if (!decoded.ok()) {
    x.report(FindingKind::badDescriptor, 1u << lane, given,
             decoded.status().message());
    return false;
  }
  map = *decoded;
  return true;
}

/// The box that |lane| copies.
bool makeTransfer(Exec &x, const Instruction &i, unsigned lane,
                  const BulkOperands &o, BulkTransfer &transfer) {
  transfer.warp = x.warp.index;
  transfer.pc = x.pc;
  transfer.lanes = 1u << lane;
  transfer.early = !(x.warp.dependent >> lane & 1);
  transfer.name = x.cta.kernel.mnemonics[x.pc].c_str();
  if (i.sub & isTensor) {
    if (!readMap(x, lane, o.global[lane], i.sub & mapIsParameter,
                 transfer.map))
      return false;
    if (transfer.map.rank != i.listSize) {
      x.report(FindingKind::badDescriptor, 1u << lane, o.global[lane],
               fmt::format("a copy of {} dimensions uses a map of {}",
                           i.listSize, transfer.map.rank));
      return false;
    }
    for (unsigned d = 0; d < i.listSize; ++d)
      transfer.coords[d] = static_cast<int32_t>(
          x.in<uint32_t>(x.cta.kernel.lists[i.list + d])[lane]);
    return true;
  }
  uint32_t size = x.in<uint32_t>(i.op[3])[lane];
  if (x.undefLanes<uint32_t>(i.op[3]) >> lane & 1)
    x.report(FindingKind::undefinedAddress, 1u << lane, 0,
             "the size of a bulk copy depends on undefined bits");
  if (size % 16 || o.global[lane] % 16) {
    x.report(FindingKind::misaligned, 1u << lane, o.global[lane],
             fmt::format("a bulk copy needs multiples of 16: size {}, address "
                         "{:#x}",
                         size, o.global[lane]));
    return false;
  }
  transfer.map.rank = 1;
  transfer.map.address = o.global[lane];
  transfer.map.dims[0] = size;
  transfer.map.box[0] = size;
  return size != 0;
}

/// Whether |bytes| bytes at |address| are shared memory of |cta| that a copy
/// may name; a finding otherwise.
bool checkShared(Exec &x, const Instruction &i, unsigned lane, Cta &cta,
                 uint32_t address, uint32_t bytes) {
  const uint32_t alignment = i.sub & isTensor ? 128 : 16;
  if (address % alignment) {
    x.report(FindingKind::misaligned, 1u << lane, address,
             fmt::format("the shared address of a bulk copy must be a "
                         "multiple of {}",
                         alignment));
    return false;
  }
  if (!cta.shared.contains(address, bytes)) {
    x.report(FindingKind::outOfBounds, 1u << lane, address,
             fmt::format("a box of {} bytes runs past shared memory, which is "
                         "[{:#x}, {:#x})",
                         bytes, sharedWindowBase,
                         sharedWindowBase + cta.shared.bytes()));
    return false;
  }
  if (cta.engine->touchesBarrier(address, address + bytes))
    x.report(FindingKind::mbarrierMisuse, 1u << lane, address,
             "a bulk copy covers a live mbarrier");
  return true;
}

/// The owner of shared address |address|, which loses its rank.
Cta *ownerOf(Exec &x, uint64_t &address, unsigned lane) {
  return sharedOwner(x, address, lane, "a bulk copy's operand");
}

/// An operation of the race detector, which knows what |x|'s warp knows.
std::optional<RaceDetector::Operation> beginOperation(Exec &x) {
  RaceMonitor *races = x.cta.engine->races();
  if (!races)
    return std::nullopt;
  return races->detector().beginAsync(races->agent(x.warp.index));
}

/// A load's target, if it is sound; it will be written asynchronously.
bool addTarget(Exec &x, const Instruction &i, unsigned lane, Cta &cta,
               uint32_t address, uint32_t barrier,
               const BulkTransfer &transfer,
               std::optional<RaceDetector::Operation> operation,
               std::vector<LoadTarget> &targets) {
  const uint32_t bytes = transfer.bytes();
  Place place{&x.warp, x.pc, 1u << lane};
  BarrierObject *object = cta.engine->barrier(place, barrier);
  if (!object)
    return false;
  if (!object->state.live())
    cta.engine->reportFault(place, barrier, *object,
                            MbarrierFault::notInitialised);
  if (!checkShared(x, i, lane, cta, address, bytes)) {
    // Whoever waits for the bytes must not hang: the cause is reported.
    cta.engine->credit(place, barrier, bytes, nullptr);
    return false;
  }
  if (RaceMonitor *races = cta.engine->races()) {
    if (&cta == &x.cta)
      races->barrierOperation(x.warp, x.pc, barrier, false);
    races->asyncAccess(*operation, x.warp, x.pc, address, bytes,
                       Access::write);
  }
  // Whoever reads the destination before the wait reads undefined bytes.
  if (cta.launch.options.policy == AsyncPolicy::lazy)
    std::memset(cta.shared.definedAt(address), 0, bytes);
  targets.push_back({&cta, address, barrier});
  return true;
}

Flow loadHandler(Exec &x, const Instruction &i) {
  BulkOperands o = evaluate(x, i);
  for (uint32_t rest = o.lanes; rest; rest &= rest - 1) {
    unsigned lane = static_cast<unsigned>(std::countr_zero(rest));
    BulkTransfer transfer;
    if (!makeTransfer(x, i, lane, o, transfer))
      continue;
    uint64_t address = o.shared[lane], barrier = o.barrier[lane];
    Cta *owner = ownerOf(x, address, lane);
    Cta *credited = ownerOf(x, barrier, lane);
    if (!owner || !credited)
      continue;
    if (owner != credited) {
      x.report(FindingKind::mbarrierMisuse, 1u << lane, barrier,
               "the mbarrier of a load must be in the CTA of its destination");
      continue;
    }
    auto operation = beginOperation(x);
    std::vector<LoadTarget> targets;
    auto add = [&](Cta &cta) {
      addTarget(x, i, lane, cta, static_cast<uint32_t>(address),
                static_cast<uint32_t>(barrier), transfer, operation, targets);
    };
    if (i.sub & isMulticast) {
      uint32_t mask = x.in<uint32_t>(i.op[4])[lane] & 0xffff;
      for (size_t rank = 0; rank < x.cta.cluster.ctas.size(); ++rank)
        if (mask >> rank & 1)
          add(*x.cta.cluster.ctas[rank]);
      if (mask >> x.cta.cluster.ctas.size())
        x.report(FindingKind::outOfBounds, 1u << lane, mask,
                 "the CTA mask names ranks outside the cluster");
    } else {
      add(*owner);
    }
    if (!targets.empty())
      x.cta.async.issue(std::make_unique<BulkLoad>(
          std::move(transfer), std::move(targets), operation));
    else if (operation)
      x.cta.engine->races()->detector().retireAsync(*operation);
  }
  return Flow::next;
}

/// Shared memory of this CTA to that of another; op[1] is the source.
Flow sendHandler(Exec &x, const Instruction &i) {
  BulkOperands o = evaluate(x, i);
  for (uint32_t rest = o.lanes; rest; rest &= rest - 1) {
    unsigned lane = static_cast<unsigned>(std::countr_zero(rest));
    BulkTransfer transfer;
    if (!makeTransfer(x, i, lane, o, transfer))
      continue;
    uint64_t address = o.shared[lane], barrier = o.barrier[lane];
    uint64_t from = o.global[lane];
    Cta *owner = ownerOf(x, address, lane);
    Cta *credited = ownerOf(x, barrier, lane);
    Cta *source = ownerOf(x, from, lane);
    if (!owner || owner != credited || source != &x.cta) {
      x.report(FindingKind::mbarrierMisuse, 1u << lane, barrier,
               "a copy between CTAs starts in the executing one and credits "
               "an mbarrier where it ends");
      continue;
    }
    auto start = static_cast<uint32_t>(from);
    if (!checkShared(x, i, lane, x.cta, start, transfer.bytes()))
      continue;
    auto operation = beginOperation(x);
    if (operation)
      x.cta.engine->races()->asyncAccess(*operation, x.warp, x.pc, start,
                                         transfer.bytes(), Access::read);
    std::vector<LoadTarget> targets;
    if (addTarget(x, i, lane, *owner, static_cast<uint32_t>(address),
                  static_cast<uint32_t>(barrier), transfer, operation,
                  targets))
      x.cta.async.issue(std::make_unique<BulkSend>(
          std::move(transfer), start, targets.front(), operation));
  }
  return Flow::next;
}

Flow storeHandler(Exec &x, const Instruction &i) {
  BulkOperands o = evaluate(x, i);
  for (uint32_t rest = o.lanes; rest; rest &= rest - 1) {
    unsigned lane = static_cast<unsigned>(std::countr_zero(rest));
    BulkTransfer transfer;
    if (!makeTransfer(x, i, lane, o, transfer))
      continue;
    uint64_t source = o.shared[lane];
    Cta *owner = ownerOf(x, source, lane);
    if (!owner)
      continue;
    if (owner != &x.cta) {
      x.report(FindingKind::outOfBounds, 1u << lane, source,
               "a bulk store reads the executing CTA's shared memory only");
      continue;
    }
    auto address = static_cast<uint32_t>(source);
    if (!checkShared(x, i, lane, x.cta, address, transfer.bytes()))
      continue;
    auto reduction = static_cast<BulkReduction>(i.aux >> 8);
    auto type = static_cast<Type>(i.aux & 0xff);
    if (reduction != BulkReduction::none && (i.sub & isTensor)) {
      // The element type is that of the map.
      constexpr Type types[] = {Type::u8,  Type::u16, Type::u32, Type::s32,
                                Type::u64, Type::s64, Type::f16, Type::f32,
                                Type::f64, Type::bf16};
      type = types[static_cast<unsigned>(transfer.map.type)];
      uint8_t probe[8] = {}, other[8] = {};
      if (!reduceElement(reduction, type, probe, other)) {
        x.report(FindingKind::badDescriptor, 1u << lane, 0,
                 "this reduction does not exist for the map's element type");
        continue;
      }
    }
    // Two operations for the race detector: wait_group.read orders behind the
    // reads of the source alone.
    BulkRecord record;
    record.pc = x.pc;
    std::optional<RaceDetector::Operation> writes;
    if (auto reads = beginOperation(x)) {
      writes = beginOperation(x);
      record.tracked = true;
      record.reads = *reads;
      record.writes = *writes;
      x.cta.engine->races()->asyncAccess(*reads, x.warp, x.pc, address,
                                         transfer.bytes(), Access::read);
    }
    record.ticket = x.cta.async.issue(std::make_unique<BulkStore>(
        std::move(transfer), address, reduction, type, writes));
    x.cta.engine->bulkGroups(x.warp, lane).open.push_back(record);
  }
  return Flow::next;
}

Flow commitHandler(Exec &x, const Instruction &) {
  for (uint32_t rest = x.mask; rest; rest &= rest - 1) {
    BulkGroups &groups = x.cta.engine->bulkGroups(
        x.warp, static_cast<unsigned>(std::countr_zero(rest)));
    groups.closed.push_back(std::move(groups.open));
    groups.open.clear();
  }
  return Flow::next;
}

/// imm = groups that may stay pending, sub: 1 = .read, which completes what a
/// copy reads of shared memory and not what it writes.
Flow waitHandler(Exec &x, const Instruction &i) {
  RaceMonitor *races = x.cta.engine->races();
  auto known = [&](RaceDetector::Operation operation) {
    races->detector().acquireAsync(races->agent(x.warp.index), operation);
    races->detector().retireAsync(operation);
  };
  auto waitRead = [&](BulkRecord &record) {
    if (record.readDone)
      return;
    record.readDone = true;
    x.cta.async.readSources(record.ticket);
    if (races && record.tracked)
      known(record.reads);
  };
  for (uint32_t rest = x.mask; rest; rest &= rest - 1) {
    BulkGroups &groups = x.cta.engine->bulkGroups(
        x.warp, static_cast<unsigned>(std::countr_zero(rest)));
    const auto pending = static_cast<size_t>(i.imm);
    if (i.sub) {
      for (size_t g = 0; g + pending < groups.closed.size(); ++g)
        for (BulkRecord &record : groups.closed[g])
          waitRead(record);
      continue;
    }
    while (groups.closed.size() > pending) {
      for (BulkRecord &record : groups.closed.front()) {
        waitRead(record);
        x.cta.async.complete(record.ticket);
        if (races && record.tracked)
          known(record.writes);
      }
      groups.closed.pop_front();
    }
  }
  return Flow::next;
}

Flow prefetchHandler(Exec &, const Instruction &) { return Flow::next; }

Status decodeGroups(DecodeContext &c, bool waits) {
  c.out.sub = c.take("read");
  HADAL_RETURN_IF_ERROR(c.expectOperands(waits, waits));
  if (waits) {
    HADAL_ASSIGN_OR_RETURN(c.out.imm, c.immediate(0));
    if (c.out.imm < 0)
      return c.refuse("a negative number of groups");
  }
  c.out.handler = waits ? waitHandler : commitHandler;
  return c.finish();
}

Status packOffset(DecodeContext &c, int64_t offset, unsigned shift) {
  if (offset != static_cast<int32_t>(offset))
    return c.refuse("the offset is over 32 bits");
  c.out.imm |= static_cast<int64_t>(
      static_cast<uint64_t>(static_cast<uint32_t>(offset)) << shift);
  return {};
}

Status decodeShared(DecodeContext &c, size_t index, bool barrier) {
  HADAL_ASSIGN_OR_RETURN(DecodeContext::Address address, c.address(index));
  c.out.op[barrier ? 2 : 0] = address.base;
  if (address.wide)
    c.out.sub |= barrier ? wideBarrier : wideShared;
  return packOffset(c, address.offset, barrier ? 32 : 0);
}

/// A global address, or with coordinates a tensor map.
Status decodeGlobal(DecodeContext &c, size_t index, unsigned rank) {
  HADAL_ASSIGN_OR_RETURN(DecodeContext::Address address, c.address(index));
  if (address.offset != static_cast<int32_t>(address.offset))
    return c.refuse("the offset is over 32 bits");
  c.out.op[1] = address.base;
  c.out.aux2 = static_cast<uint32_t>(address.offset);
  c.out.sub |= (address.wide ? wideGlobal : 0) |
               (address.space == Space::param ? mapIsParameter : 0);
  if (!rank)
    return {};
  const ParsedOperand &parsed = c.operand(index);
  if (parsed.elements.size() != 2 || parsed.elements[1].elements.size() != rank)
    return c.refuse(fmt::format("needs {} coordinates", rank));
  for (const ParsedOperand &element : parsed.elements[1].elements) {
    HADAL_ASSIGN_OR_RETURN(Operand coordinate, c.source(element, Type::s32));
    c.append(coordinate);
  }
  return {};
}

Status decodeReduction(DecodeContext &c, bool tensor) {
  int op = c.takeOne({"add", "min", "max", "inc", "dec", "and", "or", "xor"});
  if (op < 0)
    return c.refuse("needs a reduction");
  c.take("noftz");
  c.kernel.ordersGlobal = true;
  Type type = Type::u32;
  if (!tensor) {
    std::optional<Type> named = c.takeType();
    if (!named)
      return c.refuse("needs an element type");
    type = *named;
    uint8_t probe[8] = {}, other[8] = {};
    if (!reduceElement(static_cast<BulkReduction>(op + 1), type, probe, other))
      return c.refuse("this reduction does not exist for its type");
  }
  c.out.aux = static_cast<uint16_t>((op + 1) << 8 | static_cast<int>(type));
  return {};
}

} // namespace

Status decodeBulkCopy(DecodeContext &c) {
  const bool reduces = c.take("reduce");
  if (!c.take("async") || !c.take("bulk"))
    return c.refuse("this copy is not modelled");
  int group = c.takeOne({"commit_group", "wait_group"});
  if (group >= 0)
    return decodeGroups(c, group == 1);
  const bool tensor = c.take("tensor");
  int rank = c.takeOne({"1d", "2d", "3d", "4d", "5d"}) + 1;
  if (tensor != (rank > 0))
    return c.refuse("needs a number of dimensions if and only if .tensor");
  c.take("tile");
  if (tensor)
    c.out.sub |= isTensor;
  const bool hinted = c.take("L2::cache_hint");
  if (c.take("prefetch")) {
    if (!c.take("L2") || !c.take("global"))
      return c.refuse("needs .L2.global");
    HADAL_RETURN_IF_ERROR(decodeGlobal(c, 0, static_cast<unsigned>(rank)));
    c.out.handler = prefetchHandler;
    return c.finish();
  }
  // Spaces stand destination first.
  const std::vector<std::string> &words = c.parsed.modifiers;
  std::vector<std::string> spaces;
  for (const std::string &word : words)
    if (word == "global" || word.starts_with("shared"))
      spaces.push_back(word);
  if (spaces.size() != 2)
    return c.refuse("needs a destination and a source space");
  for (const std::string &space : spaces)
    c.take(space);
  const bool toShared = spaces[0].starts_with("shared");
  const bool fromShared = spaces[1].starts_with("shared");
  const bool barrier = c.take("mbarrier::complete_tx::bytes");
  const bool grouped = c.take("bulk_group");
  const bool multicast = c.take("multicast::cluster");
  if (toShared != barrier || toShared == grouped || (multicast && fromShared) ||
      (tensor && toShared == fromShared) || (!toShared && !fromShared))
    return c.refuse("this pair of spaces and completion does not exist");
  if (reduces) {
    if (toShared)
      return c.refuse("reductions into shared memory are not modelled");
    HADAL_RETURN_IF_ERROR(decodeReduction(c, tensor));
  }
  HADAL_RETURN_IF_ERROR(c.finish());

  const size_t operands =
      2 + !tensor + barrier + multicast + hinted;
  HADAL_RETURN_IF_ERROR(c.expectOperands(operands, operands));
  const size_t shared = toShared ? 0 : 1, global = 1 - shared;
  HADAL_RETURN_IF_ERROR(decodeShared(c, shared, false));
  HADAL_RETURN_IF_ERROR(decodeGlobal(c, global, static_cast<unsigned>(rank)));
  size_t next = 2;
  if (!tensor) {
    HADAL_ASSIGN_OR_RETURN(c.out.op[3], c.source(next, Type::u32));
    if (c.operand(next).kind == ParsedOperand::integer &&
        c.operand(next).value % 16)
      return c.refuse("the size must be a multiple of 16");
    ++next;
  }
  if (barrier)
    HADAL_RETURN_IF_ERROR(decodeShared(c, next++, true));
  if (multicast) {
    HADAL_ASSIGN_OR_RETURN(c.out.op[4], c.source(next++, Type::u16));
    c.out.sub |= isMulticast;
  }
  if (hinted)
    HADAL_RETURN_IF_ERROR(c.source(next, Type::b64).status());
  c.out.handler = !toShared    ? storeHandler
                  : fromShared ? sendHandler
                               : loadHandler;
  return {};
}

Status decodeCopyArrive(DecodeContext &c) {
  return c.refuse("cp.async.mbarrier is not modelled");
}

} // namespace hadal::sim
