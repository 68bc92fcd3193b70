// Verifiers and builders of what a program of several ranks has besides.
#include "dialects/Exec/IR/Exec.h"

#include "llvm/Support/CheckedArithmetic.h"

using namespace mlir;
using namespace hadal::exec;

//===----------------------------------------------------------------------===//
// CommunicatorOp, PlacementTableOp
//===----------------------------------------------------------------------===//

LogicalResult CommunicatorOp::verify() {
  auto module = dyn_cast<ModuleOp>((*this)->getParentOp());
  MeshAttr mesh = module ? getMesh(module) : MeshAttr();
  if (!mesh)
    return emitOpError("needs the mesh of its module ('") << kMeshAttr << "')";
  if (int64_t size = mesh.getSize(getAxis()); size != getSize())
    return emitOpError("has a size of ")
           << getSize() << ", the mesh has " << size << " ranks on "
           << stringifyAxis(getAxis());
  return success();
}

LogicalResult PlacementTableOp::verify() {
  if (getLayer() < 0 || getExperts() <= 0 || getReplicas() <= 0)
    return emitOpError("of layer ")
           << getLayer() << " has " << getExperts() << " experts and "
           << getReplicas() << " replicas";
  return success();
}

//===----------------------------------------------------------------------===//
// CollectiveOp
//===----------------------------------------------------------------------===//

void CollectiveOp::build(OpBuilder &builder, OperationState &state,
                         StringRef communicator, CollectiveKind kind,
                         ArrayRef<CollectivePart> parts, StringRef label,
                         StringRef op, Value counts, int64_t countStride,
                         Type sumType) {
  SmallVector<Value> send, receive;
  SmallVector<int64_t> rows, rowBytes, countColumns;
  for (const CollectivePart &part : parts) {
    send.push_back(part.send);
    receive.push_back(part.receive);
    rows.push_back(part.rows);
    rowBytes.push_back(part.rowBytes);
    countColumns.push_back(part.countColumn);
  }
  build(builder, state, communicator, kind, send, receive, rows, rowBytes,
        countColumns, sumType ? TypeAttr::get(sumType) : TypeAttr(), counts,
        counts ? builder.getI64IntegerAttr(countStride) : IntegerAttr(), label,
        op.empty() ? StringAttr() : builder.getStringAttr(op),
        kCollectiveStream);
}

CollectivePart CollectiveOp::getPart(unsigned index) {
  return {getSend()[index], getReceive()[index], getRows()[index],
          getRowBytes()[index], getCountColumns()[index]};
}

int64_t CollectiveOp::getSendBytes(unsigned index, int64_t ranks) {
  bool isOne = getKind() == CollectiveKind::AllGather ||
               getKind() == CollectiveKind::AllReduce;
  return getRows()[index] * getRowBytes()[index] * (isOne ? 1 : ranks);
}

int64_t CollectiveOp::getReceiveBytes(unsigned index, int64_t ranks) {
  bool isOne = getKind() == CollectiveKind::ReduceScatter ||
               getKind() == CollectiveKind::AllReduce;
  return getRows()[index] * getRowBytes()[index] * (isOne ? 1 : ranks);
}

int64_t CollectiveOp::getCountBytes(int64_t ranks) {
  return getCounts() ? 4 * ranks * *getCountStride() : 0;
}

LogicalResult CollectiveOp::verify() {
  size_t parts = getRows().size();
  if (!parts || getSend().size() != parts || getReceive().size() != parts ||
      getRowBytes().size() != parts || getCountColumns().size() != parts)
    return emitOpError("has ")
           << getSend().size() << " sends, " << getReceive().size()
           << " receives and " << parts << " row counts, expected one of each "
           << "for each part";
  bool isSum = getKind() == CollectiveKind::ReduceScatter ||
               getKind() == CollectiveKind::AllReduce;
  if (isSum != getSumType().has_value() ||
      (isSum && !getSumType()->isF32() && !getSumType()->isBF16()))
    return emitOpError("of kind ")
           << stringifyCollectiveKind(getKind())
           << (isSum ? " needs the type of its sums, f32 or bf16"
                     : " sums nothing and takes no type");
  if (int64_t stride = getCountStride().value_or(1);
      stride < 1 || stride > kMaxCountStride)
    return emitOpError("has ")
           << stride << " counts for each rank, expected 1 to "
           << kMaxCountStride;
  bool isCounted = false;
  for (unsigned i = 0; i < parts; ++i) {
    CollectivePart part = getPart(i);
    if (part.rows <= 0 || part.rowBytes <= 0 ||
        !llvm::checkedMul(part.rows, part.rowBytes))
      return emitOpError("has a part of ")
             << part.rows << " rows of " << part.rowBytes << " bytes";
    if (isSum && part.rowBytes % (getSumType()->getIntOrFloatBitWidth() / 8))
      return emitOpError("has rows of ")
             << part.rowBytes << " bytes, not a multiple of " << *getSumType();
    if (part.countColumn < kAll ||
        part.countColumn >= getCountStride().value_or(0))
      return emitOpError("has a part counted ")
             << part.countColumn << " of a stride of "
             << getCountStride().value_or(0);
    isCounted |= part.countColumn != kAll;
  }
  if (isCounted && getKind() != CollectiveKind::AllToAll)
    return emitOpError("of kind ") << stringifyCollectiveKind(getKind())
                                   << " moves all rows and takes no counts";
  if (isCounted != static_cast<bool>(getCounts()) ||
      isCounted != getCountStride().has_value())
    return emitOpError("has counts if and only if a part is counted");
  if (getLabel().empty())
    return emitOpError("has an empty label");
  if (getOp() && getOp()->empty())
    return emitOpError("has an empty op");
  if (getStream() != kCollectiveStream)
    return emitOpError("is on stream ")
           << getStream() << ", collectives belong on " << kCollectiveStream;
  return success();
}

LogicalResult CollectiveOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto communicator = symbols.lookupNearestSymbolFrom<CommunicatorOp>(
      *this, getCommunicatorAttr());
  if (!communicator)
    return emitOpError("'")
           << getCommunicator() << "' is not an exec.communicator";
  for (unsigned i = 0; i < getNumParts(); ++i)
    if (!llvm::checkedMul(getRows()[i] * getRowBytes()[i],
                          communicator.getSize()))
      return emitOpError("has a part of 2^63 bytes or more");
  return success();
}

//===----------------------------------------------------------------------===//
// RecordOp, WaitOp
//===----------------------------------------------------------------------===//

static LogicalResult verifyEvent(Operation *op, int64_t event, int64_t stream) {
  if (event < 0)
    return op->emitOpError("has event ") << event;
  if (stream != kLaunchStream && stream != kCollectiveStream)
    return op->emitOpError("names stream ")
           << stream << ", expected " << kLaunchStream << " or "
           << kCollectiveStream;
  return success();
}

LogicalResult RecordOp::verify() {
  return verifyEvent(*this, getEvent(), getStream());
}

LogicalResult WaitOp::verify() {
  return verifyEvent(*this, getEvent(), getStream());
}
