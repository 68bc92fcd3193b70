// What a rank computes of the model, and its exchanges with others. The
// implementation of FooBar is FooBar.cpp, its flag --hadal-foo-bar.
#ifndef HADAL_SHARD_PASSES_TD
#define HADAL_SHARD_PASSES_TD

include "mlir/Pass/PassBase.td"

def ShardLayers : Pass<"hadal-shard-layers", "::mlir::ModuleOp"> {
  let summary = "Leaves each rank its share of the experts";
  let description = [{
    In: layers for one rank and `dsv3.mesh`. Out: the same for one of several,
    which are equal but for the weights that they load. Each `moe_permute` becomes
    a `moe_dispatch`, whose rows the experts read, and a `moe_return` in front of
    the combine; stacks have a rank's slots and are `split slots by ep`; a layer
    takes its `placement_table` and the state `comm.overflow`. Without a mesh, or
    where every rank has all experts, nothing changes.

    Before: `%source, %place, %begin = moe_permute %ids`, `%h = linear %x, %stack
    experts(%begin) gather(%source)`, ..., `moe_combine %y at %place`. After:
    `%rows, ..., %source, %begin, ..., %place, ... = moe_dispatch %x, %ids, %table`,
    `%h = linear %rows, %stack experts(%begin) gather(%source)`, ..., `%back =
    moe_return %y`, `moe_combine %back at %place`.
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
    while rows travel. Changes no value.
  }];
  let dependentDialects = ["::hadal::dsv3::Dsv3Dialect"];
}

#endif // HADAL_SHARD_PASSES_TD
