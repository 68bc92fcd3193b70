#include "runtime/engine/Ticket.h"

#include <thread>

#include <gtest/gtest.h>

using namespace hadal;
using namespace hadal::engine;

namespace {

Delta textDelta(std::string text, int32_t id) {
  Delta delta;
  delta.text = std::move(text);
  delta.ids = {id};
  return delta;
}

TEST(TicketTest, putsTogetherWhatNobodyTook) {
  int notified = 0;
  Ticket ticket(7, {.prompt = {1}, .choices = 2}, 5, [&] { ++notified; });
  EXPECT_TRUE(ticket.take(0).empty());
  ticket.notifyReader();
  EXPECT_EQ(notified, 0);
  ticket.put(0, textDelta("a", 1));
  ticket.put(0, textDelta("b", 2));
  ticket.put(1, textDelta("x", 3));
  ticket.notifyReader();
  ticket.put(0, textDelta("c", 4));
  ticket.notifyReader(); // nothing has been taken
  EXPECT_EQ(notified, 1);
  Delta delta = ticket.take(0);
  EXPECT_EQ(delta.text, "abc");
  EXPECT_EQ(delta.ids, (std::vector<int32_t>{1, 2, 4}));
  EXPECT_TRUE(ticket.take(0).empty());
  EXPECT_EQ(ticket.take(1).text, "x");
  EXPECT_TRUE(ticket.take(2).empty());
  Delta end;
  end.finish = FinishReason::Stop;
  ticket.put(0, end);
  ticket.notifyReader();
  EXPECT_EQ(notified, 2);
  EXPECT_FALSE(ticket.ended());
  ticket.put(1, end);
  EXPECT_TRUE(ticket.ended());
  EXPECT_EQ(ticket.take(1).finish, FinishReason::Stop);
}

TEST(TicketTest, losesNothingBetweenThreads) {
  std::atomic<bool> woken = false;
  Ticket ticket(1, {.prompt = {1}}, 0, [&] {
    woken = true;
    woken.notify_one();
  });
  constexpr int kTokens = 20000;
  std::thread writer([&] {
    for (int32_t id = 0; id < kTokens; ++id) {
      Delta delta = textDelta("", id);
      if (id == kTokens - 1)
        delta.finish = FinishReason::Length;
      ticket.put(0, std::move(delta));
      ticket.notifyReader();
    }
  });
  std::vector<int32_t> ids;
  while (true) {
    woken.wait(false);
    woken = false;
    Delta delta = ticket.take(0);
    ids.insert(ids.end(), delta.ids.begin(), delta.ids.end());
    if (delta.finish != FinishReason::None)
      break;
  }
  writer.join();
  ASSERT_EQ(ids.size(), size_t(kTokens));
  for (int32_t id = 0; id < kTokens; ++id)
    ASSERT_EQ(ids[static_cast<size_t>(id)], id);
}

} // namespace
