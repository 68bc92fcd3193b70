#include "tools/hadal-place/PlaceExperts.h"

#include <algorithm>
#include <numeric>
#include <optional>

namespace hadal {

namespace {

/// A load shared by replicas: compared without rounding.
struct Share {
  uint64_t load;
  uint32_t replicas;

  double value() const { return static_cast<double>(load) / replicas; }
  friend bool operator>(const Share &a, const Share &b) {
    return static_cast<unsigned __int128>(a.load) * b.replicas >
           static_cast<unsigned __int128>(b.load) * a.replicas;
  }
};

/// One of the things that are packed: a group, or a replica of an expert.
struct Item {
  uint32_t id;
  Share share;
};

/// A node or a rank.
struct Bin {
  std::vector<Item> items;
  double load = 0;

  bool holds(uint32_t id) const {
    return std::any_of(items.begin(), items.end(),
                       [id](const Item &item) { return item.id == id; });
  }
  void exchange(Item &mine, Bin &other, Item &theirs) {
    const double more = theirs.share.value() - mine.share.value();
    load += more;
    other.load -= more;
    std::swap(mine, theirs);
  }
};

/// |items| in |count| bins of equally many, the heaviest first into the least
/// loaded that has room; of equals the first.
std::vector<Bin> pack(const std::vector<Item> &items, uint32_t count) {
  std::vector<size_t> falling(items.size());
  std::iota(falling.begin(), falling.end(), size_t{0});
  std::sort(falling.begin(), falling.end(), [&](size_t a, size_t b) {
    if (items[a].share > items[b].share)
      return true;
    return !(items[b].share > items[a].share) && a < b;
  });
  const size_t room = items.size() / count;
  std::vector<Bin> bins(count);
  for (size_t i : falling) {
    const Item &item = items[i];
    Bin *least = nullptr;
    for (Bin &bin : bins)
      if (bin.items.size() < room && (!least || bin.load < least->load))
        least = &bin;
    least->items.push_back(item);
    least->load += item.share.value();
  }
  return bins;
}

/// |experts| with as many replicas as fill |slots|, at most |most| of each: the
/// first replica of each in their order, then the others as they were given.
std::vector<Item> replicate(std::span<const uint32_t> experts,
                            std::span<const uint64_t> load, size_t slots,
                            uint32_t most) {
  std::vector<Item> items;
  for (uint32_t expert : experts)
    items.push_back({expert, {std::max<uint64_t>(load[expert], 1), 1}});
  const size_t distinct = items.size();
  std::vector<size_t> added;
  while (distinct + added.size() < slots) {
    std::optional<size_t> heaviest;
    for (size_t i = 0; i < distinct; ++i)
      if (items[i].share.replicas < most &&
          (!heaviest || items[i].share > items[*heaviest].share))
        heaviest = i;
    ++items[*heaviest].share.replicas;
    added.push_back(*heaviest);
  }
  for (size_t i : added)
    items.push_back(Item(items[i]));
  return items;
}

/// An item of |bin| whose expert an earlier one has too.
Item *findDouble(Bin &bin) {
  for (size_t i = 1; i < bin.items.size(); ++i)
    for (size_t j = 0; j < i; ++j)
      if (bin.items[i].id == bin.items[j].id)
        return &bin.items[i];
  return nullptr;
}

/// Exchanges |item| of |bin| for the item of another bin that leaves the two
/// most even and makes no new double; false if there is none.
bool moveAway(Bin &bin, Item &item, std::vector<Bin> &bins) {
  Bin *with = nullptr;
  Item *forItem = nullptr;
  double least = 0;
  for (Bin &other : bins) {
    if (&other == &bin || other.holds(item.id))
      continue;
    for (Item &theirs : other.items) {
      if (bin.holds(theirs.id))
        continue;
      const double more = theirs.share.value() - item.share.value();
      const double most = std::max(bin.load + more, other.load - more);
      if (!forItem || most < least) {
        with = &other;
        forItem = &theirs;
        least = most;
      }
    }
  }
  if (forItem)
    bin.exchange(item, *with, *forItem);
  return forItem;
}

/// Deals the items out in turn, those of one expert one after the other: as
/// none has more than there are bins, no two of an expert meet. Legal where
/// swaps lead nowhere, but less even.
std::vector<Bin> deal(const std::vector<Bin> &bins) {
  std::vector<Item> items;
  for (const Bin &bin : bins)
    items.insert(items.end(), bin.items.begin(), bin.items.end());
  std::sort(items.begin(), items.end(),
            [](const Item &a, const Item &b) { return a.id < b.id; });
  std::vector<Bin> dealt(bins.size());
  for (size_t i = 0; i < items.size(); ++i) {
    dealt[i % bins.size()].items.push_back(items[i]);
    dealt[i % bins.size()].load += items[i].share.value();
  }
  return dealt;
}

/// Leaves no bin with two replicas of an expert; each swap makes one double
/// fewer. Returns how many there were.
uint32_t separate(std::vector<Bin> &bins) {
  uint32_t swaps = 0;
  for (size_t b = 0; b < bins.size(); ++b)
    while (Item *item = findDouble(bins[b])) {
      ++swaps;
      if (!moveAway(bins[b], *item, bins)) {
        bins = deal(bins);
        return swaps;
      }
    }
  return swaps;
}

} // namespace

Status checkProblem(const PlacementProblem &p) {
  const uint64_t allSlots = uint64_t{p.ranks} * p.slots;
  if (p.groups == 0 || p.experts % p.groups)
    return error(5011, "--groups {} does not divide {} experts", p.groups,
                 p.experts);
  if (p.nodes == 0 || p.ranks % p.nodes)
    return error(5011, "--nodes {} does not divide --ranks {}", p.nodes,
                 p.ranks);
  if (allSlots < p.experts)
    return error(5011,
                 "{} ranks of {} slots hold {} experts, the model has {}; use "
                 "--slots {}",
                 p.ranks, p.slots, allSlots, p.experts,
                 (uint64_t{p.experts} + p.ranks - 1) / p.ranks);
  const uint32_t distinct = p.hierarchical() ? p.experts / p.nodes : p.experts;
  if (p.slots > distinct)
    return error(5011,
                 "{} slots of a rank hold an expert twice: there are {} experts"
                 "{}; use --slots {} or fewer",
                 p.slots, distinct, p.hierarchical() ? " on a node" : "",
                 distinct);
  return {};
}

PlacedLayer placeExperts(const PlacementProblem &p,
                         std::span<const uint64_t> load) {
  const uint32_t nodes = p.hierarchical() ? p.nodes : 1;
  const uint32_t groups = p.hierarchical() ? p.groups : 1;
  const uint32_t groupSize = p.experts / groups;
  const uint32_t ranks = p.ranks / nodes;
  std::vector<Item> groupLoads;
  for (uint32_t g = 0; g < groups; ++g) {
    uint64_t sum = 0;
    for (uint32_t e = g * groupSize; e < (g + 1) * groupSize; ++e)
      sum += std::max<uint64_t>(load[e], 1);
    groupLoads.push_back({g, {sum, 1}});
  }
  PlacedLayer placed;
  for (const Bin &node : pack(groupLoads, nodes)) {
    std::vector<uint32_t> experts;
    for (const Item &group : node.items)
      for (uint32_t e = 0; e < groupSize; ++e)
        experts.push_back(group.id * groupSize + e);
    std::vector<Bin> bins =
        pack(replicate(experts, load, size_t{ranks} * p.slots, ranks), ranks);
    placed.swaps += separate(bins);
    for (const Bin &bin : bins)
      for (const Item &item : bin.items)
        placed.experts.push_back(item.id);
  }
  return placed;
}

double balancedness(const PlacementProblem &p, std::span<const uint64_t> load,
                    std::span<const uint32_t> slotExperts) {
  std::vector<uint32_t> replicas(p.experts, 0);
  for (uint32_t expert : slotExperts)
    ++replicas[expert];
  double sum = 0, most = 0;
  for (uint32_t rank = 0; rank < p.ranks; ++rank) {
    double mine = 0;
    for (uint32_t expert : slotExperts.subspan(size_t{rank} * p.slots, p.slots))
      mine +=
          Share{std::max<uint64_t>(load[expert], 1), replicas[expert]}.value();
    sum += mine;
    most = std::max(most, mine);
  }
  return sum / p.ranks / most;
}

} // namespace hadal
