#include "schedule/Attribute.h"

using namespace mlir;

namespace hadal::schedule {

tile::ScheduleAttr toAttribute(MLIRContext *context, const Schedule &schedule) {
  Builder b(context);
  SmallVector<NamedAttribute> words, given;
  for (const auto &[word, value] : schedule.words) {
    Attribute attribute;
    if (auto *number = std::get_if<int64_t>(&value))
      attribute = b.getI64IntegerAttr(*number);
    else if (auto *flag = std::get_if<bool>(&value))
      attribute = b.getBoolAttr(*flag);
    else
      attribute = b.getStringAttr(std::get<std::string>(value));
    words.push_back(b.getNamedAttr(word, attribute));
  }
  for (const auto &[word, origin] : schedule.given)
    given.push_back(
        b.getNamedAttr(word, b.getStringAttr(StringRef(toString(origin)))));
  return tile::ScheduleAttr::get(context, b.getDictionaryAttr(words),
                                 b.getDictionaryAttr(given));
}

std::optional<Schedule> fromAttribute(tile::ScheduleAttr attribute,
                                      std::string &error) {
  Schedule schedule;
  for (NamedAttribute word : attribute.getWords()) {
    Value &value = schedule.words[word.getName().str()];
    if (auto flag = dyn_cast<BoolAttr>(word.getValue())) {
      value = flag.getValue();
    } else if (auto number = dyn_cast<IntegerAttr>(word.getValue())) {
      value = number.getInt();
    } else if (auto text = dyn_cast<StringAttr>(word.getValue())) {
      value = text.str();
    } else {
      error = "the word '" + word.getName().str() +
              "' is neither a number, a flag nor a text";
      return std::nullopt;
    }
  }
  for (NamedAttribute word : attribute.getGiven())
    if (auto text = dyn_cast<StringAttr>(word.getValue())) {
      Origin &given = schedule.given[word.getName().str()] = Origin::option;
      for (Origin origin : {Origin::edit, Origin::tuned})
        if (text.getValue() == StringRef(toString(origin)))
          given = origin;
    }
  return schedule;
}

} // namespace hadal::schedule
