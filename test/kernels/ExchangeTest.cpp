// moe_count, moe_route, moe_pack, moe_receive and moe_return_rows against plain
// references, and the way of a row through all of them between simulated ranks.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <numeric>

#include "test/kernels/KernelTestSupport.h"

namespace hadal::kernels::test {
namespace {

/// Of a rank, by token: the experts it chose.
using Ids = std::vector<std::vector<int64_t>>;
/// Of an expert: its physical slots (rank * slots + slot).
using Table = std::vector<std::vector<int64_t>>;

struct Layout {
  int64_t experts, topk, ranks, slots;
  int64_t tokens; // a rank's capacity of tokens
  int64_t capacity, pairs;
  int64_t replicas = 1;

  MoeRouteSpec routeSpec() const {
    return {{}, experts, topk, tokens, ranks, slots, capacity, pairs, replicas};
  }
};

/// Room for whatever the router does.
Layout worstCase(int64_t experts, int64_t topk, int64_t ranks, int64_t slots,
                 int64_t tokens, int64_t replicas = 1) {
  return {experts,
          topk,
          ranks,
          slots,
          tokens,
          tokens,
          tokens * std::min(topk, slots),
          replicas};
}

Buffer filled(Format format, int64_t rows, int64_t cols, int64_t value) {
  Buffer buffer(format, rows, cols);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < cols; ++c)
      buffer.set(r, c, static_cast<double>(value));
  return buffer;
}

int64_t whole(const Buffer &buffer, int64_t row, int64_t col = 0) {
  return static_cast<int64_t>(buffer.at(row, col));
}

/// The kernel of |spec|, built once: many tests run the same one.
template <typename Spec>
const Executable &kernelOf(const Spec &spec,
                           const schedule::Words &given = {}) {
  static std::map<std::pair<std::string, schedule::Words>,
                  std::unique_ptr<Executable>>
      kernels;
  std::unique_ptr<Executable> &kernel = kernels[{printSpec(spec), given}];
  if (!kernel)
    kernel = std::make_unique<Executable>(builderOf(spec, given), Mode::loops);
  return *kernel;
}

/// What memory holds before a kernel runs: neither a row, nor a slot, nor -1.
constexpr int64_t kStale = 123456;
/// Rows and pairs that an earlier layer wanted of a rank.
constexpr int64_t kWantedBefore = 3;

/// |ids| as an argument; the rows of no token name experts too.
Buffer idsBuffer(const Layout &l, const Ids &ids) {
  Buffer buffer = filled(Format::i32, l.tokens, l.topk, 0);
  for (size_t t = 0; t < ids.size(); ++t)
    for (int64_t j = 0; j < l.topk; ++j)
      buffer.set(t, j, static_cast<double>(ids[t][j]));
  return buffer;
}

Buffer tableBuffer(const Layout &l, const Table &table) {
  Buffer buffer = filled(Format::i32, l.experts, 1 + l.replicas, -1);
  for (int64_t e = 0; e < l.experts; ++e) {
    buffer.set(e, 0, static_cast<double>(table[e].size()));
    for (size_t i = 0; i < table[e].size(); ++i)
      buffer.set(e, 1 + i, static_cast<double>(table[e][i]));
  }
  return buffer;
}

//===----------------------------------------------------------------------===//
// Data
//===----------------------------------------------------------------------===//

/// Slot s of rank r is expert (r * slots + s) mod experts.
Table identityTable(const Layout &l) {
  Table table(l.experts);
  for (int64_t p = 0; p < l.ranks * l.slots; ++p)
    table[p % l.experts].push_back(p);
  return table;
}

/// Every expert somewhere, the slots that are left to random experts, at most
/// |replicas| each.
Table randomTable(const Layout &l, Random &random) {
  std::vector<int64_t> slots(l.ranks * l.slots);
  std::iota(slots.begin(), slots.end(), 0);
  for (size_t i = slots.size(); i > 1; --i)
    std::swap(slots[i - 1], slots[random.below(i)]);
  Table table(l.experts);
  for (size_t i = 0; i < slots.size(); ++i) {
    int64_t e = i < table.size() ? i : random.below(l.experts);
    while (static_cast<int64_t>(table[e].size()) == l.replicas)
      e = (e + 1) % l.experts;
    table[e].push_back(slots[i]);
  }
  return table;
}

Ids randomIds(const Layout &l, int64_t tokens, Random &random) {
  Ids ids(tokens);
  for (auto &row : ids) {
    std::vector<int64_t> order(l.experts);
    std::iota(order.begin(), order.end(), 0);
    for (int64_t j = 0; j < l.topk; ++j) {
      std::swap(order[j], order[j + random.below(l.experts - j)]);
      row.push_back(order[j]);
    }
  }
  return ids;
}

/// Every token chooses experts |first| .. first + topk - 1.
Ids equalIds(const Layout &l, int64_t tokens, int64_t first) {
  std::vector<int64_t> row;
  for (int64_t j = 0; j < l.topk; ++j)
    row.push_back((first + j) % l.experts);
  return Ids(tokens, row);
}

/// The physical slot of choice |j| of token |t|; -1 if it names no expert.
int64_t physicalOf(const Layout &l, const Table &table, const Ids &ids,
                   int64_t t, int64_t j) {
  int64_t e = ids[t][j];
  if (e < 0 || e >= l.experts)
    return -1;
  return table[e][(t + j) % table[e].size()];
}

//===----------------------------------------------------------------------===//
// moe_count
//===----------------------------------------------------------------------===//

TEST(MoeCount, countsTheSliceIfToldTo) {
  Random random(11);
  for (auto [experts, topk, capacity, tokens] :
       {std::array<int64_t, 4>{16, 4, 64, 50},
        {5, 1, 1, 1},
        {256, 8, 600, 599},
        {12, 3, 70, 0},
        {3, 2, 9, 9}}) {
    Layout l = worstCase(experts, topk, 1, experts, capacity);
    Ids ids = randomIds(l, tokens, random);
    if (tokens > 1) {
      ids[0][0] = -1;
      ids[tokens - 1][topk - 1] = experts;
    }
    Buffer in = idsBuffer(l, ids);
    MoeCountSpec spec{{}, experts, topk, capacity};
    for (int32_t flags : {0, 1, 2, 3}) {
      Buffer load(Format::i32, 1, experts);
      std::vector<double> expected;
      for (int64_t e = 0; e < experts; ++e) {
        load.set(0, e, 1000 + e);
        expected.push_back(1000 + e);
      }
      for (const auto &row : ids)
        for (int64_t e : row)
          if (e >= 0 && e < experts)
            expected[e] += flags & 1;
      // More tokens than the slice has.
      std::vector<int32_t> sizes = makeSizes(capacity, 1, 0, experts);
      sizes[3] = static_cast<int32_t>(tokens);
      sizes[4] = flags;
      kernelOf(spec).run(Slots().view(in, {capacity}).view(load).sizes(sizes),
                         experts);
      for (int64_t e = 0; e < experts; ++e)
        EXPECT_EQ(load.at(0, e), expected[e]) << "expert " << e;
      EXPECT_TRUE(load.guardIntact());
    }
  }
}

//===----------------------------------------------------------------------===//
// moe_route
//===----------------------------------------------------------------------===//

struct Routed {
  Buffer sendToken, sendMeta, place, sent, overflow;
};

class Router {
public:
  Router(const Layout &l, const Table &table, const schedule::Words &given = {})
      : layout(l), table(tableBuffer(l, table)),
        kernel(kernelOf(l.routeSpec(), given)) {}

