// What a checker of shared-memory accesses is told.
#pragma once

#include <cstdint>

namespace hadal::sim {

class Exec;

/// `atomic` is a strong write, with or without a read.
enum class AccessKind : uint8_t { read, write, atomic, strongRead };

/// Follows the accesses and the synchronisation of one CTA. Calls come in the
/// order of execution. Lanes outside |lanes| have no address.
class SharedMonitor {
public:
  virtual ~SharedMonitor() = default;

  /// Generic-proxy access of |bytes| a lane at shared addresses
  /// |addresses|[lane] (window base included).
  virtual void access(Exec &exec, uint32_t lanes, const uint32_t *addresses,
                      unsigned bytes, AccessKind kind) = 0;
  /// bar.sync / bar.arrive / bar.red |id|: a warp arrives ...
  virtual void barrierArrive(unsigned warp, unsigned id) = 0;
  /// ... and, once the barrier completed, each waiting warp goes on.
  virtual void barrierDepart(unsigned warp, unsigned id) = 0;
  /// Lanes of one warp synchronised with each other (bar.warp.sync, shfl, ...).
  virtual void warpSync(unsigned warp, uint32_t lanes) = 0;
  /// fence.proxy.async that covers shared memory.
  virtual void proxyFence(unsigned warp, uint32_t lanes) = 0;
  /// barrier.cluster.arrive and the return of .wait.
  virtual void clusterArrive(unsigned warp) = 0;
  virtual void clusterDepart(unsigned warp) = 0;
};

} // namespace hadal::sim
