#ifndef HADAL_EXEC_BASE
#define HADAL_EXEC_BASE

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"

def Exec_Dialect : Dialect {
  let name = "exec";
  let cppNamespace = "::hadal::exec";
  let summary = "The program: what the runtime executes, one to one.";
  let description = [{
    A module of this level is the artifact in text: parameters (the weight
    manifest), states, functions of launches, and one entry per bucket, beside
    the `tile.kernel` symbols that the launches name. Control flow is `call` and
    `repeat` with a constant count, nothing else, so a program unrolls into a
    list of launches whose every address is known when the weights are loaded.

    Every operand is an `!exec.ref`: one 8-byte slot of a kernel's argument
    array, an address that the runtime fills in. What it refers to is the op (or
    the function argument) that defines it. Buffers live in the entry's arena;
    before `hadal-plan-buffers` they have a size, after it also an offset.

    The module carries three attributes besides: `exec.model` (what the host
    needs to drive generation), `exec.options` (every option that changes
    bytes) and `exec.remarks` (the choices that passes made, as sentences).

    A program for several ranks is one program, run by each of them: `exec.mesh`
    (an attribute of the module) says how they share the model, an
    `exec.communicator` is a group of them, and an `exec.collective` is what the
    ranks of a group do together. Launches belong to stream 0, collectives to
    stream 1; `exec.record` and `exec.wait` order the two.
  }];
  let useDefaultTypePrinterParser = 1;
  let useDefaultAttributePrinterParser = 1;
  let hasOperationAttrVerify = 1;
}

class Exec_Enum<string name, string summary, list<I32EnumAttrCase> cases>
    : I32EnumAttr<name, summary, cases> {
  let cppNamespace = "::hadal::exec";
}

// The numbers of these enums are those of runtime/schemas/artifact.fbs; the
// writer asserts it.
def Exec_ParameterKind : Exec_Enum<"ParameterKind", "what a parameter consists of", [
  I32EnumAttrCase<"Tensor", 0, "tensor">,
  I32EnumAttrCase<"Stack", 1, "stack">,
  I32EnumAttrCase<"Segments", 2, "segments">]>;
def Exec_Placement : Exec_Enum<"Placement", "where a parameter's bytes live", [
  I32EnumAttrCase<"Map", 0, "map">,
  I32EnumAttrCase<"Copy", 1, "copy">]>;
def Exec_ValueCheck : Exec_Enum<"ValueCheck", "what the loader checks of values", [
  I32EnumAttrCase<"None", 0, "none">,
  I32EnumAttrCase<"Finite", 1, "finite">,
  I32EnumAttrCase<"NonNegative", 2, "non_negative">]>;
def Exec_StateKind : Exec_Enum<"StateKind", "what a state is", [
  I32EnumAttrCase<"PagedCache", 0, "paged_cache">,
  I32EnumAttrCase<"Buffer", 1, "buffer">]>;
def Exec_Input : Exec_Enum<"Input", "an input of an entry", [
  I32EnumAttrCase<"Tokens", 0, "tokens">,
  I32EnumAttrCase<"Positions", 1, "positions">,
  I32EnumAttrCase<"QStart", 2, "q_start">,
  I32EnumAttrCase<"KvLen", 3, "kv_len">,
  I32EnumAttrCase<"PageTable", 4, "page_table">,
  I32EnumAttrCase<"Slot", 5, "slot">,
  I32EnumAttrCase<"LogitRows", 6, "logit_rows">,
  I32EnumAttrCase<"Sizes", 7, "sizes">,
  I32EnumAttrCase<"HiddenRows", 8, "hidden_rows">]>;
def Exec_Output : Exec_Enum<"Output", "an output of an entry", [
  I32EnumAttrCase<"Logits", 0, "logits">]>;
def Exec_EntryKind : Exec_Enum<"EntryKind", "what an entry computes", [
  I32EnumAttrCase<"Decode", 0, "decode">,
  I32EnumAttrCase<"Prefill", 1, "prefill">,
  I32EnumAttrCase<"Head", 2, "head">,
  I32EnumAttrCase<"Draft", 3, "draft">,
  I32EnumAttrCase<"DraftNext", 4, "draft_next">,
  I32EnumAttrCase<"DraftHead", 5, "draft_head">,
  I32EnumAttrCase<"DraftPrefill", 6, "draft_prefill">]>;


