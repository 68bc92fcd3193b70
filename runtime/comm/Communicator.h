// Collectives among the ranks of one communicator, and the stream in which a
// rank issues them. Nothing here knows devices or artifacts: addresses are what
// the driver's communication library reads (host pointers, or device pointers).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/DType.h"
#include "runtime/base/Status.h"

namespace hadal::comm {

using Address = uint64_t;
using Deadline = std::chrono::steady_clock::time_point;

/// With n ranks and a part of |rows| rows:
/// - allGather: send [rows], receive [n][rows] in rank order;
/// - reduceScatter: send [n][rows], receive [rows], the sum over ranks of block
///   rank();
/// - allReduce: send [rows], receive [rows], the sum over ranks;
/// - allToAll: send [n][rows], receive [n][rows]; block d goes to rank d, block
/// s
///   comes from rank s.
/// Sums are formed in f32 in rank order and rounded once, so that every rank
/// and every backend on the host gives equal bits
/// (Capabilities::rankOrderSums).
enum class Kind : uint8_t { allGather, reduceScatter, allReduce, allToAll };

std::string_view name(Kind kind);

/// One of the arrays that an operation moves. A send and a receive array never
/// overlap.
struct Part {
  Address send = 0, receive = 0;
  uint64_t rows = 0;     ///< of each peer's block
  uint64_t rowBytes = 0;
  DType dtype = DType::none; ///< of sums: f32 or bf16; else none
  /// allToAll: column of the counts that says how many of the rows are
  /// meant; -1: all of them.
  int countColumn = -1;
};

struct Operation {
  Kind kind = Kind::allToAll;
  std::vector<Part> parts;
  /// i32 [n][countStride] in the memory that the parts are in: rows that block d
  /// of each counted part really has (the rank's own counts, read when the
  /// operation starts). A backend with exact counts moves these alone; others
  /// move whole blocks. What lies beyond a count at the receiver means nothing.
  Address counts = 0;
  uint32_t countStride = 0;
  /// Number of the operation in its rank's program: equal on all ranks.
  uint64_t sequence = 0;
  /// For people: "dispatch of layer 17".
  std::string label;
};

struct Capabilities {
  bool exactCounts = false; ///< moves counted rows only
  /// run() works on host memory and blocks; else it is device-ordered, and
  /// enqueue() and await() work on a device's memory and stream.
  bool hostOrdered = false;
  /// Sums are formed as at Kind; else in an order and with roundings of the
  /// library's own.
  bool rankOrderSums = true;
};

/// A stream of a device as its library knows it: a CUstream.
using DeviceStream = void *;
/// Whether something has come about on the device; an error if it failed.
using DeviceTest = std::function<StatusOr<bool>()>;

/// The ranks of a communicator, as one of them sees them.
class Communicator {
public:
  virtual ~Communicator() = default;
  virtual std::string_view name() const = 0;
  /// Among its members, in their order.
  virtual unsigned rank() const = 0;
  virtual unsigned size() const = 0;
  virtual Capabilities capabilities() const = 0;
  /// Host-ordered backends: takes part in |operation| and returns when its
  /// receive arrays are complete and its send arrays may be reused. H6001 if a
  /// peer is gone or late, H6006 if another rank issued another operation, H6007
  /// if the library fails; after an error every further call fails as well.
  virtual Status run(const Operation &operation, Deadline deadline) = 0;

  // ---- Device-ordered backends; others refuse these with H6005.

  /// Puts |operation|, whose arrays are in the memory of the device that is
  /// current in the calling thread, on |stream|, also into a graph that is
  /// being captured from it (then by all ranks alike), and returns. H6001 after
  /// an abort, H6006 for what cannot be run, H6007 if the library fails.
  virtual Status enqueue(const Operation &operation, DeviceStream stream);
  /// Waits until |reached|, that the stream has come to |operation|, which was
  /// enqueued, and then for |timeout| at most until |done|. H6001 if a peer is
  /// gone or late, H6007 if the library fails, and the tests' errors.
  virtual Status await(const Operation &operation, const DeviceTest &reached,
                       const DeviceTest &done,
                       std::chrono::milliseconds timeout);
  /// Says that operations will often have their arrays in the |bytes| at
  /// |address|, which outlive the communicator. All members call it. H6007.
  virtual Status registerMemory(Address address, uint64_t bytes);

  /// Ends every call, now and later, with H6001. Any thread; twice is once.
  virtual void abort() noexcept = 0;
};

/// What a rank needs to run the collectives of a program: the communicators in
/// the order of the artifact, and the stream they run in.
class CommStream;
struct Endpoint {
  std::vector<Communicator *> communicators;
  CommStream *stream = nullptr; ///< of host-ordered communicators
  /// Of each operation of device-ordered ones.
  std::chrono::milliseconds timeout = std::chrono::seconds(30);
};

/// The one stream of collectives of a rank (host-ordered backends): a thread that
/// runs them in the order of enqueue, beside the rank's kernels.
class CommStream {
public:
  virtual ~CommStream() = default;
  /// Starts |operation| behind all earlier ones and returns its ticket, which
  /// rises by one. The parts are copied, what they point to is not.
  virtual uint64_t enqueue(Communicator &communicator, Operation operation) = 0;
  /// Waits until the operation |ticket| is complete; the first error of any so far.
  virtual Status wait(uint64_t ticket) = 0;
};

} // namespace hadal::comm
