#include "KernelTestSupport.h"

#include <algorithm>

#include "mlir/IR/IRMapping.h"

namespace hadal::kernels::test {

//===----------------------------------------------------------------------===//
// Number formats
//===----------------------------------------------------------------------===//

float roundToBf16(double value) {
  float narrow = static_cast<float>(value);
  if (!std::isfinite(narrow))
    return narrow;
  uint32_t bits;
  std::memcpy(&bits, &narrow, 4);
  bits += 0x7FFF + ((bits >> 16) & 1);
  bits &= 0xFFFF0000u;
  std::memcpy(&narrow, &bits, 4);
  return narrow;
}

double decodeE4m3(uint8_t code) {
  int exponent = (code >> 3) & 15, mantissa = code & 7;
  if (exponent == 15 && mantissa == 7)
    return std::nan("");
  double magnitude = exponent == 0
                         ? std::ldexp(mantissa, -9)
                         : std::ldexp(8 + mantissa, exponent - 10);
  return code & 0x80 ? -magnitude : magnitude;
}

uint8_t encodeE4m3(double value) {
  if (std::isnan(value))
    return 0x7F;
  uint8_t sign = std::signbit(value) ? 0x80 : 0;
  double magnitude = std::fabs(value);
  // Codes ascend with their values: the nearest one, the even one on a tie.
  uint8_t best = 0;
  for (uint8_t code = 0; code <= 0x7E; ++code) {
    double error = std::fabs(decodeE4m3(code) - magnitude),
           bestError = std::fabs(decodeE4m3(best) - magnitude);
    if (error < bestError || (error == bestError && (code & 1) == 0))
      best = code;
  }
  return sign | best;
}

//===----------------------------------------------------------------------===//
// Buffer
//===----------------------------------------------------------------------===//

static constexpr size_t kGuard = 64;
static constexpr int64_t kBlock = 128;

Buffer::Buffer(Format format, int64_t rows, int64_t cols, int64_t blockRows)
    : storage(format), numRows(rows), numCols(cols), blockRows(blockRows),
      scaleCols((cols + kBlock - 1) / kBlock) {
  bytes.assign(rows * cols * elementBytes() + kGuard, 0xFF);
  std::fill(bytes.end() - kGuard, bytes.end(), 0xA5);
  if (format == Format::fp8)
    blockScales.assign((rows + blockRows - 1) / blockRows * scaleCols,
                       std::nanf(""));
}

size_t Buffer::elementBytes() const {
  switch (storage) {
  case Format::f32:
  case Format::i32:
    return 4;
  case Format::bf16:
    return 2;
  case Format::fp8:
    return 1;
  case Format::i64:
    return 8;
  }
  return 0;
}

size_t Buffer::scaleIndex(int64_t row, int64_t col) const {
  return row / blockRows * scaleCols + col / kBlock;
}

double Buffer::at(int64_t row, int64_t col) const {
  const uint8_t *p = bytes.data() + (row * numCols + col) * elementBytes();
  switch (storage) {
  case Format::f32: {
    float value;
    std::memcpy(&value, p, 4);
    return value;
  }
  case Format::i32: {
    int32_t value;
    std::memcpy(&value, p, 4);
    return value;
  }
  case Format::bf16: {
    uint16_t half;
    std::memcpy(&half, p, 2);
    uint32_t bits = uint32_t(half) << 16;
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
  }
  case Format::fp8:
    return decodeE4m3(*p) *
           static_cast<double>(blockScales[scaleIndex(row, col)]);
  case Format::i64: {
    int64_t value;
    std::memcpy(&value, p, 8);
    return static_cast<double>(value);
  }
  }
  return 0;
}

void Buffer::set(int64_t row, int64_t col, double value) {
  uint8_t *p = bytes.data() + (row * numCols + col) * elementBytes();
  switch (storage) {
  case Format::f32: {
    float narrow = static_cast<float>(value);
    std::memcpy(p, &narrow, 4);
    return;
  }
  case Format::i32: {
    auto narrow = static_cast<int32_t>(value);
    std::memcpy(p, &narrow, 4);
    return;
  }
  case Format::bf16: {
    float narrow = roundToBf16(value);
    uint32_t bits;
    std::memcpy(&bits, &narrow, 4);
    uint16_t half = bits >> 16;
    std::memcpy(p, &half, 2);
    return;
  }
  case Format::fp8:
    *p = encodeE4m3(value);
    return;
  case Format::i64: {
    auto wide = static_cast<int64_t>(value);
    std::memcpy(p, &wide, 8);
    return;
  }
  }
}

uint8_t Buffer::code(int64_t row, int64_t col) const {
  return bytes[row * numCols + col];
}

void Buffer::setCode(int64_t row, int64_t col, uint8_t code) {
  bytes[row * numCols + col] = code;
}

float &Buffer::scale(int64_t row, int64_t col) {
  return blockScales[scaleIndex(row, col)];
}

float Buffer::scale(int64_t row, int64_t col) const {
  return blockScales[scaleIndex(row, col)];
}

bool Buffer::untouched(int64_t row) const {
  size_t width = numCols * elementBytes();
  const uint8_t *p = bytes.data() + row * width;
  return std::all_of(p, p + width, [](uint8_t byte) { return byte == 0xFF; });
}

bool Buffer::guardIntact() const {
  return std::all_of(bytes.end() - kGuard, bytes.end(),
                     [](uint8_t byte) { return byte == 0xA5; });
}

std::string Buffer::rowBytes(int64_t row) const {
  size_t width = numCols * elementBytes();
  std::string text(reinterpret_cast<const char *>(bytes.data()) + row * width,
                   width);
  if (storage == Format::fp8)
    text.append(
        reinterpret_cast<const char *>(&blockScales[scaleIndex(row, 0)]),
        scaleCols * sizeof(float));
  return text;
}

Buffer Random::matrix(Format format, int64_t rows, int64_t cols,
                      int64_t blockRows, double deviation) {
  Buffer buffer(format, rows, cols, blockRows);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < cols; ++c) {
      if (format == Format::fp8) {
        uint8_t code;
        do
          code = static_cast<uint8_t>(below(256));
        while ((code & 0x7F) == 0x7F);
        buffer.setCode(r, c, code);
        if (c % kBlock == 0 && r % blockRows == 0)
          buffer.scale(r, c) =
              static_cast<float>(deviation * uniform(0.5, 2.0) / 64.0);
      } else {
        buffer.set(r, c, normal(deviation));
      }
    }
  return buffer;
}

