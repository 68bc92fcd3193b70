// Kernels of ranks that share tokens: those that are bound by the rank's slice,
// and those that move rows between its memory and the step's.
#include <gtest/gtest.h>

#include "References.h"

namespace hadal::kernels::test {
namespace {

constexpr int64_t kCapacity = 6;
constexpr int32_t kTokens = 6, kSlice = 2;

/// Sizes of a step of kTokens, of which the rank has the kSlice from |begin|.
std::vector<int32_t> slicedSizes(int32_t begin, int32_t logitRows = 0) {
  std::vector<int32_t> sizes = makeSizes(kTokens, 1, logitRows);
  sizes[3] = kSlice;
  sizes[5] = begin;
  return sizes;
}

/// The kernel of |spec| writes the rows of the slice, as it does those of a
/// step of as many tokens, and no other. |run| runs one with sizes and output.
template <typename Spec, typename Run>
void expectSliced(Spec spec, const Buffer &fresh, Run run) {
  SCOPED_TRACE(printSpec(spec));
  Buffer alone = fresh, sliced = fresh;
  std::vector<int32_t> few = makeSizes(kSlice), sizes = slicedSizes(4);
  run(Executable(builderOf(spec), Mode::loops), few, alone);
  spec.slice = true;
  EXPECT_EQ(symbolFor(spec).substr(symbolFor(spec).size() - 6), "_slice");
  run(Executable(builderOf(spec), Mode::loops), sizes, sliced);
  for (int64_t r = 0; r < kSlice; ++r)
    EXPECT_EQ(sliced.rowBytes(r), alone.rowBytes(r)) << "row " << r;
  for (int64_t r = kSlice; r < sliced.rows(); ++r)
    EXPECT_TRUE(sliced.untouched(r)) << "row " << r;
  EXPECT_TRUE(sliced.guardIntact());
}

TEST(Slice, BoundsRowsWhereTokensDo) {
  Random random(1);
  Buffer x = random.matrix(Format::bf16, kCapacity, 256),
         y = random.matrix(Format::bf16, kCapacity, 256),
         sum = random.matrix(Format::f32, kCapacity, 256),
         scale = random.matrix(Format::f32, 1, 256),
         weight = random.matrix(Format::bf16, 192, 256),
         logits = random.matrix(Format::f32, kCapacity, 16),
         weights = random.matrix(Format::f32, kCapacity, 2),
         routed = random.matrix(Format::bf16, 2 * kCapacity, 256);
  Buffer ids(Format::i32, kCapacity, 1), place(Format::i32, kCapacity, 2);
  for (int64_t r = 0; r < kCapacity; ++r) {
    ids.set(r, 0, static_cast<double>(7 * r % 192));
    for (int64_t j = 0; j < 2; ++j)
      place.set(r, j, static_cast<double>(2 * r + j));
  }
  Buffer act(Format::bf16, kCapacity, 256);
  using Sizes = std::vector<int32_t>;
  auto rows = [](Slots &slots,
                 std::initializer_list<Buffer *> buffers) -> Slots & {
    for (Buffer *buffer : buffers)
      slots.view(*buffer, {buffer->rows()});
    return slots;
  };
  expectSliced(EmbedSpec{{}, 192, 256}, act,
               [&](const Executable &k, Sizes &sizes, Buffer &out) {
                 Slots slots;
                 rows(slots, {&ids}).view(weight).view(out, {kCapacity});
                 k.run(slots.sizes(sizes), kCapacity);
               });
  expectSliced(QuantizeSpec{{}, 256}, Buffer(Format::fp8, kCapacity, 256),
               [&](const Executable &k, Sizes &sizes, Buffer &out) {
                 Slots slots;
                 k.run(rows(slots, {&x, &out}).sizes(sizes), kCapacity);
               });
  for (bool isF32 : {false, true}) {
    AddSpec add{{}, 256};
    add.f32Addend = isF32;
    expectSliced(add, act, [&](const Executable &k, Sizes &sizes, Buffer &out) {
      Slots slots;
      k.run(rows(slots, {&x, isF32 ? &sum : &y, &out}).sizes(sizes), kCapacity);
    });
    NormQuantSpec norm{{}, 256};
    norm.delta = true;
    norm.f32Delta = isF32;
    expectSliced(norm, act,
                 [&](const Executable &k, Sizes &sizes, Buffer &out) {
                   Buffer total(Format::bf16, kCapacity, 256);
                   Slots slots;
                   rows(slots, {&x, isF32 ? &sum : &y}).view(scale);
                   k.run(rows(slots, {&total, &out}).sizes(sizes), kCapacity);
                   EXPECT_TRUE(total.untouched(kSlice));
                 });
  }
  GemmSpec gemm{{}, 192, 256, kCapacity};
  gemm.weight = Weight::bf16;
  expectSliced(gemm, Buffer(Format::bf16, kCapacity, 192),
               [&](const Executable &k, Sizes &sizes, Buffer &out) {
                 Slots slots;
                 rows(slots, {&x}).view(weight).view(out, {kCapacity});
                 k.run(slots.sizes(sizes), kCapacity);
               });
  GateTopkSpec gate{{}, 16, 2};
  gate.bias = false;
  expectSliced(gate, Buffer(Format::i32, kCapacity, 2),
               [&](const Executable &k, Sizes &sizes, Buffer &out) {
                 Buffer given(Format::f32, kCapacity, 2);
                 Slots slots;
                 k.run(rows(slots, {&logits, &out, &given}).sizes(sizes),
                       kCapacity);
                 EXPECT_TRUE(given.untouched(kSlice));
               });
  MoeCombineSpec combine{{}, 256, 2, false};
  expectSliced(
      combine, act, [&](const Executable &k, Sizes &sizes, Buffer &out) {
        Slots slots;
        k.run(rows(slots, {&routed, &place, &weights, &x, &out}).sizes(sizes),
              kCapacity);
      });
  expectSliced(SiluMulSpec{{}, 256}, act,
               [&](const Executable &k, Sizes &sizes, Buffer &out) {
                 Slots slots;
                 k.run(rows(slots, {&x, &y, &out}).sizes(sizes), kCapacity);
               });
}

TEST(Slice, UnroundedAddendsAreRoundedOnce) {
  // 2^-8 + 2^-20 rounded to bf16 is 2^-8, and 1 + 2^-8 ties to 1.
  Buffer x(Format::bf16, 1, 128), delta(Format::f32, 1, 128),
      out(Format::bf16, 1, 128);
  for (int64_t c = 0; c < 128; ++c) {
    x.set(0, c, 1);
    delta.set(0, c, std::ldexp(1.0, -8) + std::ldexp(1.0, -20));
  }
  AddSpec spec{{}, 128};
  spec.f32Addend = true;
  std::vector<int32_t> sizes = makeSizes(1);
  Executable(builderOf(spec), Mode::loops)
      .run(Slots().view(x, {1}).view(delta, {1}).view(out, {1}).sizes(sizes),
           1);
  EXPECT_EQ(out.at(0, 0), 1 + std::ldexp(1.0, -7));
}

TEST(CopyRows, MovesAllRowsOrTheSlice) {
  for (Moved element : {Moved::act, Moved::f32, Moved::i32})
    for (int64_t width : {1, 45, 1100})
      for (bool fromSlice : {false, true}) {
        CopyRowsSpec spec{{}, width, element, fromSlice};
        spec.slice = fromSlice;
        SCOPED_TRACE(printSpec(spec));
        Format format = element == Moved::act   ? Format::bf16
                        : element == Moved::f32 ? Format::f32
                                                : Format::i32;
        Random random(width);
        Buffer x(format, kCapacity, width), out(format, kCapacity, width);
        for (int64_t r = 0; r < kCapacity; ++r)
          for (int64_t c = 0; c < width; ++c)
            x.set(r, c, static_cast<double>(random.below(100)));
        std::vector<int32_t> sizes = slicedSizes(3);
        Executable(builderOf(spec), Mode::loops)
            .run(Slots()
                     .view(x, {kCapacity})
                     .view(out, {kCapacity})
                     .sizes(sizes),
                 kCapacity);
        const int64_t count = fromSlice ? kSlice : kTokens;
        for (int64_t r = 0; r < kCapacity; ++r) {
          if (r < count)
            EXPECT_EQ(out.rowBytes(r), x.rowBytes(r + (fromSlice ? 3 : 0)));
          else
            EXPECT_TRUE(out.untouched(r));
        }
        EXPECT_TRUE(out.guardIntact());
      }
}

TEST(JoinColumns, PutsTheRanksColumnsSideBySide) {
  for (int64_t width : {1, 33, 1500}) {
    const int64_t ranks = 3, capacity = 4;
    JoinColumnsSpec spec{{}, width, ranks, capacity};
    SCOPED_TRACE(printSpec(spec));
    Random random(width);
    Buffer x = random.matrix(Format::f32, ranks * capacity, width),
           out(Format::f32, capacity * ranks, width);
    std::vector<int32_t> sizes = makeSizes(9, 1, /*logitRows=*/3);
    Executable(builderOf(spec), Mode::loops)
        .run(Slots()
                 .view(x, {ranks * capacity})
                 .view(out, {capacity * ranks})
                 .sizes(sizes),
             capacity);
    for (int64_t row = 0; row < capacity; ++row)
      for (int64_t rank = 0; rank < ranks; ++rank) {
        if (row < 3)
          EXPECT_EQ(out.rowBytes(row * ranks + rank),
                    x.rowBytes(rank * capacity + row));
        else
          EXPECT_TRUE(out.untouched(row * ranks + rank));
      }
    EXPECT_TRUE(out.guardIntact());
  }
}

TEST(Slice, TextHoldsTheFlagOnlyWhereItIsSet) {
  AddSpec spec{{}, 64};
  const std::string plain = printSpec(spec);
  EXPECT_EQ(plain, "kind=add act=bf16 scale_format=f32 width=64");
  spec.slice = true;
  EXPECT_EQ(printSpec(spec),
            "kind=add act=bf16 scale_format=f32 slice=true width=64");
  ParsedSpec parsed = parseSpec(toText(spec));
  ASSERT_TRUE(parsed.spec) << parsed.error;
  EXPECT_TRUE(std::get<AddSpec>(*parsed.spec).slice);
  SpecText text = toText(spec);
  text.fields.emplace_back("f32_addend", "perhaps");
  EXPECT_EQ(parseSpec(text).error,
            "field 'f32_addend' is 'perhaps', expected true or false");
}

} // namespace
} // namespace hadal::kernels::test
