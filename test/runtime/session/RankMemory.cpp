// What each rank of a model allocates, for test/e2e/rank_memory.py.
//
//   RankMemory ARTIFACT WEIGHTS cpu|sim
//
// Loads the model as all its ranks, threads over loopback, runs a step of one
// token on each and prints a JSON array with an object a rank: bytes allocated
// of the device by name, bytes of weights used where they are on the host, and
// what the runtime planned. The workspace, which the device allocates itself,
// is that of its layout.
#include <map>
#include <thread>

#include <nlohmann/json.hpp>

#include "runtime/comm/loopback/Loopback.h"
#include "runtime/device/GpuProgram.h"
#include "runtime/drivers/CreateDriver.h"
#include "runtime/session/MemoryPlan.h"
#include "runtime/session/Session.h"
#include "test/runtime/session/ForwardingDriver.h"

using namespace hadal;

namespace {

class CountingDriver final : public test::ForwardingDriver {
public:
  using ForwardingDriver::ForwardingDriver;
  std::map<std::string, uint64_t> allocated;

  StatusOr<DeviceAddress> allocate(uint64_t bytes, MemoryUse use,
                                   std::string_view name) override {
    allocated[std::string(name)] += footprint(bytes);
    return ForwardingDriver::allocate(bytes, use, name);
  }
  void release(DeviceAddress address, uint64_t bytes) override {
    released += footprint(bytes);
    ForwardingDriver::release(address, bytes);
  }
  uint64_t released = 0;
};

StatusOr<nlohmann::json> measure(comm::Group *group, char **argv) {
  DeviceOptions device;
  device.device = argv[3];
  device.threads = 1;
  HADAL_ASSIGN_OR_RETURN(Artifact artifact, Artifact::open(argv[1]));
  HADAL_ASSIGN_OR_RETURN(std::unique_ptr<Driver> driver,
                         createDriver(device, artifact));
  auto counting = std::make_unique<CountingDriver>(std::move(driver));
  CountingDriver &counter = *counting;
  ModelOptions options;
  options.artifactPath = argv[1];
  options.weightsDirectory = argv[2];
  options.quiet = true;
  options.group = group;
  HADAL_ASSIGN_OR_RETURN(
      std::unique_ptr<Model> model,
      Model::load(std::move(counting), std::move(artifact), options));
  HADAL_ASSIGN_OR_RETURN(std::unique_ptr<Session> session,
                         Session::create(*model));
  HADAL_ASSIGN_OR_RETURN(uint32_t row, session->addRow());
  const int32_t token = 3;
  const StepRow step{row, {&token, 1}, LogitsWanted::Last};
  HADAL_RETURN_IF_ERROR(
      session->step({&step, 1}, [](size_t, uint64_t, std::span<const float>) {
        return Status();
      }));
  HADAL_RETURN_IF_ERROR(session->finish());

  const uint64_t pages =
      cachePagesFor(model->description(), session->options().maxRows);
  HADAL_ASSIGN_OR_RETURN(MemoryPlan plan,
                         counter.sharesHostMemory()
                             ? planSession(counter, model->artifact(), pages)
                             : planModel(counter, model->artifact(), pages));
  nlohmann::json result = {{"allocated", counter.allocated},
                           {"released", counter.released},
                           {"planned", plan.total() - plan.overhead},
                           {"host_weights", 0}};
  if (counter.sharesHostMemory()) {
    const WeightStatistics &s = model->weightStatistics();
    result["host_weights"] =
        s.mappedBytes + s.copiedBytes + s.misalignedBytes + s.generatedBytes;
  } else {
    // The device allocates it itself, by this layout.
    HADAL_ASSIGN_OR_RETURN(WorkspaceLayout layout,
                           layoutWorkspace(model->artifact().root()));
    result["allocated"]["workspace"] = counter.footprint(layout.bytes);
  }
  return result;
}

unsigned ranksOf(const char *path) {
  StatusOr<Artifact> artifact = Artifact::open(path);
  const schema::Mesh *mesh = artifact.ok() ? artifact->root().mesh() : nullptr;
  return mesh ? mesh->tp() * mesh->dp() : 1;
}

} // namespace

int main(int argc, char **argv) {
  if (argc != 4) {
    fmt::print(stderr, "usage: RankMemory ARTIFACT WEIGHTS cpu|sim\n");
    return 2;
  }
  const unsigned ranks = ranksOf(argv[1]);
  const std::shared_ptr<comm::LoopbackWorld> world =
      comm::LoopbackWorld::create(ranks);
  nlohmann::json results = nlohmann::json::array();
  results.get_ref<nlohmann::json::array_t &>().resize(ranks);
  std::vector<Status> statuses(ranks);
  std::vector<std::unique_ptr<comm::Group>> groups;
  for (unsigned r = 0; r < ranks; ++r)
    groups.push_back(world->join(r));
  std::vector<std::thread> threads;
  for (unsigned r = 0; r < ranks; ++r)
    threads.emplace_back([&, r] {
      auto measured = measure(ranks > 1 ? groups[r].get() : nullptr, argv);
      if (measured.ok()) {
        results[r] = *measured;
        return;
      }
      statuses[r] = measured.status();
      groups[r]->fail(statuses[r]);
    });
  for (std::thread &thread : threads)
    thread.join();
  for (const Status &status : statuses)
    if (!status.ok()) {
      fmt::print(stderr, "{}\n", status.toString());
      return 1;
    }
  fmt::print("{}\n", results.dump());
  return 0;
}
