// Shared memory, rings, TMA.
#include "compiler/codegen/nvptx/Sm90/Convert/AsmBuilder.h"

using namespace mlir;

namespace hadal::sm90 {
namespace {

int64_t offsetOf(Operation *op) {
  return op->getAttrOfType<IntegerAttr>(kOffsetAttr).getInt();
}

/// "{ .reg .pred p; elect.sync _|p, -1; @p BODY }": one lane of the warp.
std::string elected(const Twine &body) {
  return ("{ .reg .pred p; elect.sync _|p, -1; " + body + " }").str();
}

/// One iteration of a ring: the stage and the addresses of its barriers.
struct Stage {
  Stage(AsmBuilder &b, Value ring, RingType type, Value iteration)
      : type(type), ring(ring) {
    int64_t stages = type.getStages();
    Value n = b.trunc32(iteration);
    stage = stages == 1 ? b.i32(0) : b.urem(n, b.i32(stages));
    Value round = stages == 1 ? n : b.udiv(n, b.i32(stages));
    phase = b.bitAnd(round, b.i32(1));
    full = b.add(b.add(ring, b.i32(stages * type.getStageBytes())),
                 b.shl(stage, 3));
    empty = b.add(full, b.i32(8 * stages));
  }
  /// The addresses of the stage's tiles.
  SmallVector<Value> tiles(AsmBuilder &b) {
    Value base = b.add(ring, b.mul(stage, b.i32(type.getStageBytes())));
    SmallVector<Value> result;
    for (unsigned i = 0; i < type.getTiles().size(); ++i)
      result.push_back(b.add(base, b.i32(type.getTileOffset(i))));
    return result;
  }
  /// Spins until the phase of parity |parity| of |barrier| is complete.
  static void wait(AsmBuilder &b, Value barrier, Value parity) {
    b.ptx("{ .reg .pred p; WAIT: "
          "mbarrier.try_wait.parity.shared::cta.b64 p, [$0], $1; "
          "@p bra DONE; bra WAIT; DONE: }",
          {}, "r,r", {barrier, parity});
  }

