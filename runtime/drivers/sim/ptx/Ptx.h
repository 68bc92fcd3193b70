// PTX text to decoded kernels.
#pragma once

#include <memory>
#include <string_view>

#include "runtime/base/Status.h"
#include "runtime/drivers/sim/ptx/Instruction.h"

namespace hadal::sim {

/// A `.global` or `.const` variable with its initial bytes.
struct ModuleVariable {
  std::string name;
  uint64_t bytes = 0, align = 1;
  std::vector<uint8_t> init; ///< empty = undefined contents
  bool constant = false;
};

/// A parsed module. Parsing decodes every instruction; whatever sim does not
/// model is refused there.
class PtxModule {
public:
  /// Errors: H5021 names the line and the instruction, modifier or directive
  /// that is not modelled or not PTX.
  static StatusOr<std::shared_ptr<const PtxModule>> parse(std::string_view text);

  const Kernel *find(std::string_view name) const;
  const std::vector<Kernel> &kernels() const { return kernelList; }
  const std::vector<ModuleVariable> &variables() const { return variableList; }

  /// Unique among the modules of the process.
  uint64_t id() const { return identity; }

private:
  friend class ModuleParser;
  uint64_t identity = 0;
  std::vector<Kernel> kernelList;
  std::vector<ModuleVariable> variableList;
};

} // namespace hadal::sim