  Routed run(const Ids &ids) {
    const Layout &l = layout;
    int64_t rows = l.ranks * l.capacity, words = metaWords(l.topk);
    Routed r{filled(Format::i32, rows, 1, kStale),
             filled(Format::i32, rows, words, kStale),
             filled(Format::i32, l.tokens, l.topk, kStale),
             filled(Format::i32, l.ranks, 2, kStale),
             filled(Format::i32, l.ranks, 2, kWantedBefore)};
    Buffer in = idsBuffer(l, ids);
    std::vector<int32_t> sizes = makeSizes(l.tokens, 1, 0, l.slots);
    sizes[3] = static_cast<int32_t>(ids.size());
    kernel.run(Slots()
                   .view(in, {l.tokens})
                   .view(table)
                   .view(r.sendToken, {rows})
                   .view(r.sendMeta, {rows})
                   .view(r.place, {l.tokens * l.topk})
                   .view(r.sent)
                   .view(r.overflow)
                   .sizes(sizes),
               l.ranks);
    for (const Buffer *buffer :
         {&r.sendToken, &r.sendMeta, &r.place, &r.sent, &r.overflow})
      EXPECT_TRUE(buffer->guardIntact());
    return r;
  }

private:
  Layout layout;
  Buffer table;
  const Executable &kernel;
};

/// What moe_route must have written, token by token.
void expectRouted(const Layout &l, const Table &table, const Ids &ids,
                  const Routed &r) {
  std::map<std::pair<int64_t, int64_t>, int64_t> places;
  for (int64_t d = 0; d < l.ranks; ++d) {
    int64_t rows = 0, pairs = 0, fitting = 0;
    std::vector<std::vector<int64_t>> meta;
    for (size_t t = 0; t < ids.size(); ++t) {
      std::vector<int64_t> row(metaWords(l.topk), 0);
      row[0] = t;
      row[1] = pairs;
      bool wants = false;
      for (int64_t j = 0; j < l.topk; ++j) {
        int64_t physical = physicalOf(l, table, ids, t, j);
        row[2 + j] = -1;
        if (physical < 0 || physical / l.slots != d)
          continue;
        wants = true;
        bool fits = rows < l.capacity && pairs < l.pairs;
        places[{t, j}] = fits ? d * l.pairs + pairs : -1;
        if (fits)
          row[2 + j] = physical % l.slots;
        fitting += fits;
        ++pairs;
      }
      if (!wants)
        continue;
      if (rows < l.capacity)
        meta.push_back(row);
      ++rows;
    }
    int64_t sent = meta.size();
    meta.resize(l.capacity, std::vector<int64_t>(metaWords(l.topk), -1));
    for (int64_t i = 0; i < l.capacity; ++i) {
      EXPECT_EQ(whole(r.sendToken, d * l.capacity + i), meta[i][0]);
      for (int64_t w = 0; w < metaWords(l.topk); ++w)
        EXPECT_EQ(whole(r.sendMeta, d * l.capacity + i, w), meta[i][w])
            << "rank " << d << " row " << i << " word " << w;
    }
    EXPECT_EQ(whole(r.sent, d, 0), sent);
    EXPECT_EQ(whole(r.sent, d, 1), fitting);
    EXPECT_EQ(whole(r.overflow, d, 0), std::max(rows, kWantedBefore));
    EXPECT_EQ(whole(r.overflow, d, 1), std::max(pairs, kWantedBefore));
  }
  for (int64_t t = 0; t < l.tokens; ++t)
    for (int64_t j = 0; j < l.topk; ++j) {
      auto at = places.find({t, j});
      int64_t expected = t >= static_cast<int64_t>(ids.size()) ? kStale
                         : at == places.end()                  ? -1
                                                               : at->second;
      EXPECT_EQ(whole(r.place, t, j), expected) << "token " << t << "," << j;
    }
}

TEST(MoeRoute, placesEveryChoiceInOrder) {
  Random random(5);
  for (Layout l : {worstCase(16, 4, 4, 4, 9), worstCase(8, 2, 2, 4, 1),
                   worstCase(256, 8, 32, 9, 16, 2), worstCase(6, 3, 3, 2, 7),
                   worstCase(5, 5, 1, 5, 3), worstCase(12, 1, 4, 4, 33, 3),
                   worstCase(16, 6, 8, 3, 600, 4)}) {
    for (bool placed : {false, true}) {
      Table table = placed ? randomTable(l, random) : identityTable(l);
      Router router(l, table);
      for (int64_t tokens : {int64_t(0), int64_t(1), l.tokens / 2, l.tokens}) {
        SCOPED_TRACE(printSpec(l.routeSpec()) + " tokens " +
                     std::to_string(tokens));
        Ids ids = randomIds(l, tokens, random);
        expectRouted(l, table, ids, router.run(ids));
      }
    }
  }
}

TEST(MoeRoute, oneRankTakesAll) {
  for (Layout l : {worstCase(16, 4, 4, 4, 20), worstCase(16, 4, 4, 8, 20, 2)}) {
    Table table = identityTable(l);
    Router router(l, table);
    for (int64_t first : {0, 4, 10}) {
      Ids ids = equalIds(l, 20, first);
      expectRouted(l, table, ids, router.run(ids));
    }
  }
}

TEST(MoeRoute, whatDoesNotFitIsCountedAndWrittenNowhere) {
  Random random(6);
  for (auto [capacity, pairs] :
       {std::pair<int64_t, int64_t>{3, 100}, {100, 5}, {4, 6}, {1, 1}}) {
    Layout l{16, 4, 4, 5, 24, capacity, pairs, 2};
    Table table = randomTable(l, random);
    Router router(l, table);
    for (const Ids &ids : {randomIds(l, 24, random), equalIds(l, 24, 3),
                           randomIds(l, 2, random)}) {
      SCOPED_TRACE(printSpec(l.routeSpec()));
      Routed r = router.run(ids);
      expectRouted(l, table, ids, r);
    }
  }
}

TEST(MoeRoute, anIdThatNamesNoExpertGoesNowhere) {
  for (int64_t replicas : {1, 2}) {
    Layout l = worstCase(4, 2, 2, 2 * replicas, 4, replicas);
    Table table = identityTable(l);
    Ids ids = {{1, -1}, {3, 4}, {-7, 1000000}, {0, 3}};
    Routed r = Router(l, table).run(ids);
    expectRouted(l, table, ids, r);
    for (auto [t, j] : {std::pair{0, 1}, {1, 1}, {2, 0}, {2, 1}})
      EXPECT_EQ(whole(r.place, t, j), -1);
    EXPECT_EQ(whole(r.overflow, 0, 1), kWantedBefore);
  }
}

TEST(MoeRoute, anyStepGivesTheSame) {
  Random random(8);
  Layout l{32, 4, 4, 9, 100, 60, 90, 2};
  Table table = randomTable(l, random);
  Ids ids = randomIds(l, 97, random);
  for (int64_t bm : {16, 32, 64})
    expectRouted(l, table, ids, Router(l, table, {{"bm", bm}}).run(ids));
}

//===----------------------------------------------------------------------===//
// moe_pack
//===----------------------------------------------------------------------===//

Buffer runPack(const MoePackSpec &spec, Buffer &x, Buffer &sendToken) {
  int64_t rows = sendToken.rows();
  Buffer out(x.format(), rows, spec.hidden);
  std::vector<int32_t> sizes = makeSizes(x.rows());
  kernelOf(spec).run(Slots()
                         .view(x, {x.rows()})
                         .view(sendToken, {rows})
                         .view(out, {rows})
                         .sizes(sizes),
                     rows);
  EXPECT_TRUE(out.guardIntact());
  return out;
}

TEST(MoePack, movesTheRowsOfTokensAndNothingElse) {
  Random random(9);
  struct Case {
    Act act;
    int64_t hidden;
    bool quantized;
  };
  for (Case c : {Case{Act::bf16, 45, false}, Case{Act::f32, 1100, false},
                 Case{Act::bf16, 7168, false}, Case{Act::bf16, 9000, false},
                 Case{Act::bf16, 64, true}, Case{Act::bf16, 7168, true},
                 Case{Act::bf16, 200, true}}) {
    MoePackSpec spec{{c.act}, c.hidden, c.quantized};
    SCOPED_TRACE(printSpec(spec));
    Buffer x =
        random.matrix(c.quantized ? Format::fp8 : formatOf(c.act), 6, c.hidden);
    Buffer sendToken(Format::i32, 11, 1);
    const int tokens[] = {5, -1, -1, 0, 5, 3, -1, -1, 2, 1, -1};
    for (int64_t r = 0; r < 11; ++r)
      sendToken.set(r, 0, tokens[r]);
    Buffer out = runPack(spec, x, sendToken);
    for (int64_t r = 0; r < 11; ++r) {
      if (tokens[r] < 0)
        EXPECT_TRUE(out.untouched(r));
      else
        EXPECT_EQ(out.rowBytes(r), x.rowBytes(tokens[r])) << "row " << r;
    }
  }
}

//===----------------------------------------------------------------------===//
// moe_receive
//===----------------------------------------------------------------------===//

struct Received {
  Buffer source, back;
  std::vector<int64_t> begin; // [slots + 1]
};

MoeReceiveSpec receiveSpec(const Layout &l) {
  return {{}, l.topk, l.ranks, l.slots, l.capacity};
}

/// Rows of each block of |meta| up to the last that is used, as i32[ranks, 2];
/// of pairs the kernel needs none.
Buffer gotBuffer(const Layout &l, const Buffer &meta) {
  Buffer got = filled(Format::i32, l.ranks, 2, kStale);
  for (int64_t s = 0; s < l.ranks; ++s) {
    int64_t rows = 0;
    for (int64_t i = 0; i < l.capacity; ++i)
      for (int64_t j = 0; j < l.topk; ++j)
        if (whole(meta, s * l.capacity + i, 2 + j) >= 0)
          rows = i + 1;
    got.set(s, 0, static_cast<double>(rows));
  }
  return got;
}

Received runReceive(const Layout &l, Buffer &meta,
                    const schedule::Words &given = {}) {
  Buffer got = gotBuffer(l, meta);
  int64_t rows = l.ranks * l.capacity, routed = l.ranks * l.pairs;
  Received r{filled(Format::i32, routed, 1, kStale),
             filled(Format::i32, rows, l.topk, kStale),
             {}};
  std::vector<int32_t> sizes = makeSizes(l.tokens, 1, 0, l.slots);
  sizes.push_back(12345);
  std::vector<int32_t> head(sizes.begin(), sizes.begin() + kSizesHead);
  kernelOf(receiveSpec(l), given)
      .run(Slots()
               .view(meta, {rows})
               .view(got, {l.ranks})
               .view(r.source, {routed})
               .view(r.back, {rows * l.topk})
               .sizes(sizes),
           l.slots);
  EXPECT_EQ(sizes.back(), 12345);
  EXPECT_TRUE(std::equal(head.begin(), head.end(), sizes.begin()));
  EXPECT_TRUE(r.source.guardIntact() && r.back.guardIntact());
  r.begin.assign(sizes.begin() + kSizesHead, sizes.end() - 1);
  return r;
}

TEST(MoeReceive, ordersPairsBySlotRowAndChoice) {
  Random random(10);
  for (Layout l :
       {Layout{0, 4, 4, 4, 1, 6, 30}, Layout{0, 8, 32, 9, 1, 7, 60},
        Layout{0, 1, 1, 1, 1, 1, 1}, Layout{0, 3, 2, 5, 1, 300, 900},
        Layout{0, 8, 2, 3, 1, 1100, 4000}, Layout{0, 6, 3, 2, 1, 5, 30}}) {
    SCOPED_TRACE(printSpec(receiveSpec(l)));
    int64_t rows = l.ranks * l.capacity;
    // A dense one, a sparse one, one slot alone, and none at all.
    for (int kind = 0; kind < 4; ++kind) {
      // What lies beyond the used rows of a block is not read.
      Buffer meta = filled(Format::i32, rows, metaWords(l.topk), kStale);
      std::vector<std::vector<std::pair<int64_t, int64_t>>> pairs(l.slots);
      int64_t room = l.ranks * l.pairs;
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t j = 0; j < l.topk; ++j) {
          bool here =
              kind != 3 && (kind == 0 || random.below(4) == 0) && room > 0;
          int64_t slot = kind == 2 ? l.slots - 1 : random.below(l.slots);
          meta.set(r, 2 + j, here ? static_cast<double>(slot) : -1);
          if (here) {
            pairs[slot].push_back({r, j});
            --room;
          }
        }
      // In any steps.
      Received received = runReceive(
          l, meta,
          rows >= 64 && kind ? schedule::Words{{"bm", int64_t(8) << kind}}
                             : schedule::Words());
      int64_t q = 0;
      Buffer back = filled(Format::i32, rows, l.topk, kStale);
      for (int64_t s = 0; s < l.slots; ++s) {
        EXPECT_EQ(received.begin[s], q);
        for (auto [r, j] : pairs[s]) {
          EXPECT_EQ(whole(received.source, q), r);
          back.set(r, j, static_cast<double>(q++));
        }
      }
      EXPECT_EQ(received.begin[l.slots], q);
      for (; q < received.source.rows(); ++q)
        EXPECT_EQ(whole(received.source, q), kStale);
      for (int64_t r = 0; r < rows; ++r)
        EXPECT_EQ(received.back.rowBytes(r), back.rowBytes(r)) << "row " << r;
    }
  }
}

