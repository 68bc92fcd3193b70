// Which model operations an operation stands for: its location says.
//
//   loc("mla"("moe_layer"))                 as imported: a name in its kind of
//                                           function
//   loc("gate_up"(fused<"fuse-gated-linear">[a, b]))   made of several
//   loc("mla.absorb_q"(a))                  one of several made of a
//
// The key of an operation is its kind and outermost name, "moe_layer.gate_up";
// its members are the keys of all imported operations inside. No name holds a
// layer's or a bucket's number, so equal functions have equal names.
#pragma once
#include <set>
#include <string>

#include "mlir/IR/Operation.h"
#include "mlir/IR/OperationSupport.h"
#include "llvm/ADT/SetVector.h"

namespace hadal {

/// How IR is printed that is read by people and by a later run: with locations,
/// and values named after them.
mlir::OpPrintingFlags getDumpFlags();

/// Keys in the order in which they were found, each once.
using NameSet = llvm::SetVector<std::string, llvm::SmallVector<std::string>,
                                std::set<std::string>>;

/// Adds the members of |loc| to |names|. A place in a file counts as a member
/// ("f.mlir:3:5"), so that IR written by hand has some; an unknown location has
/// none.
void addMembers(mlir::Location loc, NameSet &names);
NameSet getMembers(mlir::Location loc);

/// The outermost name of |op|'s location, "gate_up"; of an operation without
/// one its own name without the dialect.
llvm::StringRef getLocalName(mlir::Operation *op);
/// "moe_layer.gate_up".
std::string getKey(mlir::Operation *op);

/// The location of what is no operation of the model but has a name of its own:
/// a parameter, a state, an input.
mlir::Location getSymbolLoc(mlir::MLIRContext *context, llvm::StringRef name);
/// The location of an operation |name| that |pass| makes of |ops|.
mlir::Location fuseLoc(llvm::StringRef name, llvm::StringRef pass,
                       llvm::ArrayRef<mlir::Operation *> ops);
/// The location of one of several operations made of |op|: |part| says which.
mlir::Location splitLoc(mlir::Operation *op, llvm::StringRef part);
/// Lets |kept| stand for |erased| too, whose result |pass| takes from it.
void absorbLoc(mlir::Operation *kept, llvm::StringRef pass,
               mlir::Operation *erased);

} // namespace hadal
