/* Uses hadal.h from C as several ranks, each a thread of this program: loads,
 * generates greedily, and ends beside the others. Returns 0, or the line of the
 * first expectation that failed. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "test/runtime/capi/capi_ranks.h"

#define EXPECT(condition)                                                      \
  do {                                                                         \
    if (!(condition)) {                                                        \
      fprintf(stderr, "line %d: %s\n", __LINE__, hadal_last_error());          \
      return __LINE__;                                                         \
    }                                                                          \
  } while (0)

/* Generates greedily behind |prompt|. */
static int generate(hadal_session *session, const int32_t *prompt,
                    size_t length, int32_t *tokens, size_t count) {
  hadal_row_step step;
  size_t i;
  memset(&step, 0, sizeof(step));
  EXPECT(hadal_session_add_row(session, &step.row) == 0);
  step.tokens = prompt;
  step.count = length;
  step.logits = HADAL_LOGITS_LAST;
  for (i = 0; i < count; ++i) {
    EXPECT(hadal_session_step(session, &step, 1) == 0);
    EXPECT(hadal_session_sample(session, 0, 0, 0, 1, 0, i, &tokens[i]) == 0);
    step.tokens = &tokens[i];
    step.count = 1;
  }
  EXPECT(hadal_session_remove_row(session, step.row) == 0);
  return 0;
}

int run_as_rank(const char *artifact, const char *weights,
                const hadal_rank_options *rank, const int32_t *prompt,
                size_t length, int32_t *tokens, size_t count) {
  hadal_model *model = NULL;
  hadal_session *session = NULL;
  hadal_model_options options;
  hadal_rank_info info;
  int failed;

  memset(&options, 0, sizeof(options));
  options.quiet = 1;
  options.no_tokenizer = 1;
  EXPECT(hadal_model_load_rank(artifact, weights, &options, rank, &model) == 0);
  memset(&info, 0, sizeof(info));
  EXPECT(hadal_model_get_rank_info(model, &info) == 5005);
  info.struct_size = sizeof(info);
  EXPECT(hadal_model_get_rank_info(model, &info) == 0);
  EXPECT(info.ranks == info.tp * info.dp);
  if (rank->ranks)
    EXPECT(info.rank == rank->rank && info.ranks == rank->ranks);
  EXPECT(hadal_session_create(model, NULL, &session) == 0);
  failed = generate(session, prompt, length, tokens, count);
  if (failed)
    return failed;
  /* The others may have more to do. */
  EXPECT(hadal_session_finish(session) == 0);
  hadal_session_free(session);
  hadal_model_free(model);
  return 0;
}

struct thread {
  const char *artifact, *weights;
  hadal_rank_options rank;
  const int32_t *prompt;
  size_t length, count;
  int32_t *tokens;
  int result;
};

static void *run_thread(void *argument) {
  struct thread *mine = argument;
  mine->result =
      run_as_rank(mine->artifact, mine->weights, &mine->rank, mine->prompt,
                  mine->length, mine->tokens, mine->count);
  return NULL;
}

int use_ranks(const char *artifact, const char *weights, uint32_t ranks,
              const int32_t *prompt, size_t length, int32_t *tokens,
              size_t count) {
  enum { MOST = 8 };
  pthread_t threads[MOST];
  struct thread all[MOST];
  uint32_t r;
  if (ranks > MOST)
    return __LINE__;
  for (r = 0; r < ranks; ++r) {
    struct thread *mine = &all[r];
    memset(mine, 0, sizeof(*mine));
    mine->artifact = artifact;
    mine->weights = weights;
    mine->rank.struct_size = sizeof(mine->rank);
    mine->rank.rank = r;
    mine->rank.ranks = ranks;
    mine->rank.rendezvous = "use_ranks";
    /* Each has a prompt, and a number of tokens, of its own. */
    mine->prompt = prompt + r;
    mine->length = length - r;
    mine->tokens = tokens + r * count;
    mine->count = count - r;
    EXPECT(pthread_create(&threads[r], NULL, run_thread, mine) == 0);
  }
  for (r = 0; r < ranks; ++r)
    pthread_join(threads[r], NULL);
  for (r = 0; r < ranks; ++r)
    if (all[r].result)
      return all[r].result;
  return 0;
}
