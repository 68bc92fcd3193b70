// Lowerings written for one kernel, beside the generic ones.
#pragma once

#include "compiler/codegen/nvptx/Sm90/IR/Sm90Dialect.h"
#include "dialects/Tile/IR/TileDialect.h"

namespace hadal::nvptx {

struct Chip;

/// A lowering of the kernels of one builder (kernels). It was written
/// for their tile form: match compares the form's fingerprint, so that a form
/// that was edited since is refused instead of being compiled to what it was.
class KernelLowering {
public:
  virtual ~KernelLowering() = default;

  /// The kind of the specs of its kernels ("mla_decode").
  virtual llvm::StringRef getKind() const = 0;
  /// Empty if emit serves the form and the sizes of |kernel|, else the reason
  /// why not.
  virtual std::string match(tile::KernelOp kernel) const = 0;
  /// Appends the sm90.kernel of a matching |kernel| to |builder|'s insertion
  /// point; |kernel| is not changed. A schedule that it cannot obey is reported
  /// at |kernel|.
  virtual mlir::FailureOr<sm90::KernelOp>
  emit(tile::KernelOp kernel, const Chip &chip,
       mlir::OpBuilder &builder) const = 0;

protected:
  /// Empty if |kernel|'s first view holds bf16.
  static std::string matchActivations(tile::KernelOp kernel);
  /// Empty if |kernel|'s fingerprint is one of |known|.
  static std::string matchFingerprint(tile::KernelOp kernel,
                                      llvm::ArrayRef<uint64_t> known);
};

/// The lowering registered for the kind of |kernel|'s spec; null: it goes the
/// generic way.
const KernelLowering *findKernelLowering(tile::KernelOp kernel);

/// Lowers |kernel| with |lowering|, or reports at it why that refuses.
mlir::FailureOr<sm90::KernelOp> lowerSpecialised(const KernelLowering &lowering,
                                                 tile::KernelOp kernel,
                                                 const Chip &chip,
                                                 mlir::OpBuilder &builder);

/// Limits of mla_prefill, which the choice of attention's form goes by: most
/// query rows of a tile, for each of which the keys are expanded; most non-rotary
/// or value columns of a head.
inline constexpr int64_t kPrefillQueryTile = 256, kPrefillHeadColumns = 128;

/// Limits of both, which a model is refused by before it is compiled: columns
/// of the latent, held in the registers of two warpgroups of mla_decode;
/// elements of a row of the cache, of which two key tiles and a query tile fit
/// into shared memory; rotary elements, beside which the weights of mla_prefill
/// fit there.
inline constexpr int64_t kLatentColumns = 512, kCacheRow = 576,
                         kRotaryColumns = 320;
/// Columns of a rotated head whose FP8 products one warpgroup holds beside their
/// sums; 256 are shared by two.
inline constexpr int64_t kScaledHeadColumns = 192;

/// The registered lowerings.
const KernelLowering &mlaDecodeLowering();
const KernelLowering &mlaPrefillLowering();

} // namespace hadal::nvptx
