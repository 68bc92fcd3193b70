#ifndef HADAL_KERNEL_OP_INTERFACE
#define HADAL_KERNEL_OP_INTERFACE

include "mlir/IR/OpBase.td"

def KernelOpInterface : OpInterface<"KernelOpInterface"> {
  let cppNamespace = "::hadal::lower";
  let description = [{
    A fused dsv3 op that is one kernel: it says which, and on what. The ops know
    no kernels, so that their models are external and attached when the lowering
    is loaded (passes/Dsv3ToExec/models).
  }];
  let methods = [
    InterfaceMethod<[{
      The kernel's spec, an operand for each of its views in order, and how many
      elements the first dimension of its domain has in this launch. Results of
      the op get memory on the way. An op that no kernel serves is reported.
    }], "::mlir::FailureOr<::hadal::lower::KernelLaunch>", "describeKernel",
    (ins "::hadal::lower::FunctionLowering &":$lowering)>];
}

#endif // HADAL_KERNEL_OP_INTERFACE
