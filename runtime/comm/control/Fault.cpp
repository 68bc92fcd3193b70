#include "runtime/comm/control/Fault.h"

#ifdef HADAL_PLANT_FAULTS

#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <string>

#include <fcntl.h>
#include <unistd.h>

namespace hadal::comm {

namespace {

struct Fault {
  unsigned rank = 0;
  std::string at, action;
  std::atomic<int> times = 1;
  bool wanted = false;
};

/// The value of |key| in "key=value,key=value".
std::string_view valueOf(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    const std::string_view item = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), item.size() + 1));
    if (item.size() > key.size() && item.starts_with(key) &&
        item[key.size()] == '=')
      return item.substr(key.size() + 1);
  }
  return {};
}

int numberOf(std::string_view text, int otherwise) {
  int number = otherwise;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

Fault *makeFault() {
  auto *fault = new Fault; // read by threads until the process ends
  if (const char *text = std::getenv("HADAL_FAULT")) {
    fault->wanted = true;
    fault->rank = static_cast<unsigned>(numberOf(valueOf(text, "rank"), 0));
    fault->at = valueOf(text, "at");
    if (size_t colon = fault->at.find(':'); colon != std::string::npos)
      fault->at.replace(colon, 1, ", layer ");
    fault->action = valueOf(text, "do");
    fault->times = numberOf(valueOf(text, "times"), 1);
  }
  return fault;
}

} // namespace

void reachPlace(unsigned rank, std::string_view place) noexcept {
  static Fault *const fault = makeFault();
  if (!fault->wanted || fault->rank != rank || fault->at != place ||
      --fault->times != 0)
    return;
  if (const char *mark = std::getenv("HADAL_FAULT_MARK"))
    ::close(::open(mark, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  if (fault->action == "kill")
    ::kill(::getpid(), SIGKILL);
  else if (fault->action == "stop")
    ::kill(::getpid(), SIGSTOP);
  else if (fault->action == "exit")
    ::_exit(3);
  else
    for (volatile bool forever = true; forever;)
      ;
}

} // namespace hadal::comm

#endif