  RingType type;
  Value ring, stage, phase, full, empty;
};

template <typename Op> struct Pattern : OpConversionPattern<Op> {
  using OpConversionPattern<Op>::OpConversionPattern;
  using Adaptor = typename Op::Adaptor;
  LogicalResult
  matchAndRewrite(Op op, Adaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    AsmBuilder b(op.getLoc(), rewriter);
    SmallVector<Value> results = convert(op, adaptor, b);
    rewriter.replaceOp(op, results);
    return success();
  }
  SmallVector<Value> convert(Op op, Adaptor adaptor, AsmBuilder &b) const;
};

//===----------------------------------------------------------------------===//
// Shared memory
//===----------------------------------------------------------------------===//

template <>
SmallVector<Value> Pattern<SharedOp>::convert(SharedOp op, Adaptor,
                                              AsmBuilder &b) const {
  return {LLVM::IntToPtrOp::create(b, op.getType(),
                                   b.sharedAddress(op, offsetOf(op)))};
}

template <>
SmallVector<Value> Pattern<TileAllocOp>::convert(TileAllocOp op, Adaptor,
                                                 AsmBuilder &b) const {
  return {b.sharedAddress(op, offsetOf(op))};
}

template <>
SmallVector<Value> Pattern<TileSliceOp>::convert(TileSliceOp op,
                                                 Adaptor adaptor,
                                                 AsmBuilder &b) const {
  TileType type = op.getTile().getType();
  int64_t bytes = op.getCol() / type.getChunkCols() * type.getPitchRows() * 128 +
                  op.getRow() * 128;
  Value address = adaptor.getTile();
  if (bytes)
    address = b.add(address, b.i32(bytes));
  if (Value row = adaptor.getDynamicRow())
    address = b.add(address, b.mul(row, b.i32(128)));
  if (Value chunk = adaptor.getDynamicChunk())
    address = b.add(address, b.mul(chunk, b.i32(type.getPitchRows() * 128)));
  return {address};
}

template <>
SmallVector<Value> Pattern<TileAddressOp>::convert(TileAddressOp op,
                                                   Adaptor adaptor,
                                                   AsmBuilder &b) const {
  TileType type = op.getTile().getType();
  Value byte = b.mul(adaptor.getCol(), b.i32(type.getElementBytes()));
  Value address = b.add(adaptor.getTile(), b.shl(adaptor.getRow(), 7));
  address = b.add(address, b.bitAnd(byte, b.i32(127)));
  if (type.getChunks() > 1)
    address = b.add(address, b.mul(b.shr(byte, 7),
                                   b.i32(type.getPitchRows() * 128)));
  Value exchanged =
      b.bitXor(address, b.bitAnd(b.shr(address, 3), b.i32(0x70)));
  return {LLVM::IntToPtrOp::create(b, op.getType(), exchanged)};
}

// Four 8x8 matrices per stmatrix: rows g and g + 8 of columns 8b and 8(b + 1),
// which is the order of an accumulator's words. Lane l gives the address of row
// l & 7 of matrix l >> 3 (PTX ISA, "stmatrix").
template <>
SmallVector<Value> Pattern<TileStoreOp>::convert(TileStoreOp op,
                                                 Adaptor adaptor,
                                                 AsmBuilder &b) const {
  TileType type = op.getTile().getType();
  SmallVector<Value> elements = b.unpack(adaptor.getFragment());
  auto pair = VectorType::get({2}, b.getBF16Type());
  SmallVector<Value> words;
  for (size_t i = 0; i < elements.size(); i += 2)
    words.push_back(LLVM::BitcastOp::create(
        b, b.getI32Type(), b.pack({elements[i], elements[i + 1]}, pair)));
  Value tid = b.tid(), lane = b.bitAnd(tid, b.i32(31));
  Value warp = b.bitAnd(b.shr(tid, 5), b.i32(3));
  Value matrix = b.shr(lane, 3);
  Value row = b.add(b.shl(warp, 4), b.add(b.bitAnd(lane, b.i32(7)),
                                          b.shl(b.bitAnd(matrix, b.i32(1)), 3)));
  Value half = b.shl(b.shr(matrix, 1), 4); // second column block, in bytes
  Value rowBase = b.add(adaptor.getTile(), b.shl(row, 7));
  for (size_t block = 0; block < words.size() / 4; ++block) {
    int64_t byte = block * 32;
    Value address = b.add(
        b.add(rowBase, half),
        b.i32(byte / 128 * type.getPitchRows() * 128 + byte % 128));
    address = b.bitXor(address, b.bitAnd(b.shr(address, 3), b.i32(0x70)));
    b.ptx("stmatrix.sync.aligned.m8n8.x4.shared.b16 [$0], {$1, $2, $3, $4};",
          {}, "r,r,r,r,r",
          {address, words[4 * block], words[4 * block + 1],
           words[4 * block + 2], words[4 * block + 3]});
  }
  return {};
}

//===----------------------------------------------------------------------===//
// Rings
//===----------------------------------------------------------------------===//

template <>
SmallVector<Value> Pattern<RingOp>::convert(RingOp op, Adaptor,
                                            AsmBuilder &b) const {
  RingType type = op.getResult().getType();
  Value base = b.sharedAddress(op, offsetOf(op));
  Value first = b.cmp(arith::CmpIPredicate::eq, b.tid(), b.i32(0));
  auto init = scf::IfOp::create(b, TypeRange(), first, false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(init.thenBlock());
  // The CTA's threads see this behind the barrier that the roles start with.
  for (int64_t i = 0; i < 2 * type.getStages(); ++i) {
    Value barrier =
        b.add(base, b.i32(type.getStages() * type.getStageBytes() + 8 * i));
    b.ptx("mbarrier.init.shared::cta.b64 [$0], $1;", {}, "r,r",
          {barrier, b.i32(i < type.getStages() ? 1 : op.getConsumers())});
  }
  b.ptx("fence.mbarrier_init.release.cluster;", {}, "", {});
  return {base};
}

template <>
SmallVector<Value> Pattern<AcquireOp>::convert(AcquireOp op, Adaptor adaptor,
                                               AsmBuilder &b) const {
  Stage stage(b, adaptor.getRing(), op.getRing().getType(),
              adaptor.getIteration());
  // Round r waits for phase r - 1, whose parity is the other one. The first
  // finds the phase before the barrier's first complete (PTX ISA,
  // "mbarrier.try_wait").
  Stage::wait(b, stage.empty, b.bitXor(stage.phase, b.i32(1)));
  b.ptx(elected("@p mbarrier.arrive.expect_tx.shared::cta.b64 _, [$0], $1;"), {},
        "r,r", {stage.full, b.i32(stage.type.getStageBytes())});
  return stage.tiles(b);
}

// TMA completes the stage by its bytes; nothing is left to do.
template <>
SmallVector<Value> Pattern<CommitOp>::convert(CommitOp, Adaptor,
                                              AsmBuilder &) const {
  return {};
}

template <>
SmallVector<Value> Pattern<DeferOp>::convert(DeferOp, Adaptor,
                                             AsmBuilder &) const {
  return {};
}

template <>
SmallVector<Value> Pattern<ResumeOp>::convert(ResumeOp op, Adaptor adaptor,
                                              AsmBuilder &b) const {
  return Stage(b, adaptor.getRing(), op.getRing().getType(),
               adaptor.getIteration())
      .tiles(b);
}

template <>
SmallVector<Value> Pattern<AwaitOp>::convert(AwaitOp op, Adaptor adaptor,
                                             AsmBuilder &b) const {
  Stage stage(b, adaptor.getRing(), op.getRing().getType(),
              adaptor.getIteration());
  Stage::wait(b, stage.full, stage.phase);
  return stage.tiles(b);
}

/// This warp's arrival at the stage's empty barrier: one lane's, when all have
/// come. What they read by wgmma was waited for (VerifySm90); the producer's
/// wait acquires what the arrival releases.
template <typename Op>
SmallVector<Value> releaseStage(Op op, typename Op::Adaptor adaptor,
                                AsmBuilder &b) {
  Stage stage(b, adaptor.getRing(), op.getRing().getType(),
              adaptor.getIteration());
  b.intrinsic("llvm.nvvm.bar.warp.sync", {}, {b.i32(-1)});
  b.ptx(elected("@p mbarrier.arrive.shared::cta.b64 _, [$0];"), {}, "r",
        {stage.empty});
  return {};
}

template <>
SmallVector<Value> Pattern<ReleaseOp>::convert(ReleaseOp op, Adaptor adaptor,
                                               AsmBuilder &b) const {
  return releaseStage(op, adaptor, b);
}

template <>
SmallVector<Value> Pattern<HoldOp>::convert(HoldOp, Adaptor,
                                            AsmBuilder &) const {
  return {};
}

template <>
SmallVector<Value> Pattern<DropOp>::convert(DropOp op, Adaptor adaptor,
                                            AsmBuilder &b) const {
  return releaseStage(op, adaptor, b);
}

//===----------------------------------------------------------------------===//
// TMA
//===----------------------------------------------------------------------===//

std::string tmaText(size_t rank, const Twine &dst, const Twine &map,
                    const Twine &coordinates, const Twine &barrier) {
  return ("cp.async.bulk.tensor." + Twine(rank) +
          "d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [" + dst +
          "], [" + map + ", {" + coordinates + "}], [" + barrier + "];")
      .str();
}

// One box per chunk of 128 bytes: operands are the map, the barrier, the
// coordinates of the first chunk, then per chunk its address and column.
template <>
SmallVector<Value> Pattern<TmaLoadOp>::convert(TmaLoadOp op, Adaptor adaptor,
                                               AsmBuilder &b) const {
  TileType tile = op.getTile().getType();
  Stage stage(b, adaptor.getRing(), op.getRing().getType(),
              adaptor.getIteration());
  ValueRange coordinates = adaptor.getCoordinates();
  SmallVector<Value> operands{adaptor.getMap(), stage.full};
  std::string constraints = "l,r", outer;
  for (Value coordinate : coordinates.drop_front()) {
    outer += ", $" + std::to_string(operands.size());
    operands.push_back(coordinate);
    constraints += ",r";
  }
  std::string body;
  for (int64_t chunk = 0; chunk < tile.getChunks(); ++chunk) {
    std::string at = "$" + std::to_string(operands.size());
    std::string col = "$" + std::to_string(operands.size() + 1);
    operands.push_back(
        b.add(adaptor.getTile(), b.i32(chunk * tile.getPitchRows() * 128)));
    operands.push_back(
        b.add(coordinates[0], b.i32(chunk * tile.getChunkCols())));
    constraints += ",r,r";
    body += "@p " + tmaText(coordinates.size(), at, "$0", col + outer, "$1") +
            " ";
  }
  b.ptx(elected(body), {}, constraints, operands);
  return {};
}

template <>
SmallVector<Value> Pattern<TmaGatherOp>::convert(TmaGatherOp op,
                                                 Adaptor adaptor,
                                                 AsmBuilder &b) const {
  TileType tile = op.getTile().getType();
  Stage stage(b, adaptor.getRing(), op.getRing().getType(),
              adaptor.getIteration());
  Value lane = b.bitAnd(b.tid(), b.i32(31));
  for (auto [j, row] : llvm::enumerate(b.unpack(adaptor.getRows()))) {
    Value at = b.add(lane, b.i32(32 * j));
    Value exists = b.cmp(arith::CmpIPredicate::ult, at, b.i32(tile.getRows()));
    Value flag = arith::ExtUIOp::create(b, b.getI32Type(), exists);
    for (int64_t chunk = 0; chunk < tile.getChunks(); ++chunk) {
      Value dst = b.add(b.add(adaptor.getTile(), b.shl(at, 7)),
                        b.i32(chunk * tile.getPitchRows() * 128));
      Value col =
          b.add(adaptor.getColumn(), b.i32(chunk * tile.getChunkCols()));
      b.ptx("{ .reg .pred p; setp.ne.b32 p, $5, 0; @p " +
                tmaText(2, "$0", "$1", "$2, $3", "$4") + " }",
            {}, "r,l,r,r,r,r",
            {dst, adaptor.getMap(), col, row, stage.full, flag});
    }
  }
  return {};
}

template <>
SmallVector<Value> Pattern<PrefetchMapOp>::convert(PrefetchMapOp,
                                                   Adaptor adaptor,
                                                   AsmBuilder &b) const {
  Value first = b.cmp(arith::CmpIPredicate::eq, b.tid(), b.i32(0));
  Value flag = arith::ExtUIOp::create(b, b.getI32Type(), first);
  b.ptx("{ .reg .pred p; setp.ne.b32 p, $1, 0; @p prefetch.tensormap [$0]; }",
        {}, "l,r", {adaptor.getMap(), flag});
  return {};
}

//===----------------------------------------------------------------------===//
// Synchronisation
//===----------------------------------------------------------------------===//

template <>
SmallVector<Value> Pattern<FenceAsyncOp>::convert(FenceAsyncOp, Adaptor,
                                                  AsmBuilder &b) const {
  b.ptx("fence.proxy.async.shared::cta;", {}, "", {});
  return {};
}
template <>
SmallVector<Value> Pattern<BarrierOp>::convert(BarrierOp, Adaptor,
                                               AsmBuilder &b) const {
  b.intrinsic("llvm.nvvm.barrier.cta.sync.aligned.all", {}, {b.i32(0)});
  return {};
}
template <>
SmallVector<Value> Pattern<NamedBarrierOp>::convert(NamedBarrierOp op,
                                                    Adaptor adaptor,
                                                    AsmBuilder &b) const {
  Value id = b.i32(op.getId());
  if (adaptor.getDynamicId())
    id = b.add(id, adaptor.getDynamicId());
  b.intrinsic("llvm.nvvm.barrier.cta.sync.aligned.count", {},
              {id, b.i32(op.getThreads())});
  return {};
}
template <>
SmallVector<Value> Pattern<WarpSyncOp>::convert(WarpSyncOp, Adaptor,
                                                AsmBuilder &b) const {
  b.intrinsic("llvm.nvvm.bar.warp.sync", {}, {b.i32(-1)});
  return {};
}
template <>
SmallVector<Value> Pattern<PdlWaitOp>::convert(PdlWaitOp, Adaptor,
                                               AsmBuilder &b) const {
  b.ptx("griddepcontrol.wait;", {}, "", {});
  return {};
}
template <>
SmallVector<Value> Pattern<PdlLaunchOp>::convert(PdlLaunchOp, Adaptor,
                                                 AsmBuilder &b) const {
  b.ptx("griddepcontrol.launch_dependents;", {}, "", {});
  return {};
}
// inc wraps to 0 at its operand, so the last arriver leaves the counter as it
// found it.
template <>
SmallVector<Value> Pattern<TicketOp>::convert(TicketOp, Adaptor adaptor,
                                              AsmBuilder &b) const {
  Value last = arith::SubIOp::create(b, adaptor.getCount(), b.i32(1));
  Value old = b.ptx("atom.acq_rel.gpu.global.inc.u32 $0, [$1], $2;",
                    {b.getI32Type()}, "=r,l,r", {adaptor.getCounter(), last})[0];
  return {b.cmp(arith::CmpIPredicate::eq, old, last)};
}
template <>
SmallVector<Value> Pattern<SregOp>::convert(SregOp op, Adaptor,
                                            AsmBuilder &b) const {
  StringRef name = op.getName() == Sreg::Tid     ? "tid"
                   : op.getName() == Sreg::Ctaid ? "ctaid"
                                                 : "nctaid";
  return {b.intrinsic(("llvm.nvvm.read.ptx.sreg." + name + ".x").str(),
                      b.getI32Type(), {})};
}

} // namespace

void populateMemoryPatterns(RewritePatternSet &patterns, TypeConverter &types) {
  patterns.add<Pattern<SharedOp>, Pattern<TileAllocOp>, Pattern<TileSliceOp>,
               Pattern<TileAddressOp>, Pattern<TileStoreOp>, Pattern<RingOp>,
               Pattern<AcquireOp>, Pattern<CommitOp>, Pattern<DeferOp>,
               Pattern<ResumeOp>, Pattern<AwaitOp>, Pattern<ReleaseOp>,
               Pattern<HoldOp>, Pattern<DropOp>, Pattern<TmaLoadOp>,
               Pattern<TmaGatherOp>, Pattern<PrefetchMapOp>, Pattern<FenceAsyncOp>,
               Pattern<BarrierOp>, Pattern<NamedBarrierOp>, Pattern<WarpSyncOp>,
               Pattern<PdlWaitOp>, Pattern<PdlLaunchOp>, Pattern<TicketOp>,
               Pattern<SregOp>>(types, patterns.getContext());
}

} // namespace hadal::sm90