//===----------------------------------------------------------------------===//
// moe_return_rows
//===----------------------------------------------------------------------===//

MoeReturnRowsSpec returnSpec(const Layout &l, int64_t hidden, Act act) {
  return {{act}, hidden, l.topk, l.ranks, l.capacity, l.pairs};
}

Buffer runReturn(const MoeReturnRowsSpec &spec, Buffer &y, Buffer &meta,
                 Buffer &back) {
  int64_t rows = spec.ranks * spec.capacity, returned = spec.ranks * spec.pairs;
  Buffer out(y.format(), returned, spec.hidden);
  std::vector<int32_t> sizes = makeSizes(1);
  kernelOf(spec).run(Slots()
                         .view(y, {y.rows()})
                         .view(meta, {rows})
                         .view(back, {rows})
                         .view(out, {returned})
                         .sizes(sizes),
                     rows);
  EXPECT_TRUE(out.guardIntact());
  return out;
}

TEST(MoeReturnRows, returnsPairsInTheOrderOfTheirSource) {
  Random random(12);
  for (Act act : {Act::bf16, Act::f32})
    for (int64_t hidden : {40, 1100, 8200}) {
      Layout l{0, 3, 3, 4, 1, 4, 7};
      int64_t rows = l.ranks * l.capacity;
      Buffer y = random.matrix(formatOf(act), 30, hidden);
      Buffer meta = filled(Format::i32, rows, metaWords(l.topk), -1);
      Buffer back = filled(Format::i32, rows, l.topk, kStale);
      std::map<int64_t, int64_t> expected; // returned row: row of y
      for (int64_t s = 0; s < l.ranks; ++s) {
        int64_t pairs = 0;
        // The last row of each block is not used.
        for (int64_t i = 0; i + 1 < l.capacity; ++i) {
          int64_t r = s * l.capacity + i;
          meta.set(r, 0, static_cast<double>(random.below(9)));
          meta.set(r, 1, static_cast<double>(pairs));
          for (int64_t j = 0; j < l.topk; ++j) {
            if (pairs == l.pairs || random.below(2))
              continue;
            int64_t q = random.below(30);
            meta.set(r, 2 + j, static_cast<double>(random.below(l.slots)));
            back.set(r, j, static_cast<double>(q));
            expected[s * l.pairs + pairs++] = q;
          }
        }
      }
      Buffer out = runReturn(returnSpec(l, hidden, act), y, meta, back);
      for (int64_t r = 0; r < out.rows(); ++r) {
        auto at = expected.find(r);
        if (at == expected.end())
          EXPECT_TRUE(out.untouched(r)) << "row " << r;
        else
          EXPECT_EQ(out.rowBytes(r), y.rowBytes(at->second)) << "row " << r;
      }
    }
}