def Exec_Axis : Exec_Enum<"Axis", "which ranks share something", [
  I32EnumAttrCase<"Tp", 1, "tp">,
  I32EnumAttrCase<"Ep", 2, "ep">,
  I32EnumAttrCase<"World", 3, "world">]>;
def Exec_CollectiveKind : Exec_Enum<"CollectiveKind", "what a collective does", [
  I32EnumAttrCase<"AllGather", 0, "all_gather">,
  I32EnumAttrCase<"ReduceScatter", 1, "reduce_scatter">,
  I32EnumAttrCase<"AllReduce", 2, "all_reduce">,
  I32EnumAttrCase<"AllToAll", 3, "all_to_all">]>;
def Exec_Rung : Exec_Enum<"Rung", "what a bucket of several ranks has room for", [
  I32EnumAttrCase<"Worst", 0, "worst">,
  I32EnumAttrCase<"Expected", 1, "expected">]>;

def Exec_OverlapDecision : Exec_Enum<"OverlapDecision", "whether a bucket runs as two micro-batches", [
  I32EnumAttrCase<"Refused", 0, "refused">,
  I32EnumAttrCase<"Kept", 1, "kept">,
  I32EnumAttrCase<"Forced", 2, "forced">]>;

// Read as signed, so that a negative number in a file is seen as one.
def Exec_I64 : TypedSignlessIntegerAttrBase<I64, "int64_t",
    "64-bit signless integer attribute"> {
  let convertFromStorage = "$_self.getInt()";
}

def Exec_RefType : TypeDef<Exec_Dialect, "Ref"> {
  let mnemonic = "ref";
  let summary = "An address that the runtime puts into one argument slot.";
}

def Exec_MeshAttr : AttrDef<Exec_Dialect, "Mesh"> {
  let mnemonic = "mesh";
  let summary = "How ranks share the model; on the module as `exec.mesh`.";
  let description = [{
    `tp * dp` ranks: rank = d * tp + t, so a tp group is `tp` neighbours and an
    ep group `ep` neighbours. `node` ranks share a machine. `slots` experts of
    each MoE layer lie on a rank (0: the model has none), replicas included.
    `vocab_split`: a rank of a tp group has its share of the head's rows.

    ```mlir
    module attributes {exec.mesh = #exec.mesh<tp 4, dp 8, ep 32, node 8, slots 9>} {}
    ```
  }];
  let parameters = (ins "int64_t":$tp, "int64_t":$dp, "int64_t":$ep,
                        "int64_t":$node, "int64_t":$slots,
                        DefaultValuedParameter<"bool", "false">:$vocab_split);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// All ranks.
    int64_t getWorld() const { return getTp() * getDp(); }
    /// Ranks of a group of |axis|.
    int64_t getSize(Axis axis) const;
  }];
}

def Exec_OverlapAttr : AttrDef<Exec_Dialect, "Overlap"> {
  let mnemonic = "overlap";
  let summary = "What two micro-batches were predicted to change, and what followed.";
  let description = [{
    `step` is a layer with experts, `exposed` the part of it in which launches wait
    for collectives, each with one micro-batch and with two, in nanoseconds; 0
    where nothing was predicted. `refused`, `kept` (it pays) or `forced` (asked
    for, though the figures say otherwise or there are none), and `because` of what.

    ```mlir
    exec.entry @decode_64 decode tokens 64 rows 64 queries 1 attention "absorbed"
      overlap <refused step 553000 to 738000 exposed 148000 to 0
               because "the time does not fall by 5 %"> { ... }
    ```
  }];
  let parameters = (ins "OverlapDecision":$decision, "int64_t":$step_before,
                        "int64_t":$step_after, "int64_t":$exposed_before,
                        "int64_t":$exposed_after, "::mlir::StringAttr":$reason);
  let assemblyFormat = [{
    `<` $decision `step` $step_before `to` $step_after
    `exposed` $exposed_before `to` $exposed_after `because` $reason `>`
  }];
  let genVerifyDecl = 1;
}

class Exec_Op<string mnemonic, list<Trait> traits = []>
    : Op<Exec_Dialect, mnemonic, traits>;

#endif // HADAL_EXEC_BASE
