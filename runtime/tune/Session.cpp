#include "runtime/tune/Session.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#include "runtime/base/Json.h"

namespace hadal::tune {

namespace {

constexpr int kInterrupted = 5016;

StatusOr<std::string> textOf(const Json &object, const char *member,
                             const std::string &what) {
  auto at = object.find(member);
  if (at == object.end() || !at->is_string())
    return error(5011, "{}: '{}' must be a text", what, member);
  return at->get<std::string>();
}

StatusOr<PlannedKernel> kernelFrom(const Json &json, const std::string &what) {
  if (!json.is_object() || !json.contains("candidates") ||
      !json["candidates"].is_array())
    return error(5011,
                 "{}: a kernel must be an object with an array "
                 "'candidates'",
                 what);
  PlannedKernel kernel;
  HADAL_ASSIGN_OR_RETURN(kernel.name, textOf(json, "name", what));
  for (const Json &each : json["candidates"]) {
    const std::string where = what + ", kernel " + kernel.name;
    if (!each.is_object())
      return error(5011, "{}: a candidate must be an object", where);
    PlannedCandidate candidate;
    HADAL_ASSIGN_OR_RETURN(candidate.name, textOf(each, "name", where));
    HADAL_ASSIGN_OR_RETURN(candidate.schedule, textOf(each, "schedule", where));
    HADAL_ASSIGN_OR_RETURN(std::string bits, textOf(each, "bits", where));
    if (bits != "same" && bits != "order")
      return error(5011, "{}: 'bits' is '{}', expected same or order", where,
                   bits);
    candidate.sameBits = bits == "same";
    kernel.candidates.push_back(std::move(candidate));
  }
  return kernel;
}

Status decide(const PlannedKernel &kernel, Lab &lab,
              const SelectOptions &options, KernelResult &result) {
  HADAL_ASSIGN_OR_RETURN(result.rejected, lab.check(kernel));
  std::vector<Candidate> right;
  for (size_t i = 0; i < kernel.candidates.size(); ++i)
    if (std::none_of(result.rejected.begin(), result.rejected.end(),
                     [&](const Rejected &r) { return r.candidate == i; }))
      right.push_back({i + 1, 0, kernel.candidates[i].schedule});
  if (right.empty())
    return {};
  HADAL_ASSIGN_OR_RETURN(std::unique_ptr<Timer> timer,
                         lab.timer(kernel, options.seed));
  HADAL_ASSIGN_OR_RETURN(result.selection,
                         select(*timer, std::move(right), options));
  return {};
}

} // namespace

StatusOr<std::vector<PlannedKernel>> parsePlan(std::string_view text,
                                               const std::string &what) {
  HADAL_ASSIGN_OR_RETURN(Json json, parseJson(text, 5011, what));
  if (!json.is_object() || !json.contains("kernels") ||
      !json["kernels"].is_array())
    return error(5011,
                 "{}: no array 'kernels': a plan is what hadal-tune "
                 "--compile-only --format=json prints",
                 what);
  std::vector<PlannedKernel> plan;
  for (const Json &each : json["kernels"]) {
    HADAL_ASSIGN_OR_RETURN(PlannedKernel kernel, kernelFrom(each, what));
    plan.push_back(std::move(kernel));
  }
  return plan;
}

StatusOr<std::vector<PlannedKernel>> readPlan(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  if (!file)
    return error(5011, "plan '{}' cannot be read", path);
  return parsePlan(text.view(), path);
}

StatusOr<SessionResult> runSession(const std::vector<PlannedKernel> &plan,
                                   Lab &lab, const SessionOptions &options) {
  SessionResult session;
  const double begin = options.clock();
  for (const PlannedKernel &kernel : plan) {
    const double now = options.clock();
    if (options.budget > 0 && now - begin >= options.budget) {
      session.stop = SessionResult::Stop::budget;
      break;
    }
    KernelResult result;
    result.name = kernel.name;
    result.failure = decide(kernel, lab, options.select, result);
    if (result.failure.code() == kInterrupted) {
      session.stop = SessionResult::Stop::interrupt;
      break;
    }
    const double end = options.clock();
    result.seconds = end - now;
    session.kernels.push_back(std::move(result));
    const size_t done = session.kernels.size();
    HADAL_RETURN_IF_ERROR(
        options.report(session.kernels.back(), done, plan.size(),
                       (end - begin) / static_cast<double>(done) *
                           static_cast<double>(plan.size() - done)));
  }
  return session;
}

} // namespace hadal::tune
