// Where values are quantised, in pipeline order. The implementation of FooBar is
// FooBar.cpp, its flag --hadal-foo-bar.
#ifndef HADAL_QUANTIZE_PASSES_TD
#define HADAL_QUANTIZE_PASSES_TD

include "mlir/Pass/PassBase.td"

def DequantizeWkvB : Pass<"hadal-dequantize-wkv-b", "::mlir::ModuleOp"> {
  let summary = "Holds W_kv_b in bf16, dequantised when it is loaded";
  let description = [{
    For targets whose matrix units contract FP8 along K only (sm_90a), which
    absorb_v is not: the FP8 weight of `absorb_q`, `absorb_v` and `mla_prefill`
    becomes bf16, code * scale rounded once, in a copy made at load. The parameter
    keeps its `scale`. Changes numerics by that rounding. Must come before
    `hadal-materialize-tile-quantization`, which quantises the latent of an FP8
    W_kv_b only. An FP8 W_kv_b that something else reads is an error.
  }];
  let statistics = [Statistic<"numWeights", "weights", "held in bf16">];
  let dependentDialects = ["::hadal::dsv3::Dsv3Dialect"];
}

def MaterializeTileQuantization
    : Pass<"hadal-materialize-tile-quantization", "::mlir::ModuleOp"> {
  let summary = "Gives the input of each FP8 linear its own quantisation";
  let description = [{
    Changes numerics: W8A8. Each `dsv3.linear` with an FP8 weight reads a
    `dsv3.quantize_tiles` of its own (floor 1e-4; scale format of the model), and
    mla_prefill quantises the latent before an FP8 W_kv_b. absorb_q and absorb_v
    stay unquantised (model-spec 2.13). `fp8=w8a16` leaves everything as it is:
    exact codes against unquantised activations. Correct without any later pass;
    ElideRequantize and the fusions only make it fast.
  }];
  let options = [
    Option<"fp8", "fp8", "std::string", "\"w8a8\"", "w8a8 or w8a16">];
  let dependentDialects = ["::hadal::dsv3::Dsv3Dialect"];
}

def QuantizeBeforeExchange
    : Pass<"hadal-quantize-before-exchange", "::mlir::func::FuncOp"> {
  let summary = "Quantises rows before they are sent to other ranks";
  let description = [{
    Where every reader of the rows of a `moe_dispatch`, or of a part of an
    `all_gather`, quantises them in one way, the rows are quantised first and codes
    and scales travel: half the bytes of bf16. Not where that are more bytes.
    Bit-equal: groups are per row, and both move whole rows. The
    quantisation of the dispatch's input is then one that ElideRequantize shares
    with the shared expert's. Rows that something reads as they are stay so.
  }];
  let dependentDialects = ["::hadal::dsv3::Dsv3Dialect"];
}

def ElideRequantize : Pass<"hadal-elide-requantize", "::mlir::func::FuncOp"> {
  let summary = "Lets one quantisation of a value serve all of its readers";
  let description = [{
    `quantize_tiles` operations of one value with equal floor and format become
    one, at the first. Bit-equal: groups are per row, so that who reads them
    does not matter.
  }];
  let dependentDialects = ["::hadal::dsv3::Dsv3Dialect"];
}

#endif // HADAL_QUANTIZE_PASSES_TD
