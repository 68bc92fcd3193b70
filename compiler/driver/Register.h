// Everything that hadal-opt and the driver need to know of ours.
#pragma once

namespace mlir {
class DialectRegistry;
}

namespace hadal {

/// Registers our dialects and the upstream ones that our IR uses in
/// |registry|, and our passes and pipelines globally.
void registerAll(mlir::DialectRegistry &registry);

} // namespace hadal
