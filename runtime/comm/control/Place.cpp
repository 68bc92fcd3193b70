#include "runtime/comm/control/Place.h"

#include <tuple>

#include <fmt/format.h>

#include "runtime/comm/Printable.h"
#include "runtime/comm/RankList.h"

namespace hadal::comm {

PlaceRecord Place::record() const {
  PlaceRecord record;
  record.step = step;
  record.sequence = sequence;
  record.state = static_cast<uint32_t>(state);
  record.waitedMs =
      static_cast<uint32_t>(std::min<int64_t>(waited.count(), UINT32_MAX));
  record.firstMember = firstMember;
  record.lastMember = lastMember;
  record.doneSequence = doneSequence;
  record.doneStep = doneStep;
  setText(record.communicator, communicator);
  setText(record.entry, entry);
  setText(record.label, label);
  return record;
}

Place Place::of(const PlaceRecord &record) {
  Place place;
  place.step = record.step;
  place.sequence = record.sequence;
  if (record.state <= static_cast<uint32_t>(PlaceState::agreement))
    place.state = static_cast<PlaceState>(record.state);
  place.firstMember = record.firstMember;
  place.lastMember = record.lastMember;
  place.doneSequence = record.doneSequence;
  place.doneStep = record.doneStep;
  place.communicator = printable(textOf(record.communicator));
  place.entry = printable(textOf(record.entry));
  place.label = printable(textOf(record.label));
  place.waited = std::chrono::milliseconds(record.waitedMs);
  return place;
}

bool Place::hasDone(const Place &wait) const {
  return doneSequence != kNoCollective &&
         std::tie(doneStep, doneSequence) >= std::tie(wait.step, wait.sequence);
}

bool Place::equals(const Place &other) const {
  return step == other.step && sequence == other.sequence &&
         state == other.state && entry == other.entry && label == other.label &&
         communicator == other.communicator;
}

std::string describeCollective(const Place &place) {
  std::string text = fmt::format("collective {} '{}' of '{}'", place.sequence,
                                 place.label, place.communicator);
  if (!place.entry.empty())
    text += fmt::format(", entry {}, step {}", place.entry, place.step);
  return text;
}

std::string describeActivity(const Place &place) {
  switch (place.state) {
  case PlaceState::collective:
    return "waited at " + describeCollective(place);
  case PlaceState::agreement:
    return place.entry.empty()
               ? "waited for an agreement"
               : fmt::format("waited for the agreement after collective {} of "
                             "entry {}, step {}",
                             place.sequence, place.entry, place.step);
  case PlaceState::running:
    break;
  }
  if (place.entry.empty())
    return place.label.empty() ? "had not begun"
                               : fmt::format("did '{}'", place.label);
  return fmt::format("ran entry {} of step {}, after collective {}{}",
                     place.entry, place.step, place.sequence,
                     place.label.empty() ? ""
                                         : fmt::format(" '{}'", place.label));
}

std::string describePlaces(const std::vector<unsigned> &ranks,
                           const std::vector<Place> &places) {
  std::string text;
  std::vector<bool> done(places.size());
  for (unsigned rank : ranks) {
    if (done[rank])
      continue;
    std::vector<unsigned> together;
    for (unsigned other : ranks)
      if (!done[other] && places[other].equals(places[rank])) {
        together.push_back(other);
        done[other] = true;
      }
    if (!text.empty())
      text += "; ";
    text += rankList(together) + " " + describeActivity(places[rank]);
  }
  return text;
}

std::string describeRank(unsigned rank, const Identity &identity) {
  return fmt::format("rank {} (host {}, pid {})", rank,
                     printable(textOf(identity.host)), identity.pid);
}

} // namespace hadal::comm
