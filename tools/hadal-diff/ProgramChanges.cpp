// The program: entries by name, commands by the model operations that they are.
#include <algorithm>
#include <map>

#include "tools/common/SpecJson.h"
#include "tools/hadal-diff/Align.h"
#include "tools/hadal-diff/Differences.h"
#include "tools/hadal-diff/MatchKernels.h"
#include "tools/hadal-inspect/Sections.h"

namespace hadal::diff {

namespace {

/// What a command is, whatever runs it: the operations of a launch, the label
/// of a collective, the callee.
std::string keyOf(const Json &command) {
  if (command.contains("op"))
    return command["op"].get<std::string>() + " [" + command["members"].dump() +
           "]";
  for (const char *word : {"label", "callee", "kernel"})
    if (command.contains(word))
      return command["kind"].get<std::string>() + " " +
             command[word].get<std::string>();
  return command["text"];
}

/// A command by its name in a sentence.
std::string nameOf(const Json &command) {
  for (const char *word : {"op", "label", "callee", "kernel"})
    if (command.contains(word))
      return command[word];
  return command["text"];
}

using Members = std::set<std::string>;

Members membersOf(const Json &command) {
  Members members;
  if (command.contains("members"))
    for (const Json &member : command["members"])
      members.insert(member.get<std::string>());
  return members;
}

/// Finds commands of |parts| that together have the members of |whole|, and
/// takes them from there. Empty unless there are two.
std::vector<std::string> takeParts(const Json &whole,
                                   std::vector<const Json *> &parts) {
  const Members wanted = membersOf(whole);
  std::vector<std::string> names;
  auto isPart = [&](const Json *part) {
    const Members members = membersOf(*part);
    return !members.empty() && std::includes(wanted.begin(), wanted.end(),
                                             members.begin(), members.end());
  };
  if (std::count_if(parts.begin(), parts.end(), isPart) < 2)
    return {};
  for (const Json *part : parts)
    if (isPart(part))
      names.push_back(nameOf(*part));
  std::erase_if(parts, isPart);
  return names;
}

/// The kernels of both artifacts.
struct KernelPairs {
  std::map<std::string, std::string> names; ///< of b by those of a
  std::map<std::string, Json> specsA, specsB;

  KernelPairs(const schema::Artifact &a, const schema::Artifact &b) {
    const auto matched = matchKernels(a, b);
    for (unsigned k = 0; k < matched.size(); ++k) {
      const schema::Kernel &kernel = *a.kernels()->Get(k);
      specsA[kernel.name()->str()] = specJson(kernel.spec());
      if (matched[k])
        names[kernel.name()->str()] =
            b.kernels()->Get(*matched[k])->name()->str();
    }
    for (const schema::Kernel *kernel : *b.kernels())
      specsB[kernel->name()->str()] = specJson(kernel->spec());
  }
};

class FunctionDiff {
public:
  FunctionDiff(const std::string &name, const Json &a, const Json &b,
               const KernelPairs &kernels, Changes &changes)
      : name(name), a(a), b(b), kernels(kernels), changes(changes) {}

