// A rank that behaves as a model's does, without a model: it joins, loads, and
// steps through layers of dispatch and return with agreements between.
// faults.py plants faults in it. Exits as hadal's tools do.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <thread>

#include <unistd.h>

#include "runtime/base/Interrupt.h"
#include "runtime/comm/Agreement.h"
#include "runtime/comm/QueueStream.h"
#include "runtime/comm/control/Launch.h"
#include "runtime/comm/mpi/Mpi.h"

using namespace hadal;
using namespace hadal::comm;
using namespace std::chrono_literals;

namespace {

constexpr unsigned kSteps = 6, kLayers = 8;
constexpr uint64_t kRows = 16, kRowBytes = 512;

int64_t number(const char *name, int64_t otherwise) {
  const char *text = std::getenv(name);
  return text ? std::atoll(text) : otherwise;
}

class Worker {
public:
  Status run() {
    HADAL_ASSIGN_OR_RETURN(std::optional<LaunchedRank> rank,
                           launchedRank(::getenv));
    if (!rank)
      return error(5011, "mpirun starts this test");
    HADAL_ASSIGN_OR_RETURN(GroupOptions options,
                           groupOptions(*rank, "", ::getenv));
    timeout = std::chrono::milliseconds(number("WORKER_TIMEOUT_MS", 2000));
    options.leaveTimeout = timeout;
    options.joinTimeout = 3 * timeout / 2;
    options.exitAfter = 5s;
    options.interrupt = &interruptFlag();
    options.openDataPlane = [](Group &group) {
      return openMpi(group.rank(), group.size());
    };
    options.onFailure = printFailure;
    if (const char *directory = std::getenv("WORKER_FLIGHTS"))
      options.flightRecord = directory;
    HADAL_ASSIGN_OR_RETURN(group, joinGroup(std::move(options)));
    Status status = work();
    if (!status.ok())
      group->fail(status);
    stream.reset();
    communicator.reset();
    group.reset();
    return status;
  }

private:
  Deadline deadline(std::chrono::milliseconds more = 0ms) const {
    return std::chrono::steady_clock::now() + timeout + more;
  }

  Status work() {
    group->report({.label = "load weights"});
    std::this_thread::sleep_for(20ms);
    HADAL_RETURN_IF_ERROR(
        agree(*group, {.host = "here", .artifact = 1}, deadline()));
    std::vector<unsigned> members;
    for (unsigned r = 0; r < group->size(); ++r)
      members.push_back(r);
    HADAL_ASSIGN_OR_RETURN(communicator, group->create("ep", members));
    StreamOptions options;
    options.timeout = timeout;
    stream = createQueueStream(options);
    const uint64_t bytes = kRows * kRowBytes * group->size();
    send.assign(bytes, static_cast<uint8_t>(group->rank()));
    received.assign(bytes, 0);
    for (uint64_t step = 0; step < kSteps; ++step) {
      HADAL_RETURN_IF_ERROR(group->exchange({}, deadline()).status());
      HADAL_RETURN_IF_ERROR(runStep(step));
      std::this_thread::sleep_for(3ms);
    }
    group->report({.label = "idle"});
    return group->exchange({}, deadline()).status();
  }

  Status runStep(uint64_t step) {
    uint64_t sequence = 0;
    for (unsigned layer = 0; layer < kLayers; ++layer)
      for (const char *what : {"dispatch", "return", "gather"}) {
        if (std::strcmp(what, "gather") == 0 && layer + 1 < kLayers)
          continue; // as of the head
        group->report(
            {.step = step, .sequence = sequence, .entry = "decode_4"});
        std::this_thread::sleep_for(500us);
        HADAL_RETURN_IF_ERROR(
            move(fmt::format("{}, layer {}", what, layer), sequence++));
      }
    return {};
  }

  Status move(std::string label, uint64_t sequence) {
    Operation operation;
    operation.sequence = sequence;
    operation.label = std::move(label);
    operation.parts.push_back({reinterpret_cast<Address>(send.data()),
                               reinterpret_cast<Address>(received.data()),
                               kRows, kRowBytes});
    HADAL_RETURN_IF_ERROR(
        stream->wait(stream->enqueue(*communicator, std::move(operation))));
    for (unsigned r = 0; r < group->size(); ++r)
      if (received[r * kRows * kRowBytes] != r)
        return error(5014, "block {} is of rank {}", r,
                     received[r * kRows * kRowBytes]);
    return {};
  }

  std::chrono::milliseconds timeout{};
  std::unique_ptr<Group> group;
  std::unique_ptr<Communicator> communicator;
  std::unique_ptr<CommStream> stream;
  std::vector<uint8_t> send, received;
};

} // namespace

int main() {
  watchInterrupts(1000ms);
  if (const char *directory = std::getenv("WORKER_PIDS"))
    if (const char *rank = std::getenv("OMPI_COMM_WORLD_RANK"))
      if (std::FILE *file = std::fopen(
              fmt::format("{}/pid-{}", directory, rank).c_str(), "w")) {
        fmt::print(file, "{}\n", ::getpid());
        std::fclose(file);
      }
  const Status status = Worker().run();
  if (status.ok())
    return 0;
  printFailure(status);
  return status.exitCode();
}
