// Inputs/corpus.json: the configurations of the family and of its neighbours,
// each of which parses without a warning or is refused with a code and a field.
#include "frontend/Error.h"
#include "frontend/ModelConfig.h"
#include "frontend/ModelFamily.h"
#include "test/Paths.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"
#include <gtest/gtest.h>

using namespace hadal;
namespace json = llvm::json;

namespace {

json::Value readJson(const std::string &path) {
  auto buffer = llvm::MemoryBuffer::getFile(path);
  if (!buffer) {
    ADD_FAILURE() << path << ": " << buffer.getError().message();
    return nullptr;
  }
  llvm::Expected<json::Value> value = json::parse((*buffer)->getBuffer());
  if (!value) {
    ADD_FAILURE() << path << ": " << llvm::toString(value.takeError());
    return nullptr;
  }
  return *value;
}

const json::Object &corpus() {
  static const json::Value value =
      readJson(HADAL_SOURCE_DIR "/test/frontend/Inputs/corpus.json");
  return *value.getAsObject();
}

/// Lays |changes| over |object|, objects key by key.
void lay(json::Object &object, const json::Object &changes) {
  for (const auto &[key, value] : changes) {
    json::Object *old = object.getObject(key);
    if (const json::Object *inner = value.getAsObject(); inner && old)
      lay(*old, *inner);
    else
      object[key] = value;
  }
}

json::Object configOf(const json::Object &entry) {
  json::Object config;
  if (auto model = entry.getString("model"))
    config =
        *readJson(HADAL_SOURCE_DIR "/models/" + model->str() + "/config.json")
             .getAsObject();
  else
    config = *entry.getObject("config");
  if (const json::Object *changes = entry.getObject("with"))
    lay(config, *changes);
  return config;
}

/// The text model of |config|, where it is inside a multi-modal one.
json::Object &textOf(json::Object &config) {
  json::Object *text = config.getObject("text_config");
  return text ? *text : config;
}

std::string nameOf(const json::Object &entry) {
  auto name = entry.getString("name");
  return (name ? *name : *entry.getString("model")).str();
}

llvm::Expected<ModelConfig> parse(json::Object object,
                                  const ConfigOptions &options = {}) {
  std::string text;
  llvm::raw_string_ostream(text) << json::Value(std::move(object));
  return parseModelConfig(text, "config.json", options);
}

void expectRefusal(llvm::Expected<ModelConfig> config, int code,
                   llvm::StringRef field) {
  ASSERT_FALSE(static_cast<bool>(config)) << "parsed; expected " << field.str();
  llvm::handleAllErrors(config.takeError(), [&](const CodedError &e) {
    std::string text;
    llvm::raw_string_ostream os(text);
    e.log(os);
    EXPECT_EQ(e.getCode(), code) << text;
    EXPECT_NE(text.find(field.str()), std::string::npos) << text;
  });
}

/// Parameters of the main layers, embedding and head; no indexers.
int64_t countParameters(const ModelConfig &c) {
  int64_t heads = c.heads;
  int64_t attention = c.hidden * (c.kvLoraRank + c.rope) + c.kvLoraRank +
                      c.kvLoraRank * heads * (c.nope + c.value) +
                      heads * c.value * c.hidden;
  int64_t q = heads * c.headWidth();
  attention += c.qLoraRank
                   ? c.hidden * c.qLoraRank + c.qLoraRank + c.qLoraRank * q
                   : c.hidden * q;
  int64_t expert = 3 * c.hidden * c.moeIntermediate;
  int64_t moe = (c.experts + c.sharedExperts) * expert + c.experts * c.hidden +
                (c.routerBias ? c.experts : 0);
  int64_t total = c.vocab * c.hidden * (c.tiedEmbeddings ? 1 : 2) + c.hidden;
  for (int64_t i = 0; i < c.layers; ++i)
    total += attention + 2 * c.hidden +
             (c.isMoe(i) ? moe : 3 * c.hidden * c.intermediate);
  return total;
}

} // namespace

