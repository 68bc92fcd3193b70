#include <gtest/gtest.h>

#include "runtime/comm/control/Place.h"

namespace hadal::comm {
namespace {

Place waiting(uint64_t sequence) {
  Place place;
  place.step = 42;
  place.sequence = sequence;
  place.state = PlaceState::collective;
  place.entry = "decode_64";
  place.label = "dispatch, layer 17";
  place.communicator = "ep";
  return place;
}

TEST(Place, GroupsRanksThatAreAtOnePlace) {
  std::vector<Place> places(5, waiting(117));
  places[3] = waiting(118);
  places[4].state = PlaceState::running;
  places[4].sequence = 116;
  places[4].label.clear();
  EXPECT_EQ(describePlaces({0, 1, 2, 3, 4}, places),
            "ranks 0-2 waited at collective 117 'dispatch, layer 17' of "
            "'ep', entry decode_64, step 42; rank 3 waited at collective 118 "
            "'dispatch, layer 17' of 'ep', entry decode_64, step 42; rank 4 "
            "ran entry decode_64 "
            "of step 42, after collective 116");
}

TEST(Place, SaysWhatARankDoesBeforeItRuns) {
  Place place;
  EXPECT_EQ(describeActivity(place), "had not begun");
  place.label = "load weights";
  EXPECT_EQ(describeActivity(place), "did 'load weights'");
  place.state = PlaceState::agreement;
  EXPECT_EQ(describeActivity(place), "waited for an agreement");
}

TEST(Place, GoesThroughARecord) {
  Place place = waiting(117);
  place.firstMember = 4;
  place.lastMember = 7;
  place.waited = std::chrono::milliseconds(1234);
  const Place back = Place::of(place.record());
  EXPECT_TRUE(back.equals(place));
  EXPECT_EQ(back.firstMember, 4u);
  EXPECT_EQ(back.lastMember, 7u);
  EXPECT_EQ(back.waited, place.waited);
}

TEST(Place, KnowsWhichCollectivesARankHasDone) {
  Place place;
  EXPECT_FALSE(place.hasDone(waiting(0)));
  place.doneStep = 42;
  place.doneSequence = 117;
  EXPECT_TRUE(place.hasDone(waiting(116)));
  EXPECT_TRUE(place.hasDone(waiting(117)));
  EXPECT_FALSE(place.hasDone(waiting(118)));
  place.doneStep = 41;
  EXPECT_FALSE(place.hasDone(waiting(3)));
}

TEST(Place, OfABadRecordIsHarmless) {
  PlaceRecord record;
  record.state = 77;
  std::memset(record.entry, '\x1b', sizeof(record.entry)); // no end
  const Place place = Place::of(record);
  EXPECT_EQ(place.state, PlaceState::running);
  EXPECT_EQ(place.entry.substr(0, 8), "\\x1b\\x1b");
}

} // namespace
} // namespace hadal::comm
