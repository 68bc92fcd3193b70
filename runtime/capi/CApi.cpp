// Implements hadal.h. No exception leaves this file.
#include "hadal/hadal.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/CpuCount.h"
#include "runtime/capi/RankGroup.h"
#include "runtime/drivers/CreateDriver.h"
#include "runtime/engine/Sampler.h"
#include "runtime/session/Session.h"
#include "runtime/tokenizer/Tokenizer.h"

using namespace hadal;

// Programs that were compiled with version 1 pass these, which say no size.
static_assert(sizeof(hadal_model_options) == 24 &&
              sizeof(hadal_model_info) == 56 &&
              sizeof(hadal_session_options) == 24 &&
              sizeof(hadal_row_step) == 32);

struct hadal_model {
  /// Of several ranks; outlives the model.
  std::unique_ptr<comm::Group> group;
  comm::StreamOptions stream;
  std::unique_ptr<Model> model;
  std::optional<Tokenizer> tokenizer;
};

struct hadal_session {
  std::unique_ptr<Session> session;
  uint64_t vocab = 0;
  /// By element of the last step's list: its kept logits, row after row.
  std::vector<std::vector<float>> logits;
};

namespace {

thread_local std::string lastError;

int report(const Status &status) {
  if (status.ok())
    return 0;
  lastError = status.toString();
  return status.code();
}

/// Runs |body| and turns exceptions (allocation failures) into errors.
template <typename F> int guarded(F body) {
  try {
    return report(body());
  } catch (const std::bad_alloc &) {
    return report(error(5006, "out of memory; use a smaller batch or sequence "
                              "length"));
  } catch (const std::exception &e) {
    return report(error(5014, "unexpected exception: {}", e.what()));
  }
}

Status nullArgument(const char *name) {
  return error(5005, "argument '{}' is NULL", name);
}

#define HADAL_CHECK_ARGUMENT(argument)                                         \
  do {                                                                         \
    if (!(argument))                                                           \
      return nullArgument(#argument);                                          \
  } while (false)

Status needTokenizer(const hadal_model *model) {
  if (model->tokenizer)
    return {};
  return error(5009,
               "'{}' was loaded without a tokenizer; put tokenizer.json "
               "into it",
               model->model->weightsDirectory());
}

/// Copies a result whose size the caller may have underestimated.
template <typename Source, typename T>
Status copyOut(const Source &source, T *target, size_t capacity,
               size_t *count) {
  *count = source.size();
  if (source.size() > capacity)
    return error(5005,
                 "the result has {} elements, room is for {}; call again "
                 "with more",
                 source.size(), capacity);
  if (!source.empty())
    std::copy(source.begin(), source.end(), target);
  return {};
}

/// What of |given|, whose size its caller says, there is of it; the rest is
/// zero. A newer program may say more, if that is zero.
template <typename T> StatusOr<T> sized(const T &given, const char *name) {
  constexpr size_t kMost = 4096;
  const size_t size = given.struct_size;
  // A multiple of it cuts no member.
  if (size < sizeof(size) || size > kMost || size % alignof(T))
    return error(5005, "{}.struct_size is {}; expected sizeof({}), {} here",
                 name, size, name, sizeof(T));
  const auto *bytes = reinterpret_cast<const uint8_t *>(&given);
  if (size > sizeof(T) && std::any_of(bytes + sizeof(T), bytes + size,
                                      [](uint8_t byte) { return byte != 0; }))
    return error(
        5005,
        "{} of {} bytes says members that this version ({}, {} bytes) "
        "does not have; link the library that the program was compiled "
        "for",
        name, size, HADAL_API_VERSION, sizeof(T));
  T result{};
  std::memcpy(&result, &given, std::min(size, sizeof(T)));
  return result;
}

StatusOr<std::chrono::milliseconds>
milliseconds(double seconds, double otherwise, const char *name) {
  if (!(seconds >= 0 && seconds <= 1e6))
    return error(5005, "{} is {} seconds; expected 0 to 1000000", name,
                 seconds);
  return std::chrono::milliseconds(
      static_cast<int64_t>((seconds > 0 ? seconds : otherwise) * 1e3));
}

StatusOr<capi::RankOptions> rankOptions(const hadal_rank_options &given) {
  HADAL_ASSIGN_OR_RETURN(const hadal_rank_options options,
                         sized(given, "hadal_rank_options"));
  auto text = [](const char *value) { return std::string(value ? value : ""); };
  capi::RankOptions result;
  result.rank = options.rank;
  result.ranks = options.ranks;
  result.localRanks = options.local_ranks;
  result.localRank = options.local_rank;
  result.comm = text(options.comm);
  result.rendezvous = text(options.rendezvous);
  result.token = text(options.token);
  result.placement = text(options.placement);
  result.policy = text(options.comm_policy);
  result.delay = text(options.comm_delay);
  result.flightRecord = text(options.flight_record);
  HADAL_ASSIGN_OR_RETURN(result.joinTimeout, milliseconds(options.join_timeout,
                                                          60, "join_timeout"));
  HADAL_ASSIGN_OR_RETURN(result.commTimeout, milliseconds(options.comm_timeout,
                                                          30, "comm_timeout"));
  return result;
}

Status loadModel(const char *artifact, const char *weights,
                 const hadal_model_options &options,
                 const std::string &placement, unsigned localRanks,
                 unsigned localRank, hadal_model &result) {
  DeviceOptions deviceOptions;
  deviceOptions.device = options.device ? options.device : "";
  deviceOptions.threads = options.threads;
  if (!deviceOptions.threads && localRanks > 1)
    deviceOptions.threads = std::max(1u, usableCpus() / localRanks);
  deviceOptions.localRank = localRank;
  HADAL_ASSIGN_OR_RETURN(Artifact opened, Artifact::open(artifact));
  HADAL_ASSIGN_OR_RETURN(std::unique_ptr<Driver> driver,
                         createDriver(deviceOptions, opened));
  ModelOptions modelOptions;
  modelOptions.artifactPath = artifact;
  modelOptions.weightsDirectory = weights;
  modelOptions.quiet = options.quiet != 0;
  modelOptions.group = result.group.get();
  modelOptions.placementPath = placement;
  HADAL_ASSIGN_OR_RETURN(
      result.model,
      Model::load(std::move(driver), std::move(opened), modelOptions));
  if (!options.no_tokenizer && Tokenizer::isIn(weights)) {
    HADAL_ASSIGN_OR_RETURN(result.tokenizer, Tokenizer::load(weights));
  }
  return {};
}

} // namespace

extern "C" {

uint32_t hadal_api_version(void) { return HADAL_API_VERSION; }

const char *hadal_last_error(void) { return lastError.c_str(); }

int hadal_exit_status(int code) { return Status(code, "").exitCode(); }

int hadal_model_load(const char *artifact, const char *weights,
                     const hadal_model_options *options, hadal_model **model) {
  return guarded([&]() -> Status {
    HADAL_CHECK_ARGUMENT(artifact);
    HADAL_CHECK_ARGUMENT(weights);
    HADAL_CHECK_ARGUMENT(model);
    *model = nullptr;
    auto loaded = std::make_unique<hadal_model>();
    HADAL_RETURN_IF_ERROR(loadModel(
        artifact, weights, options ? *options : hadal_model_options{},
        /*placement=*/"", /*localRanks=*/1, /*localRank=*/0, *loaded));
    *model = loaded.release();
    return {};
  });
}

int hadal_model_load_rank(const char *artifact, const char *weights,
                          const hadal_model_options *options,
                          const hadal_rank_options *rank, hadal_model **model) {
  if (!rank)
    return hadal_model_load(artifact, weights, options, model);
  return guarded([&]() -> Status {
    HADAL_CHECK_ARGUMENT(artifact);
    HADAL_CHECK_ARGUMENT(weights);
    HADAL_CHECK_ARGUMENT(model);
    *model = nullptr;
    HADAL_ASSIGN_OR_RETURN(const capi::RankOptions ranks, rankOptions(*rank));
    HADAL_ASSIGN_OR_RETURN(capi::Joined joined, capi::joinRun(ranks));
    auto loaded = std::make_unique<hadal_model>();
    loaded->group = std::move(joined.group);
    loaded->stream = joined.stream;
    Status status = loadModel(
        artifact, weights, options ? *options : hadal_model_options{},
        ranks.placement, joined.localRanks, joined.localRank, *loaded);
    if (!status.ok()) {
      loaded->group->fail(status);
      return status;
    }
    *model = loaded.release();
    return {};
  });
}

int hadal_model_get_rank_info(const hadal_model *model, hadal_rank_info *info) {
  return guarded([&]() -> Status {
    HADAL_CHECK_ARGUMENT(model);
    HADAL_CHECK_ARGUMENT(info);
    HADAL_RETURN_IF_ERROR(sized(*info, "hadal_rank_info").status());
    const RankLayout &layout = model->model->layout();
    hadal_rank_info full{};
    full.struct_size = info->struct_size;
    full.rank = layout.rank;
    full.ranks = layout.ranks();
    full.tp = layout.tp;
    full.dp = layout.dp;
    full.ep = layout.ep;
    full.tp_index = layout.index(schema::Axis::tp);
    full.dp_index = layout.dpIndex();
    std::memcpy(info, &full, std::min(full.struct_size, sizeof(full)));
    return {};
  });
}

void hadal_model_free(hadal_model *model) { delete model; }

int hadal_model_get_info(const hadal_model *model, hadal_model_info *info) {
  return guarded([&]() -> Status {
    HADAL_CHECK_ARGUMENT(model);
    HADAL_CHECK_ARGUMENT(info);
    const schema::Model &m = model->model->description();
    *info = {};
    info->vocab_size = m.vocab_size();
    info->hidden_size = m.hidden_size();
    info->max_seq_len = m.max_seq_len();
    info->num_layers = m.num_layers();
    info->num_experts = m.num_experts();
    info->max_batch_size = m.max_batch_size();
    info->page_size = m.page_size();
    info->bos_token_id = m.bos_token_id();
    info->num_eos_token_ids =
        static_cast<uint32_t>(model->model->eosTokenIds().size());
    info->eos_token_ids = model->model->eosTokenIds().data();
    return {};
  });
}

int hadal_encode(const hadal_model *model, const char *text, size_t bytes,
                 int32_t *tokens, size_t capacity, size_t *count) {
  return guarded([&]() -> Status {
    HADAL_CHECK_ARGUMENT(model);
    HADAL_CHECK_ARGUMENT(text || !bytes);
    HADAL_CHECK_ARGUMENT(tokens || !capacity);
    HADAL_CHECK_ARGUMENT(count);
    *count = 0;
    HADAL_RETURN_IF_ERROR(needTokenizer(model));
    HADAL_ASSIGN_OR_RETURN(
        std::vector<int32_t> ids,
        model->tokenizer->encode(std::string_view(text, bytes)));
    return copyOut(ids, tokens, capacity, count);
  });
}

int hadal_decode(const hadal_model *model, const int32_t *tokens, size_t count,
                 char *text, size_t capacity, size_t *bytes) {
  return guarded([&]() -> Status {
    HADAL_CHECK_ARGUMENT(model);
    HADAL_CHECK_ARGUMENT(tokens || !count);
    HADAL_CHECK_ARGUMENT(text || !capacity);
    HADAL_CHECK_ARGUMENT(bytes);
    *bytes = 0;
    HADAL_RETURN_IF_ERROR(needTokenizer(model));
    HADAL_ASSIGN_OR_RETURN(std::string decoded,
                           model->tokenizer->decode({tokens, count}));
    return copyOut(decoded, text, capacity, bytes);
  });
}

int hadal_session_create(hadal_model *model,
                         const hadal_session_options *options,
                         hadal_session **session) {
  return guarded([&]() -> Status {
    HADAL_CHECK_ARGUMENT(model);
    HADAL_CHECK_ARGUMENT(session);
    *session = nullptr;
    SessionOptions sessionOptions;
    sessionOptions.collectives = model->stream;
    if (options) {
      sessionOptions.maxRows = options->max_rows;
      sessionOptions.cachePages = options->cache_pages;
      sessionOptions.prefillChunk = options->prefill_chunk;
    }
    auto created = std::make_unique<hadal_session>();
    HADAL_ASSIGN_OR_RETURN(created->session,
                           Session::create(*model->model, sessionOptions));
    created->vocab = model->model->description().vocab_size();
    *session = created.release();
    return {};
  });
}

void hadal_session_free(hadal_session *session) { delete session; }

int hadal_session_add_row(hadal_session *session, uint32_t *row) {
  return guarded([&]() -> Status {
    HADAL_CHECK_ARGUMENT(session);
    HADAL_CHECK_ARGUMENT(row);
    HADAL_ASSIGN_OR_RETURN(*row, session->session->addRow());
    return {};
  });
}

int hadal_session_remove_row(hadal_session *session, uint32_t row) {
  return guarded([&]() -> Status {
    HADAL_CHECK_ARGUMENT(session);
    return session->session->removeRow(row);
  });
}

int hadal_session_truncate_row(hadal_session *session, uint32_t row,
                               uint64_t length) {
  return guarded([&]() -> Status {
    HADAL_CHECK_ARGUMENT(session);
    return session->session->truncateRow(row, length);
  });
}

int hadal_session_row_length(const hadal_session *session, uint32_t row,
                             uint64_t *length) {
  return guarded([&]() -> Status {
    HADAL_CHECK_ARGUMENT(session);
    HADAL_CHECK_ARGUMENT(length);
    *length = session->session->length(row);
    return {};
  });
}

int hadal_session_step(hadal_session *session, const hadal_row_step *rows,
                       size_t count) {
  return guarded([&]() -> Status {
    HADAL_CHECK_ARGUMENT(session);
    HADAL_CHECK_ARGUMENT(rows || !count);
    std::vector<StepRow> steps;
    for (size_t i = 0; i < count; ++i) {
      HADAL_CHECK_ARGUMENT(rows[i].tokens || !rows[i].count);
      if (rows[i].logits < HADAL_LOGITS_NONE ||
          rows[i].logits > HADAL_LOGITS_ALL)
        return error(5005,
                     "row {} asks for logits {}; expected "
                     "HADAL_LOGITS_NONE, _LAST or _ALL",
                     rows[i].row, rows[i].logits);
      const bool generated =
          rows[i].count == 1 && session->session->length(rows[i].row);
      steps.push_back({rows[i].row,
                       {rows[i].tokens, rows[i].count},
                       static_cast<LogitsWanted>(rows[i].logits),
                       generated ? Phase::Decode : Phase::Prompt});
    }
    session->logits.assign(count, {});
    return session->session->step(
        steps, [&](size_t index, uint64_t, std::span<const float> logits) {
          std::vector<float> &kept = session->logits[index];
          kept.insert(kept.end(), logits.begin(), logits.end());
          return Status();
        });
  });
}

int hadal_session_finish(hadal_session *session) {
  return guarded([&]() -> Status {
    HADAL_CHECK_ARGUMENT(session);
    return session->session->finish();
  });
}

int hadal_session_fail(hadal_session *session, const char *message) {
  return guarded([&]() -> Status {
    HADAL_CHECK_ARGUMENT(session);
    HADAL_CHECK_ARGUMENT(message);
    session->session->fail(error(5014, "{}", message));
    return {};
  });
}

size_t hadal_session_num_logits(const hadal_session *session, size_t index) {
  if (!session || index >= session->logits.size())
    return 0;
  return session->logits[index].size() / session->vocab;
}

const float *hadal_session_logits(const hadal_session *session, size_t index,
                                  size_t position) {
  if (position >= hadal_session_num_logits(session, index))
    return nullptr;
  return session->logits[index].data() + position * session->vocab;
}

int hadal_session_sample(const hadal_session *session, size_t index,
                         size_t position, float temperature, float top_p,
                         uint64_t seed, uint64_t step, int32_t *token) {
  return guarded([&]() -> Status {
    HADAL_CHECK_ARGUMENT(session);
    HADAL_CHECK_ARGUMENT(token);
    const float *logits = hadal_session_logits(session, index, position);
    if (!logits)
      return error(5005,
                   "no logits were kept for position {} of element {} of "
                   "the last step",
                   position, index);
    const engine::SamplingParameters parameters{.temperature = temperature,
                                                .topP = top_p};
    HADAL_RETURN_IF_ERROR(validateSampling(parameters, session->vocab));
    HADAL_ASSIGN_OR_RETURN(
        *token,
        engine::Sampler().sample({logits, session->vocab}, parameters, {},
                                 {.seed = seed, .step = step}));
    return {};
  });
}

} // extern "C"
