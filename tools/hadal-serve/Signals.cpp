#include "tools/hadal-serve/Signals.h"

#include <csignal>
#include <unistd.h>

namespace hadal::serve {

void watchSignals(std::function<void(int)> onEnd,
                  std::function<void()> onHangUp) {
  sigset_t set;
  sigemptyset(&set);
  for (int signal : {SIGINT, SIGTERM, SIGHUP})
    sigaddset(&set, signal);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  std::thread([set, onEnd = std::move(onEnd), onHangUp = std::move(onHangUp)] {
    bool ending = false;
    while (true) {
      int signal = 0;
      if (sigwait(&set, &signal))
        continue;
      if (signal == SIGHUP) {
        onHangUp();
        continue;
      }
      if (std::exchange(ending, true))
        _exit(128 + signal);
      onEnd(signal);
    }
  }).detach();
}

} // namespace hadal::serve
