#include "passes/Identity/Names.h"

#include "mlir/IR/Location.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;

namespace hadal {

OpPrintingFlags getDumpFlags() {
  return OpPrintingFlags().enableDebugInfo().printNameLocAsPrefix();
}

/// The name of |loc| if it is one without anything inside: a kind of function,
/// or a symbol.
static StringAttr getPlainName(Location loc) {
  auto name = dyn_cast<NameLoc>(loc);
  return name && isa<UnknownLoc>(name.getChildLoc()) ? name.getName()
                                                     : StringAttr();
}

void addMembers(Location loc, NameSet &names) {
  llvm::TypeSwitch<LocationAttr>(loc)
      .Case([&](NameLoc name) {
        if (StringAttr plain = getPlainName(name))
          names.insert(plain.str());
        else if (StringAttr kind = getPlainName(name.getChildLoc()))
          names.insert(
              (kind.getValue() + "." + name.getName().getValue()).str());
        else
          addMembers(name.getChildLoc(), names);
      })
      .Case([&](FusedLoc fused) {
        for (Location part : fused.getLocations())
          addMembers(part, names);
      })
      .Case([&](CallSiteLoc site) { addMembers(site.getCallee(), names); })
      .Case([&](OpaqueLoc opaque) {
        addMembers(opaque.getFallbackLocation(), names);
      })
      .Case([&](FileLineColRange place) {
        names.insert(llvm::formatv("{0}:{1}:{2}", place.getFilename(),
                                   place.getStartLine(),
                                   place.getStartColumn()));
      });
}

NameSet getMembers(Location loc) {
  NameSet names;
  addMembers(loc, names);
  return names;
}

StringRef getLocalName(Operation *op) {
  if (auto name = dyn_cast<NameLoc>(op->getLoc()))
    return name.getName();
  return op->getName().stripDialect();
}

/// The kind of function that the first member of |loc| was imported into; null
/// if it has no name.
static StringAttr getKind(Location loc) {
  if (auto name = dyn_cast<NameLoc>(loc)) {
    if (getPlainName(name))
      return {};
    if (StringAttr kind = getPlainName(name.getChildLoc()))
      return kind;
    return getKind(name.getChildLoc());
  }
  if (auto fused = dyn_cast<FusedLoc>(loc))
    for (Location part : fused.getLocations())
      if (StringAttr kind = getKind(part))
        return kind;
  return {};
}

std::string getKey(Operation *op) {
  StringRef name = getLocalName(op);
  if (StringAttr kind = getKind(op->getLoc()))
    return (kind.getValue() + "." + name).str();
  return name.str();
}

Location getSymbolLoc(MLIRContext *context, StringRef name) {
  return NameLoc::get(StringAttr::get(context, name));
}

Location fuseLoc(StringRef name, StringRef pass, ArrayRef<Operation *> ops) {
  MLIRContext *context = ops.front()->getContext();
  SmallVector<Location> parts;
  for (Operation *op : ops)
    parts.push_back(op->getLoc());
  return NameLoc::get(
      StringAttr::get(context, name),
      FusedLoc::get(parts, StringAttr::get(context, pass), context));
}

Location splitLoc(Operation *op, StringRef part) {
  return NameLoc::get(
      StringAttr::get(op->getContext(), getLocalName(op) + "." + part),
      op->getLoc());
}

void absorbLoc(Operation *kept, StringRef pass, Operation *erased) {
  NameSet stoodFor = getMembers(kept->getLoc());
  if (llvm::all_of(getMembers(erased->getLoc()), [&](const std::string &name) {
        return stoodFor.contains(name);
      }))
    return;
  auto metadata = StringAttr::get(kept->getContext(), pass);
  SmallVector<Location> parts;
  // Of many equal ones, one list.
  auto name = dyn_cast<NameLoc>(kept->getLoc());
  auto fused = name ? dyn_cast<FusedLoc>(name.getChildLoc()) : FusedLoc();
  if (fused && fused.getMetadata() == metadata)
    llvm::append_range(parts, fused.getLocations());
  else
    parts.push_back(kept->getLoc());
  parts.push_back(erased->getLoc());
  kept->setLoc(
      NameLoc::get(StringAttr::get(kept->getContext(), getLocalName(kept)),
                   FusedLoc::get(parts, metadata, kept->getContext())));
}

} // namespace hadal
