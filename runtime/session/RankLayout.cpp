#include "runtime/session/RankLayout.h"

#include <algorithm>
#include <set>

namespace hadal {

using schema::Axis;

unsigned RankLayout::size(Axis axis) const {
  switch (axis) {
  case Axis::tp:
    return tp;
  case Axis::ep:
    return ep;
  case Axis::world:
    return ranks();
  case Axis::none:
    break;
  }
  return 1;
}

unsigned RankLayout::index(Axis axis) const { return rank % size(axis); }

std::vector<unsigned> RankLayout::members(Axis axis) const {
  std::vector<unsigned> result(size(axis));
  for (unsigned i = 0; i < result.size(); ++i)
    result[i] = rank - index(axis) + i;
  return result;
}

RankLayout::Slice RankLayout::slice(uint32_t capacity, int32_t tokens) const {
  const auto most = static_cast<int32_t>(capacity / tp);
  const int32_t begin = most * static_cast<int32_t>(index(Axis::tp));
  return {begin, std::clamp(tokens - begin, 0, most)};
}

StatusOr<RankLayout> rankLayout(const schema::Artifact &artifact,
                                const std::string &path, unsigned rank,
                                unsigned ranks) {
  const schema::Mesh *mesh = artifact.mesh();
  if (!mesh) {
    if (ranks)
      return error(6004,
                   "artifact '{}' was built for one rank, started with {}; "
                   "leave out --ranks, or compile with --tp and --dp whose "
                   "product is {}",
                   path, ranks, ranks);
    return RankLayout();
  }
  const RankLayout layout{rank, mesh->tp(), mesh->dp(), mesh->ep()};
  if (ranks != layout.ranks())
    return error(6004,
                 "artifact '{}' was built for {} ranks (tp {} x dp {}), "
                 "started with {}; start it with --ranks {}",
                 path, layout.ranks(), layout.tp, layout.dp, ranks ? ranks : 1,
                 layout.ranks());
  return layout;
}

PlacementShape placementShape(const schema::Artifact &artifact) {
  PlacementShape shape;
  shape.experts = artifact.model()->num_experts();
  shape.ranks = artifact.mesh()->ep();
  shape.slots = artifact.mesh()->slots();
  std::set<uint32_t> layers;
  for (const schema::Parameter *p : *artifact.parameters()) {
    if (p->layer() >= 0)
      layers.insert(static_cast<uint32_t>(p->layer()));
    if (p->generator() == schema::Generator::placement_table)
      shape.mostReplicas = shape.mostReplicas
                               ? std::min(shape.mostReplicas, p->replicas())
                               : p->replicas();
  }
  shape.layers.assign(layers.begin(), layers.end());
  return shape;
}

} // namespace hadal