  void run() {
    auto keysOf = [](const Json &function) {
      std::vector<std::string> keys;
      for (const Json &command : function["commands"])
        keys.push_back(keyOf(command));
      return keys;
    };
    const auto pairs = align(keysOf(a), keysOf(b));
    changes.compareFields("program", name, a, b, {"commands"});
    if (!pairs) {
      changes.compare("program", name, "commands, too many to align",
                      fmt::format("{}", a["commands"].size()),
                      fmt::format("{}", b["commands"].size()));
      return;
    }
    for (const Aligned &pair : *pairs)
      if (pair.a && pair.b)
        comparePair(a["commands"][*pair.a], b["commands"][*pair.b]);
      else if (pair.a)
        gone.push_back(&a["commands"][*pair.a]);
      else
        added.push_back(&b["commands"][*pair.b]);
    reportMoved();
    reportFused();
    for (const Json *command : gone)
      changes.add({"program", name, (*command)["text"], "", std::nullopt});
    for (const Json *command : added)
      changes.add({"program", name, (*command)["text"], std::nullopt, ""});
  }

private:
  void comparePair(const Json &mine, const Json &theirs) {
    if (mine == theirs)
      return;
    const std::string subject = name + ", " + nameOf(mine);
    // A kernel that is only called otherwise is no change of the program.
    if (mine.contains("kernel") && theirs.contains("kernel")) {
      const std::string kernel = mine["kernel"], other = theirs["kernel"];
      auto it = kernels.names.find(kernel);
      if (it == kernels.names.end() || it->second != other) {
        changes.compare("program", subject, "kernel", kernel, other);
        changes.compareFields("program", subject, kernels.specsA.at(kernel),
                              kernels.specsB.at(other));
      }
    }
    if (mine.contains("args"))
      changes.compareFields("program", subject, mine["args"], theirs["args"]);
    changes.compareFields("program", subject, mine, theirs,
                          {"text", "args", "kernel"});
    if (mine["kind"] == "collective")
      changes.compare("program", subject, "", mine["text"], theirs["text"]);
  }

  void reportMoved() {
    std::vector<const Json *> staying;
    for (const Json *command : gone) {
      auto it =
          std::find_if(added.begin(), added.end(), [&](const Json *other) {
            return keyOf(*command) == keyOf(*other);
          });
      if (it == added.end()) {
        staying.push_back(command);
        continue;
      }
      const std::string subject = name + ", " + nameOf(*command);
      changes.add({"program", subject, "place",
                   fmt::format("{}", placeOf(a, *command)),
                   fmt::format("{}", placeOf(b, **it))});
      comparePair(*command, **it);
      added.erase(it);
    }
    gone = std::move(staying);
  }

  void reportFused() {
    std::erase_if(added, [&](const Json *whole) {
      return report("fused", takeParts(*whole, gone), {nameOf(*whole)});
    });
    std::erase_if(gone, [&](const Json *whole) {
      return report("split", takeParts(*whole, added), {nameOf(*whole)});
    });
  }

  bool report(const char *what, std::vector<std::string> parts,
              const std::string &whole) {
    if (parts.empty())
      return false;
    std::string list = fmt::format("{}", fmt::join(parts, ", "));
    const bool isFused = std::string_view(what) == "fused";
    changes.add({"program", name, what, isFused ? list : whole,
                 isFused ? whole : list});
    return true;
  }

  static size_t placeOf(const Json &function, const Json &command) {
    return static_cast<size_t>(&command - &function["commands"][0]);
  }

  const std::string &name;
  const Json &a, &b;
  const KernelPairs &kernels;
  Changes &changes;
  std::vector<const Json *> gone, added;
};

} // namespace

void compareProgram(const Artifact &a, const Artifact &b, Changes &changes) {
  Json mine = inspect::program(a), theirs = inspect::program(b);
  auto meshOf = [](const Json &program) {
    return program.contains("mesh") ? program["mesh"] : Json::object();
  };
  changes.compareFields("program", "mesh", meshOf(mine), meshOf(theirs));
  // The arenas are memory; a digest only says what the commands say.
  for (Json *program : {&mine, &theirs})
    for (Json &entry : (*program)["entries"]) {
      entry.erase("arena_bytes");
      entry.erase("collective_digest");
    }
  changes.compareRows("program", "entry", mine["entries"], theirs["entries"]);
  const KernelPairs kernels(a.root(), b.root());
  for (const auto &[name, function] : mine["functions"].items())
    if (theirs["functions"].contains(name))
      FunctionDiff(name, function, theirs["functions"][name], kernels, changes)
          .run();
    else
      changes.add({"program", "function " + name, "", "", std::nullopt});
  for (const auto &[name, function] : theirs["functions"].items())
    if (!mine["functions"].contains(name))
      changes.add({"program", "function " + name, "", std::nullopt, ""});
}

} // namespace hadal::diff
