#include "runtime/comm/control/FlightRecord.h"

#include <filesystem>

#include <nlohmann/json.hpp>

#include "runtime/base/OutputFile.h"
#include "runtime/comm/Printable.h"

namespace hadal::comm {

int64_t FlightRecord::now() const {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::steady_clock::now() - start_)
      .count();
}

void FlightRecord::begin(std::string_view communicator,
                         const Operation &operation, uint64_t bytes) {
  std::lock_guard lock(mutex_);
  // The oldest entry gives its texts' memory to the newest.
  Entry entry;
  if (entries_.size() == kEntries) {
    entry = std::move(entries_.front());
    entries_.pop_front();
  }
  entry.communicator = communicator;
  entry.label = operation.label;
  entry.kind = operation.kind;
  entry.sequence = operation.sequence;
  entry.bytes = bytes;
  entry.beginUs = now();
  entry.endUs = -1;
  entry.complete = false;
  entries_.push_back(std::move(entry));
}

void FlightRecord::end(bool complete) {
  std::lock_guard lock(mutex_);
  entries_.back().endUs = now();
  entries_.back().complete = complete;
}

Status FlightRecord::write(const std::string &directory, unsigned rank,
                           const Identity &identity, const Place &place,
                           const Status &reason) const {
  nlohmann::ordered_json json;
  json["hadal_flight_record"] = 1;
  json["rank"] = rank;
  json["host"] = printable(textOf(identity.host));
  json["pid"] = identity.pid;
  json["reason"] = printable(reason.toString());
  json["place"] = printable(describeActivity(place));
  {
    std::lock_guard lock(mutex_);
    json["now_us"] = now();
    auto &list = json["collectives"] = nlohmann::ordered_json::array();
    for (const Entry &entry : entries_) {
      nlohmann::ordered_json one;
      one["communicator"] = printable(entry.communicator);
      one["sequence"] = entry.sequence;
      one["label"] = printable(entry.label);
      one["kind"] = name(entry.kind);
      one["bytes"] = entry.bytes;
      one["begin_us"] = entry.beginUs;
      if (entry.endUs >= 0) {
        one["end_us"] = entry.endUs;
        one["complete"] = entry.complete;
      }
      list.push_back(std::move(one));
    }
  }
  std::error_code ignored; // creating the file says it better
  std::filesystem::create_directories(directory, ignored);
  HADAL_ASSIGN_OR_RETURN(
      OutputFile file,
      OutputFile::create(fmt::format("{}/rank-{}.json", directory, rank)));
  HADAL_RETURN_IF_ERROR(file.write(json.dump(1) + "\n"));
  return file.commit();
}

} // namespace hadal::comm
