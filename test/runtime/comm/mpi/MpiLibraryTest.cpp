// What is refused before any MPI runs, and the messages between ranks.
#include <cstdlib>
#include <random>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/comm/mpi/Message.h"
#include "runtime/comm/mpi/Mpi.h"
#include "test/runtime/TempDirectory.h"

namespace hadal::comm {
namespace {

/// What openMpi() says with HADAL_LIBMPI=|library|, in a process of its own:
/// the first call of a process decides for all.
std::string refusal(const char *library) {
  test::TempDirectory directory;
  const pid_t child = ::fork();
  if (child == 0) {
    ::setenv("HADAL_LIBMPI", library, 1);
    const Status first = openMpi(0, 2).status(), again = openMpi(0, 2).status();
    directory.write("said", first.message() == again.message()
                                ? first.toString()
                                : "two calls differ");
    ::_exit(0);
  }
  ::waitpid(child, nullptr, 0);
  return directory.read("said");
}

TEST(MpiLibrary, SaysThatItIsMissing) {
  const std::string said = refusal("/nonexistent/libmpi.so");
  for (std::string_view text :
       {"error H6005: cannot open '/nonexistent/libmpi.so'", "openmpi-bin",
        "HADAL_LIBMPI"})
    EXPECT_NE(said.find(text), std::string::npos) << said;
}

TEST(MpiLibrary, RefusesAnotherAbiByName) {
  const std::string said = refusal(HADAL_NO_MPI);
  for (std::string_view text :
       {"error H6005: '" HADAL_NO_MPI "' has no ompi_mpi_comm_world",
        "it is not Open MPI"})
    EXPECT_NE(said.find(text), std::string::npos) << said;
}

// ---- messages

constexpr uint64_t kRows = 5, kRowBytes = 600;

struct Arrays {
  std::vector<uint8_t> send = std::vector<uint8_t>(2 * kRows * kRowBytes),
                       received = std::vector<uint8_t>(2 * kRows * kRowBytes);
  std::vector<int32_t> counts;
  Operation operation;
  explicit Arrays(std::vector<int32_t> rows) : counts(std::move(rows)) {
    operation.kind = Kind::allToAll;
    operation.sequence = 7;
    operation.label = "dispatch \x1b";
    operation.counts = reinterpret_cast<Address>(counts.data());
    operation.countStride = 1;
    operation.parts.push_back({reinterpret_cast<Address>(send.data()),
                               reinterpret_cast<Address>(received.data()),
                               kRows, kRowBytes, DType::none, 0});
  }
};

MessageHead headOf(const Message &message) {
  MessageHead head;
  std::memcpy(&head, message.head.data(), sizeof(head));
  return head;
}

TEST(Message, HoldsTheRowsThatCount) {
  Arrays arrays({3, 5});
  for (size_t i = 0; i < arrays.send.size(); ++i)
    arrays.send[i] = static_cast<uint8_t>(i % 251);
  auto few = pack("ep", 2, 0, 0, arrays.operation);
  ASSERT_TRUE(few.ok());
  EXPECT_EQ(few->head.size(), sizeof(MessageHead) + 3 * kRowBytes);
  EXPECT_TRUE(few->data.empty());
  auto many = pack("ep", 2, 0, 1, arrays.operation);
  ASSERT_TRUE(many.ok());
  EXPECT_EQ(many->head.size(), sizeof(MessageHead));
  ASSERT_EQ(many->data.size(), 5 * kRowBytes); // beyond what is inlined
  EXPECT_EQ(many->data[0], arrays.send[kRows * kRowBytes]);
  auto operation = operationOf(headOf(*many));
  ASSERT_TRUE(operation.ok());
  EXPECT_EQ(operation->sequence, 7u);
  EXPECT_EQ(operation->label, "dispatch \\x1b");
  EXPECT_EQ(operation->parts[0].rows, kRows);
  // Both as member 0's: what lies beyond the counts stays as it is.
  unpack(0, arrays.operation, {headOf(*few), headOf(*many)},
         {few->head.data() + sizeof(MessageHead), many->data.data()});
  EXPECT_EQ(
      std::vector(arrays.received.begin(),
                  arrays.received.begin() + 3 * kRowBytes),
      std::vector(arrays.send.begin(), arrays.send.begin() + 3 * kRowBytes));
  EXPECT_EQ(arrays.received[3 * kRowBytes], 0);
  EXPECT_EQ(arrays.received.back(), arrays.send.back());
}

TEST(Message, OfNoOperationIsRefused) {
  Arrays arrays({1, 1});
  const MessageHead good = headOf(*pack("ep", 2, 0, 1, arrays.operation));
  ASSERT_TRUE(operationOf(good).ok());
  const std::function<void(MessageHead &)> damages[] = {
      [](MessageHead &h) { h.kind = 4; },
      [](MessageHead &h) { h.parts = kMaxParts + 1; },
      [](MessageHead &h) { h.shapes[0].sent = kRows + 1; },
      [](MessageHead &h) { ++h.dataBytes; },
      [](MessageHead &h) {
        h.shapes[0].rows = h.shapes[0].sent = 1ull << 60;
        h.shapes[0].rowBytes = 1ull << 60;
      }};
  for (const auto &damage : damages) {
    MessageHead head = good;
    damage(head);
    test::expectError(operationOf(head).status(), 6007,
                      {"announces no operation"});
  }
  std::mt19937_64 random(5);
  for (int i = 0; i < 20'000; ++i) {
    MessageHead head = good;
    auto *bytes = reinterpret_cast<uint8_t *>(&head);
    for (int n = 0; n < 4; ++n)
      bytes[random() % sizeof(head)] = static_cast<uint8_t>(random());
    if (auto operation = operationOf(head); operation.ok()) {
      ASSERT_LE(operation->parts.size(), kMaxParts);
    }
  }
}

} // namespace
} // namespace hadal::comm