std::vector<int32_t> makeSizes(int32_t tokens, int32_t rows, int32_t logitRows,
                               int64_t experts) {
  std::vector<int32_t> sizes{tokens, rows, logitRows, tokens, 1};
  sizes.resize(kSizesHead + experts + 1, 0);
  return sizes;
}

//===----------------------------------------------------------------------===//
// Slots
//===----------------------------------------------------------------------===//

void Slots::push(const void *pointer) {
  slots.push_back(reinterpret_cast<uintptr_t>(pointer));
}

Slots &Slots::view(Buffer &buffer, std::vector<int64_t> dynamic) {
  operands.push_back({slots.size(), &buffer, nullptr});
  push(buffer.data());
  if (buffer.format() == Format::fp8)
    push(buffer.scales());
  for (int64_t extent : dynamic)
    slots.push_back(static_cast<uint64_t>(extent));
  return *this;
}

Slots &Slots::table(std::vector<Buffer *> parts) {
  bool scaled = parts.front()->format() == Format::fp8;
  auto data = std::make_unique<std::vector<uint64_t>>();
  auto scales = std::make_unique<std::vector<uint64_t>>();
  for (Buffer *part : parts) {
    data->push_back(reinterpret_cast<uintptr_t>(part->data()));
    scales->push_back(reinterpret_cast<uintptr_t>(part->scales()));
  }
  operands.push_back({slots.size(), nullptr, nullptr, parts});
  push(data->data());
  if (scaled)
    push(scales->data());
  tables.push_back(std::move(data));
  tables.push_back(std::move(scales));
  return *this;
}

Slots &Slots::sizes(std::vector<int32_t> &values) {
  operands.push_back({slots.size(), nullptr, &values});
  push(values.data());
  return *this;
}

//===----------------------------------------------------------------------===//
// Split folds
//===----------------------------------------------------------------------===//

void splitFolds(tile::KernelOp kernel) {
  using namespace mlir;
  llvm::SmallVector<tile::FoldOp> folds;
  kernel.walk([&](tile::FoldOp fold) { folds.push_back(fold); });
  for (tile::FoldOp fold : folds) {
    OpBuilder b(fold);
    Location loc = fold.getLoc();
    auto constant = [&](int64_t value) -> Value {
      return arith::ConstantIndexOp::create(b, loc, value);
    };
    // The middle is a whole number of steps away from the start, at most hi.
    int64_t step = fold.getStep();
    Value range = arith::SubIOp::create(b, loc, fold.getHi(), fold.getLo());
    Value half = arith::MulIOp::create(
        b, loc, arith::DivSIOp::create(b, loc, range, constant(2 * step)),
        constant(step));
    Value middle = arith::AddIOp::create(b, loc, fold.getLo(), half);
    auto *first = b.clone(*fold), *second = b.clone(*fold);
    cast<tile::FoldOp>(first).getHiMutable().assign(middle);
    cast<tile::FoldOp>(second).getLoMutable().assign(middle);
    Block &combine = fold.getCombine().front();
    IRMapping map;
    unsigned count = fold.getNumResults();
    for (unsigned i = 0; i < count; ++i) {
      map.map(combine.getArgument(i), first->getResult(i));
      map.map(combine.getArgument(count + i), second->getResult(i));
    }
    for (Operation &op : combine.without_terminator())
      b.clone(op, map);
    for (unsigned i = 0; i < count; ++i)
      fold.getResult(i).replaceAllUsesWith(
          map.lookupOrDefault(combine.getTerminator()->getOperand(i)));
    fold.erase();
  }
}

//===----------------------------------------------------------------------===//
// Comparison
//===----------------------------------------------------------------------===//

void Comparison::add(double actual, double expected) {
  finite = finite && std::isfinite(actual);
  xx += actual * actual;
  yy += expected * expected;
  xy += actual * expected;
  maxError = std::max(maxError, std::fabs(actual - expected));
  maxValue = std::max(maxValue, std::fabs(expected));
  ++count;
}

double Comparison::cosine() const {
  if (xx == 0 && yy == 0)
    return 0;
  return 1.0 - xy / std::sqrt(xx * yy);
}

double Comparison::relative() const {
  return maxValue == 0 ? maxError : maxError / maxValue;
}

Comparison compare(const Buffer &actual, int64_t rows,
                   const std::function<double(int64_t, int64_t)> &expected) {
  Comparison result;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < actual.cols(); ++c)
      result.add(actual.at(r, c), expected(r, c));
  return result;
}

Tolerance toleranceOf(Act act) {
  return act == Act::bf16 ? Tolerance{1e-5, 1.0 / 128} : Tolerance{1e-9, 1e-5};
}

} // namespace hadal::kernels::test