// The counts are of the models' cards and of independent sums: a wrong width,
// layer or expert in models/ or in a row's default changes one.
TEST(ConfigCorpus, EachPlansOrIsRefusedByName) {
  for (const json::Value &value : *corpus().getArray("models")) {
    const json::Object &entry = *value.getAsObject();
    SCOPED_TRACE(nameOf(entry));
    llvm::Expected<ModelConfig> config = parse(configOf(entry));
    if (auto code = entry.getInteger("code")) {
      expectRefusal(std::move(config), *code, *entry.getString("field"));
      continue;
    }
    if (!config) {
      ADD_FAILURE() << llvm::toString(config.takeError());
      continue;
    }
    EXPECT_TRUE(config->warnings.empty()) << config->warnings.front();
    if (auto parameters = entry.getInteger("parameters")) {
      EXPECT_EQ(countParameters(*config), *parameters);
    }
  }
}

TEST(ConfigCorpus, FlippingOneOperatorFlagRefuses) {
  int64_t flipped = 0;
  for (const json::Value &value : *corpus().getArray("models")) {
    const json::Object &entry = *value.getAsObject();
    if (entry.get("code") || entry.get("with"))
      continue;
    for (const auto &[key, flag] : *corpus().getObject("flags")) {
      SCOPED_TRACE(nameOf(entry) + ", " + key.str());
      json::Object config = configOf(entry);
      textOf(config)[key] = flag;
      expectRefusal(parse(std::move(config)), 1005, key.str() + "'");
      ++flipped;
    }
    json::Object config = configOf(entry);
    lay(textOf(config), *corpus().getObject("off"));
    auto parsed = parse(std::move(config));
    EXPECT_TRUE(static_cast<bool>(parsed))
        << nameOf(entry) << ": " << llvm::toString(parsed.takeError());
  }
  EXPECT_GE(flipped, 16 * 27);
}

TEST(ConfigCorpus, UnknownKeysMayBeAllowedOutsideOfTheInnerObjects) {
  json::Object entry{{"model", "deepseek-v3"}};
  json::Object config = configOf(entry);
  config["an_operator_of_tomorrow"] = true;
  auto parsed = parse(config, {.allowUnknownKeys = true});
  ASSERT_TRUE(static_cast<bool>(parsed)) << llvm::toString(parsed.takeError());
  ASSERT_EQ(parsed->warnings.size(), 1u);
  EXPECT_EQ(parsed->warnings[0],
            "unknown key 'an_operator_of_tomorrow' is ignored");
  (*config.getObject("rope_scaling"))["short_factor"] = 1;
  expectRefusal(parse(std::move(config), {.allowUnknownKeys = true}), 1005,
                "unknown key 'rope_scaling.short_factor': what it changes is "
                "not known; remove it only if it changes nothing at inference");
}

TEST(ConfigCorpus, EachModelOfTheListIsTakenOrRefusedAsItSays) {
  for (const ModelFamily &family : modelFamilies()) {
    SCOPED_TRACE(family.modelType.str());
    EXPECT_EQ(findModelFamily(family.modelType), &family);
    EXPECT_EQ(missingOperators(family.modelType), "");
    EXPECT_FALSE(family.models.empty());
  }
  for (const OutsideModel &model : outsideModels()) {
    llvm::StringRef name = model.modelType;
    std::string type =
        name.consume_back("*") ? name.str() + "_next" : name.str();
    SCOPED_TRACE(type);
    EXPECT_EQ(findModelFamily(type), nullptr);
    expectRefusal(parse(json::Object{{"model_type", type}}), 1005,
                  "'model_type' \"" + type + "\" is not supported: it needs " +
                      model.missing.str());
  }
}

TEST(ConfigCorpus, TheListIsThePageOfTheManual) {
  auto page = llvm::MemoryBuffer::getFile(HADAL_SOURCE_DIR "/docs/models.md");
  ASSERT_TRUE(static_cast<bool>(page));
  EXPECT_TRUE((*page)->getBuffer() == modelListPage())
      << "write it with hadal-compile --list-models > docs/models.md";
}
