// What a rank computes of the model, and its exchanges with others. The
// implementation of FooBar is FooBar.cpp, its flag --hadal-foo-bar.
#ifndef HADAL_SHARD_PASSES_TD
#define HADAL_SHARD_PASSES_TD

include "mlir/Pass/PassBase.td"

def ShardLayers : Pass<"hadal-shard-layers", "::mlir::ModuleOp"> {
  let summary = "Leaves each rank its share of the heads, the tokens and the experts";
  let description = [{
    In: layers for one rank and `dsv3.mesh`. Out: the same for one of several,
    which are equal but for the weights that they load. Without a mesh nothing
    changes.

    Experts, with ep > 1: each `moe_permute` becomes a `moe_dispatch`, whose rows
    the experts read, and a `moe_return` in front of the combine; stacks have a
    rank's slots and are `split slots by ep`; a layer takes its `placement_table`
    and the state `comm.overflow`. Before: `%source, %place, %begin = moe_permute
    %ids`, `%h = linear %x, %stack experts(%begin) gather(%source)`, ...,
    `moe_combine %y at %place`. After: `%rows, ..., %source, %begin, ..., %place,
    ... = moe_dispatch %x, %ids, %table`, `%h = linear %rows, %stack
    experts(%begin) gather(%source)`, ..., `%back = moe_return %y`, `moe_combine
    %back at %place`.

    Heads and tokens, with tp > 1: attention has a rank's heads of all tokens of
    the group (q_b and wkv_b are `split rows by tp`, o_proj `cols`), everything
    else all columns of its slice of the tokens, the residual stream too. Where an
    operation needs other rows than there are, a conversion stands: all_gather,
    take_slice, all_reduce; ElideCollectives moves and merges them. The hidden
    state of the step is gathered behind the last layer, so that each rank has all
    rows of logits. `vocab=tp`: a rank has its rows of the head's weight, and
    logits are gathered and joined. `reduce=f32`: o_proj gives f32 partial sums,
    which the residual add takes as they are.
  }];
  let options = [
    Option<"vocab", "vocab", "std::string", "\"whole\"",
           "the head's weight on a rank: whole or tp">,
    Option<"reduce", "reduce", "std::string", "\"bf16\"",
           "element type of partial sums between ranks, where activations are "
           "bf16: bf16 or f32">];
  let dependentDialects = ["::hadal::dsv3::Dsv3Dialect"];
}

def ElideCollectives : Pass<"hadal-elide-collectives", "::mlir::ModuleOp"> {
  let summary = "Moves less between ranks: what ShardLayers left, smaller and rarer";
  let description = [{
    Rewrites that change no bit, to a fixed point. A `take_slice` of an
    `all_gather` is what was gathered. An `all_reduce` of which only the slice is
    read becomes a `reduce_scatter`. An `all_gather` goes below rms_norm,
    quantize_tiles and linears with a whole weight, which then compute a rank's
    rows instead of all, while what they give together is no wider: that of a
    layer's input stops below q_a | kv_a (14336 bytes a row become 4224). Gathers
    that may begin at one place become one with several parts.

    Before: `%a = all_gather %x`, `%n = rms_norm %a`, `%q = linear %n, %w_qa`.
    After: `%n = rms_norm %x`, `%s = linear %n, %w_qa`, `%q = all_gather %s`.
  }];
  let dependentDialects = ["::hadal::dsv3::Dsv3Dialect"];
}

def ExpandExchange : Pass<"hadal-expand-exchange", "::mlir::func::FuncOp"> {
  let summary = "Makes kernels and collectives of each exchange of rows";
  let description = [{
    A `moe_dispatch` becomes moe_count, moe_route, moe_pack, the `start` and `await`
    of an all_to_all, and moe_receive; a `moe_return` moe_return_rows and the
    `start` and `await` of another. What follows a dispatch and does not need it,
    the shared expert, goes between its start and await, where it costs no time
    while rows travel. An `all_gather`, `reduce_scatter` or `all_reduce` becomes
    `start` and `await`; what it sends or the function returns is copied
    (`copy_rows`) where it does not lie in an exchange buffer anyway. Changes no
    value.
  }];
  let dependentDialects = ["::hadal::dsv3::Dsv3Dialect"];
}

#endif // HADAL_SHARD_PASSES_TD
