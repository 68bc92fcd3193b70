#include "compiler/codegen/nvptx/common/TransposeQuads.h"

using namespace mlir;

namespace hadal::nvptx {

void transposeQuads(sm90::AsmBuilder &b, Value lane,
                    MutableArrayRef<Value> words) {
  for (size_t stride : {1, 2}) {
    // The lane is the upper one of its pair: it gives away its lower word.
    Value upper = b.cmp(arith::CmpIPredicate::ne,
                        b.bitAnd(lane, b.i32(stride)), b.i32(0));
    for (size_t i = 0; i < words.size(); ++i) {
      if (i & stride)
        continue;
      Value &low = words[i], &high = words[i + stride];
      Value sent = arith::SelectOp::create(b, upper, low, high);
      Value got = sm90::ShuffleXorOp::create(b, sent.getType(), sent, stride);
      Value kept = arith::SelectOp::create(b, upper, got, low);
      high = arith::SelectOp::create(b, upper, high, got);
      low = kept;
    }
  }
}

} // namespace hadal::nvptx
