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
  }];
  let useDefaultTypePrinterParser = 1;
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
  I32EnumAttrCase<"Sizes", 7, "sizes">]>;
def Exec_Output : Exec_Enum<"Output", "an output of an entry", [
  I32EnumAttrCase<"Logits", 0, "logits">]>;
def Exec_EntryKind : Exec_Enum<"EntryKind", "what an entry computes", [
  I32EnumAttrCase<"Decode", 0, "decode">,
  I32EnumAttrCase<"Prefill", 1, "prefill">,
  I32EnumAttrCase<"Head", 2, "head">]>;


// Read as signed, so that a negative number in a file is seen as one.
def Exec_I64 : TypedSignlessIntegerAttrBase<I64, "int64_t",
    "64-bit signless integer attribute"> {
  let convertFromStorage = "$_self.getInt()";
}

def Exec_RefType : TypeDef<Exec_Dialect, "Ref"> {
  let mnemonic = "ref";
  let summary = "An address that the runtime puts into one argument slot.";
}

class Exec_Op<string mnemonic, list<Trait> traits = []>
    : Op<Exec_Dialect, mnemonic, traits>;

#endif // HADAL_EXEC_BASE
