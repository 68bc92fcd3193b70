// Operations of the dsv3 dialect. Shapes: T tokens, D hidden size, H heads, C
// latent width, R rotary width, N non-rotary key width, V value width, E
// experts, k experts per token. A is the activation type (bf16 or f32,
// `--activations`). Of several ranks: S tokens of a rank's slice, L logit rows, C rows and C2
// pairs that a rank sends to another at most. Sections in parentheses refer to
// docs/model-spec.md.
#ifndef HADAL_DSV3_OPS_TD
#define HADAL_DSV3_OPS_TD

include "Dsv3Base.td"
include "mlir/IR/OpAsmInterface.td"
include "mlir/IR/RegionKindInterface.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

class Dsv3_Op<string mnemonic, list<Trait> traits = []>
    : Op<Dsv3_Dialect, mnemonic, traits>;

def Dsv3_State : AnyTypeOf<[Dsv3_CacheType, Dsv3_CountsType]>;
class Dsv3_Cache<list<MemoryEffect> effects>
    : Arg<Dsv3_CacheType, "latent cache of the layer", effects>;

include "Dsv3ModuleOps.td"
include "Dsv3ModelOps.td"
include "Dsv3FusedOps.td"
include "Dsv3RanksOps.td"

#endif // HADAL_DSV3_OPS_TD
