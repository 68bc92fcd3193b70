// A workaround for LLVM's code generator.
#pragma once

namespace llvm {
class Module;
}

namespace hadal {

/// Makes a plain store of each masked store of |module| whose mask is constant
/// and has one lane. To be called behind the optimiser, of which the vectoriser
/// makes such stores of the last columns of a row.
///
/// LLVM 22 for AVX-512 merges one that stores truncated integers (rounding to
/// bf16 ends so) into a scalar store of the wide integer, which writes the bytes
/// behind the element too: `movl` where `movw` was meant.
void splitOneLaneStores(llvm::Module &module);

} // namespace hadal