//===----------------------------------------------------------------------===//
// All of them
//===----------------------------------------------------------------------===//

/// Block |from| of |source| becomes block |to| of |target|, of |rows| rows.
void moveBlock(const Buffer &source, int64_t from, Buffer &target, int64_t to,
               int64_t rows) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < source.cols(); ++c) {
      if (source.format() == Format::fp8) {
        target.setCode(to * rows + r, c, source.code(from * rows + r, c));
        target.scale(to * rows + r, c) = source.scale(from * rows + r, c);
      } else {
        target.set(to * rows + r, c, source.at(from * rows + r, c));
      }
    }
}

/// By expert: the rows that moe_permute gives it, of the ranks' rows in a row.
std::vector<std::vector<int64_t>>
permutedOnOneRank(const Layout &l, const std::vector<Ids> &ids) {
  Ids all;
  for (const Ids &rank : ids)
    all.insert(all.end(), rank.begin(), rank.end());
  int64_t tokens = all.size(), capacity = l.ranks * l.tokens;
  Layout one = l;
  one.tokens = capacity;
  Buffer in = idsBuffer(one, all), source(Format::i32, capacity * l.topk, 1),
         place(Format::i32, capacity, l.topk),
         load = filled(Format::i32, 1, l.experts, 0);
  std::vector<int32_t> sizes = makeSizes(tokens, 1, 0, l.experts);
  kernelOf(MoePermuteSpec{{}, l.experts, l.topk, capacity})
      .run(Slots()
               .view(in, {capacity})
               .view(source, {capacity * l.topk})
               .view(place, {capacity * l.topk})
               .view(load)
               .sizes(sizes),
           l.experts);
  std::vector<std::vector<int64_t>> rows(l.experts);
  for (int64_t e = 0; e < l.experts; ++e)
    for (int32_t q = sizes[kSizesHead + e]; q < sizes[kSizesHead + e + 1]; ++q)
      rows[e].push_back(whole(source, q));
  return rows;
}

