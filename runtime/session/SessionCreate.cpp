// Creation of a session, its rows and their pages.
#include <algorithm>

#include "runtime/session/MemoryPlan.h"
#include "runtime/session/Session.h"

namespace hadal {

StatusOr<std::unique_ptr<Session>>
Session::create(Model &model, const SessionOptions &options) {
  std::unique_ptr<Session> session(new Session(model, options));
  HADAL_RETURN_IF_ERROR(session->initialize());
  return session;
}

Status Session::initialize() {
  HADAL_RETURN_IF_ERROR(completeCapacity(
      model_.description(), options_.maxRows, options_.cachePages));
  HADAL_ASSIGN_OR_RETURN(
      runner_, BatchRunner::create(model_, {options_.cachePages, options_.onRun,
                                            options_.collectives,
                                            options_.checkCollectives}));
  rows_.resize(options_.maxRows);
  // Descending, so that page 0 is taken first.
  for (uint64_t page = options_.cachePages; page-- > 0;)
    freePages_.push_back(static_cast<int32_t>(page));
  return {};
}

StatusOr<uint32_t> Session::addRow() {
  for (uint32_t i = 0; i < rows_.size(); ++i)
    if (!rows_[i].live) {
      rows_[i].live = true;
      return i;
    }
  return error(5005, "all {} rows are in use; remove one first", rows_.size());
}

Status Session::truncateRow(uint32_t row, uint64_t length) {
  if (row >= rows_.size() || !rows_[row].live)
    return error(5005, "row {} does not live", row);
  Row &r = rows_[row];
  if (length > r.length)
    return error(5005, "row {} has {} tokens, it cannot be cut to {}", row,
                 r.length, length);
  r.length = length;
  while (r.pages.size() > pagesFor(length)) {
    freePages_.push_back(r.pages.back());
    r.pages.pop_back();
  }
  return {};
}

Status Session::removeRow(uint32_t row) {
  HADAL_RETURN_IF_ERROR(truncateRow(row, 0));
  rows_[row].live = false;
  return {};
}

uint32_t Session::rows() const {
  return static_cast<uint32_t>(std::ranges::count_if(
      rows_, [](const Row &row) { return row.live; }));
}

uint64_t Session::length(uint32_t row) const {
  return row < rows_.size() && rows_[row].live ? rows_[row].length : 0;
}

uint64_t Session::pagesFor(uint64_t length) const {
  const uint64_t pageSize = model_.description().page_size();
  return (length + pageSize - 1) / pageSize;
}

} // namespace hadal
