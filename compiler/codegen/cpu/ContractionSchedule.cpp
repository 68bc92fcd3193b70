#include "compiler/codegen/cpu/ContractionSchedule.h"

#include "dialects/Diagnostics.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace hadal::cpu {

bool isProduct(Operation *op) {
  return isa<tile::DotOp, tile::DotScaledOp>(op);
}

LogicalResult refuseWord(tile::KernelOp kernel, StringRef word,
                         const Twine &reason) {
  Attribute value = kernel.getSchedule().getWords().get(word);
  InFlightDiagnostic error = emitCodedError(kernel, 3008);
  error << "kernel '" << kernel.getSymName() << "' cannot obey " << word
        << " = ";
  if (auto number = dyn_cast<IntegerAttr>(value))
    error << number.getInt();
  else
    error << value;
  return error << ": " << reason;
}

namespace {

/// Reads words one after the other; the first that fails fails them all.
class WordReader {
public:
  explicit WordReader(tile::KernelOp kernel) : kernel(kernel) {}

  /// A number of |lo| to |hi|.
  int64_t number(StringRef word, int64_t lo, int64_t hi) {
    FailureOr<int64_t> value = kernel.getWord(word);
    if (failed(value)) {
      ok = false;
      return lo;
    }
    if (*value < lo || *value > hi) {
      refuse(word, "it is " + Twine(lo) + " to " + Twine(hi));
      return lo;
    }
    return *value;
  }
  /// A power of two of at most |hi|.
  int64_t power(StringRef word, int64_t hi) {
    int64_t value = number(word, 1, hi);
    if (!llvm::isPowerOf2_64(value))
      refuse(word, "it is a power of two");
    return value;
  }
  void refuse(StringRef word, const Twine &reason) {
    ok = false;
    (void)refuseWord(kernel, word, reason);
  }
  bool ok = true;

private:
  tile::KernelOp kernel;
};

constexpr int64_t kMaxPrefetch = 64 << 10;
/// Rows of scale products in a gemv's work area.
constexpr int64_t kMaxRowGroup = 8;
constexpr int64_t kMaxUnroll = 8;
constexpr int64_t kMaxDecodedRows = 128;
constexpr int64_t kMaxTileRows = 32;
constexpr int64_t kMaxTileVectors = 4;
constexpr int64_t kMaxChunkBytes = 64 << 20;

/// The register tile of words |rows| and |vectors|. The narrowest part of it
/// that is left of the columns has rows x vectors rows of one vector, and all
/// of them are decoded.
PanelTile readTile(WordReader &words, StringRef rows, StringRef vectors,
                   int64_t decodedRows) {
  PanelTile tile;
  tile.rows = words.number(rows, 1, kMaxTileRows);
  tile.vectors = words.power(vectors, kMaxTileVectors);
  if (words.ok && decodedRows % (tile.rows * tile.vectors) != 0)
    words.refuse(rows, "decoded_rows = " + Twine(decodedRows) +
                           " is no multiple of it times " + vectors + " = " +
                           Twine(tile.vectors));
  return tile;
}

} // namespace

FailureOr<ContractionSchedule> readSchedule(tile::KernelOp kernel) {
  ContractionSchedule schedule;
  bool contracts = kernel
                       .walk([](Operation *op) {
                         return isProduct(op) ? WalkResult::interrupt()
                                              : WalkResult::advance();
                       })
                       .wasInterrupted();
  if (!contracts) {
    if (kernel.hasWord("form"))
      return refuseWord(kernel, "form", "the kernel has no contraction");
    return schedule;
  }
  FailureOr<StringRef> form = kernel.getWordText("form");
  if (failed(form))
    return failure();
  schedule.form = llvm::StringSwitch<Form>(*form)
                      .Case("loops", Form::loops)
                      .Case("gemv", Form::gemv)
                      .Case("rows", Form::rows)
                      .Case("panel", Form::panel)
                      .Case("columns", Form::columns)
                      .Case("dot", Form::dot)
                      .Default(Form::none);
  FormTuning &tuning = schedule.tuning;
  WordReader words(kernel);
  switch (schedule.form) {
  case Form::none:
    return refuseWord(kernel, "form",
                      "it is gemv, rows, panel, columns, dot or loops");
  case Form::loops:
    break;
  case Form::rows:
    schedule.rowGroup = words.power("row_group", kMaxRowGroup);
    [[fallthrough]];
  case Form::gemv:
    tuning.prefetch = words.number("prefetch", 0, kMaxPrefetch);
    tuning.unroll = words.power("unroll", kMaxUnroll);
    break;
  case Form::columns:
    tuning.prefetch = words.number("prefetch", 0, kMaxPrefetch);
    tuning.kGroup = words.power("k_group", kMaxUnroll);
    break;
  case Form::panel:
  case Form::dot:
    tuning.prefetchBlocks = words.number("prefetch_blocks", 0, kMaxUnroll);
    tuning.chunkBytes = words.number("chunk_bytes", 1, kMaxChunkBytes);
    tuning.decodedRows = words.number("decoded_rows", 8, kMaxDecodedRows);
    // The pointers behind the decoded rows lie at multiples of 8 bytes.
    if (tuning.decodedRows % 8 != 0)
      words.refuse("decoded_rows", "it is a multiple of 8");
    tuning.panelUnroll = words.power("panel_unroll", kMaxUnroll);
    tuning.tile =
        readTile(words, "panel_rows", "panel_vectors", tuning.decodedRows);
    tuning.tile256 = readTile(words, "panel_rows_256", "panel_vectors_256",
                              tuning.decodedRows);
    break;
  }
  if (!words.ok)
    return failure();
  return schedule;
}

} // namespace hadal::cpu