/// Runs a layer's exchange over all ranks. Expects of each expert the rows of
/// one rank in the same order (of one with replicas: each a part, in order),
/// and that each choice gets back what its expert made of its row.
void expectSameAsOneRank(const Layout &l, const Table &table,
                         const std::vector<Ids> &ids, bool quantized,
                         Random &random) {
  constexpr int64_t kHidden = 160;
  Format rowFormat = quantized ? Format::fp8 : Format::bf16;
  std::vector<int64_t> firstRow(l.ranks, 0);
  for (int64_t r = 1; r < l.ranks; ++r)
    firstRow[r] = firstRow[r - 1] + static_cast<int64_t>(ids[r - 1].size());

  Router router(l, table);
  std::vector<Buffer> x;
  std::vector<Routed> routed;
  std::vector<Buffer> packed;
  for (int64_t r = 0; r < l.ranks; ++r) {
    x.push_back(random.matrix(rowFormat, l.tokens, kHidden));
    routed.push_back(router.run(ids[r]));
    packed.push_back(runPack(MoePackSpec{{}, kHidden, quantized}, x[r],
                             routed[r].sendToken));
    for (int64_t d = 0; d < l.ranks; ++d)
      EXPECT_LE(whole(routed[r].overflow, d, 0), l.capacity);
  }

  std::vector<std::vector<int64_t>> seen(l.experts);
  std::vector<Buffer> returned, answers;
  for (int64_t d = 0; d < l.ranks; ++d) {
    int64_t rows = l.ranks * l.capacity;
    Buffer meta(Format::i32, rows, metaWords(l.topk)),
        received(rowFormat, rows, kHidden);
    for (int64_t s = 0; s < l.ranks; ++s) {
      moveBlock(routed[s].sendMeta, d, meta, s, l.capacity);
      moveBlock(packed[s], d, received, s, l.capacity);
    }
    Received r = runReceive(l, meta);
    // The experts: row q holds the slot and the global row it was made of.
    Buffer y = filled(Format::f32, l.ranks * l.pairs, 2, kStale);
    for (int64_t slot = 0; slot < l.slots; ++slot) {
      int64_t expert = -1;
      for (int64_t e = 0; e < l.experts; ++e)
        for (int64_t physical : table[e])
          expert = physical == d * l.slots + slot ? e : expert;
      int64_t last = -1;
      for (int64_t q = r.begin[slot]; q < r.begin[slot + 1]; ++q) {
        int64_t row = whole(r.source, q), rank = row / l.capacity;
        int64_t token = whole(meta, row, 0), global = firstRow[rank] + token;
        EXPECT_GT(global, last) << "the order of one rank";
        last = global;
        EXPECT_EQ(received.rowBytes(row), x[rank].rowBytes(token));
        seen[expert].push_back(global);
        y.set(q, 0, static_cast<double>(expert));
        y.set(q, 1, static_cast<double>(global));
      }
    }
    answers.push_back(runReturn(returnSpec(l, 2, Act::f32), y, meta, r.back));
  }
  for (int64_t s = 0; s < l.ranks; ++s) {
    returned.emplace_back(Format::f32, l.ranks * l.pairs, 2);
    for (int64_t d = 0; d < l.ranks; ++d)
      moveBlock(answers[d], s, returned[s], d, l.pairs);
    for (size_t t = 0; t < ids[s].size(); ++t)
      for (int64_t j = 0; j < l.topk; ++j) {
        int64_t place = whole(routed[s].place, t, j);
        ASSERT_GE(place, 0);
        EXPECT_EQ(whole(returned[s], place, 0), ids[s][t][j]);
        EXPECT_EQ(whole(returned[s], place, 1),
                  firstRow[s] + static_cast<int64_t>(t));
      }
  }
  // Each part above ascends; of one part that is the order itself.
  std::vector<std::vector<int64_t>> expected = permutedOnOneRank(l, ids);
  for (int64_t e = 0; e < l.experts; ++e) {
    if (table[e].size() > 1)
      std::sort(seen[e].begin(), seen[e].end());
    EXPECT_EQ(seen[e], expected[e]) << "expert " << e;
  }
}

TEST(Exchange, givesEveryExpertTheOrderOfOneRank) {
  Random random(20);
  int round = 0;
  for (Layout l : {worstCase(16, 4, 2, 8, 9), worstCase(16, 4, 4, 4, 9),
                   worstCase(16, 4, 8, 2, 5), worstCase(32, 8, 4, 9, 12, 3),
                   worstCase(6, 3, 3, 4, 7, 4)}) {
    for (bool placed : {false, true}) {
      SCOPED_TRACE(printSpec(l.routeSpec()));
      Table table = placed ? randomTable(l, random) : identityTable(l);
      // Of every size, none included.
      std::vector<Ids> some, skewed;
      for (int64_t r = 0; r < l.ranks; ++r) {
        some.push_back(randomIds(l, (r * 5 + round) % (l.tokens + 1), random));
        skewed.push_back(equalIds(l, l.tokens, round));
      }
      bool quantized = ++round % 2;
      expectSameAsOneRank(l, table, some, quantized, random);
      expectSameAsOneRank(l, table, skewed, quantized, random);
      expectSameAsOneRank(l, table, std::vector<Ids>(l.ranks), quantized,
                          random);
    }
  }
}

} // namespace
} // namespace hadal::kernels::test
