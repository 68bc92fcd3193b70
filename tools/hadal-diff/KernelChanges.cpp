// Kernels: which there are, what they are, how they do it, what became of them.
#include <map>

#include "tools/common/SpecJson.h"
#include "tools/hadal-diff/Differences.h"
#include "tools/hadal-diff/MatchKernels.h"
#include "tools/hadal-inspect/Sections.h"

namespace hadal::diff {

using namespace schema;

namespace {

/// Columns of hadal-inspect that are compared in parts, or follow from those.
const std::set<std::string> kInParts = {"name", "schedule", "spec", "facts"};

std::string originText(const ScheduleWord &word) {
  return fmt::format("{} ({})", word.value()->string_view(),
                     EnumNameScheduleOrigin(word.origin()));
}

void compareWords(const std::string &name, const Kernel &a, const Kernel &b,
                  Changes &changes) {
  auto wordsOf = [](const Kernel &kernel) {
    Json words = Json::object();
    if (kernel.words())
      for (const ScheduleWord *word : *kernel.words())
        words[word->word()->str()] = originText(*word);
    return words;
  };
  changes.compareFields("schedule", name, wordsOf(a), wordsOf(b));
}

void compareFacts(const std::string &name, const Kernel &a, const Kernel &b,
                  const Json &columns, Changes &changes) {
  auto factsOf = [&](const Kernel &kernel) {
    Json facts = Json::object();
    for (const KernelFact *fact : *kernel.facts())
      if (!columns.contains(fact->key()->str()))
        facts[fact->key()->str()] = fact->value()->str();
    return facts;
  };
  changes.compareFields("kernels", name, factsOf(a), factsOf(b));
}

/// Digests of a kernel's code by variant.
Json codeOf(const schema::Artifact &root, const Kernel &kernel) {
  Json code = Json::object();
  if (kernel.code())
    for (const KernelCode *one : *kernel.code())
      code[one->variant()->str() + " code"] =
          fmt::format("{:016x}", root.blobs()->Get(one->blob())->xxh3());
  return code;
}

/// The images of the CPU hold the code of all kernels.
Json imagesOf(const schema::Artifact &root) {
  Json images = Json::object();
  for (const Image *image : *root.images())
    images[image->variant()->str()] =
        fmt::format("{:016x}", root.blobs()->Get(image->blob())->xxh3());
  return images;
}

} // namespace

void compareKernels(const hadal::Artifact &a, const hadal::Artifact &b,
                    Changes &changes) {
  const auto matched = matchKernels(a.root(), b.root());
  const Json rowsA = inspect::kernels(a), rowsB = inspect::kernels(b);
  std::set<unsigned> found;
  for (unsigned k = 0; k < matched.size(); ++k) {
    const Kernel &mine = *a.root().kernels()->Get(k);
    const std::string name = mine.name()->str();
    if (!matched[k]) {
      changes.add({"kernels", name, "", "", std::nullopt});
      continue;
    }
    found.insert(*matched[k]);
    const Kernel &theirs = *b.root().kernels()->Get(*matched[k]);
    changes.compare("kernels", name, "name", name, theirs.name()->str());
    changes.compareFields("kernels", name, specJson(mine.spec()),
                          specJson(theirs.spec()));
    compareWords(name, mine, theirs, changes);
    const Json &row = rowsA[k];
    changes.compareFields("kernels", name, row, rowsB[*matched[k]], kInParts);
    compareFacts(name, mine, theirs, row, changes);
    changes.compareFields("kernels", name, codeOf(a.root(), mine),
                          codeOf(b.root(), theirs));
  }
  for (unsigned k = 0; k < b.root().kernels()->size(); ++k)
    if (!found.contains(k))
      changes.add({"kernels", b.root().kernels()->Get(k)->name()->str(), "",
                   std::nullopt, ""});
  changes.compareFields("kernels", "code of image", imagesOf(a.root()),
                        imagesOf(b.root()));
}

} // namespace hadal::diff
