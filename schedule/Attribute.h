// Schedules as attributes of tile kernels.
#pragma once

#include <optional>

#include "dialects/Tile/IR/TileDialect.h"
#include "schedule/Words.h"

namespace hadal::schedule {

tile::ScheduleAttr toAttribute(mlir::MLIRContext *context,
                               const Schedule &schedule);
/// Null, with |error| set, if a word is neither a number, a flag nor a text.
std::optional<Schedule> fromAttribute(tile::ScheduleAttr attribute,
                                      std::string &error);

} // namespace hadal::schedule
