// The targets and their spaces: the one place where they are registered.
#include "schedule/Price.h"

namespace hadal::schedule {

// Each in the file of its kind and target.
#define HADAL_DECLARE_SPACE(K)                                                 \
  const Space<kernels::K##Spec> &cpuSpace(const kernels::K##Spec *);           \
  const Space<kernels::K##Spec> &sm90aSpace(const kernels::K##Spec *);
HADAL_FOR_EACH_KERNEL(HADAL_DECLARE_SPACE)
#undef HADAL_DECLARE_SPACE
std::optional<cost::Prediction>
cpuPrice(const kernels::AnySpec &, const Machine &, const Words &);
std::optional<cost::Prediction>
sm90aPrice(const kernels::AnySpec &, const Machine &, const Words &);

// The overload is chosen by the type of the field.
#define HADAL_CPU_SPACE(K) cpuSpace,
#define HADAL_SM90A_SPACE(K) sm90aSpace,
static constexpr TargetSpaces kCpu = {"cpu", /*hasChips=*/false,
                                      /*hasRowPitch=*/false,
                                      HADAL_FOR_EACH_KERNEL(HADAL_CPU_SPACE)
                                      cpuPrice};
static constexpr TargetSpaces kSm90a = {
    "sm_90a", /*hasChips=*/true, /*hasRowPitch=*/true,
    HADAL_FOR_EACH_KERNEL(HADAL_SM90A_SPACE) sm90aPrice};
#undef HADAL_CPU_SPACE
#undef HADAL_SM90A_SPACE

constinit const Target Target::cpu(kCpu);
constinit const Target Target::sm90a(kSm90a);

const std::vector<Target> &allTargets() {
  static const std::vector<Target> targets = {Target::cpu, Target::sm90a};
  return targets;
}

std::optional<Target> findTarget(std::string_view name) {
  if (name.empty())
    return allTargets().front();
  for (Target target : allTargets())
    if (target.name() == name)
      return target;
  return std::nullopt;
}

std::optional<cost::Prediction> predict(const kernels::AnySpec &spec,
                                        Target target, const Machine &machine,
                                        const Words &words) {
  return target.price(spec, machine, words);
}

} // namespace hadal::schedule
