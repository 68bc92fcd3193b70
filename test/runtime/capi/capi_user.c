/* Uses hadal.h from C: loads, steps two rows as a batch, reads logits, samples.
 * Returns 0, or the line of the first expectation that failed. */
#include <string.h>

#include "hadal/hadal.h"

#define EXPECT(condition)                                                      \
  do {                                                                         \
    if (!(condition))                                                          \
      return __LINE__;                                                         \
  } while (0)

static int greedy(const float *logits, uint64_t count) {
  uint64_t best = 0, i;
  for (i = 1; i < count; ++i)
    if (logits[i] > logits[best])
      best = i;
  return (int)best;
}

int use_hadal(const char *artifact, const char *weights) {
  hadal_model *model = NULL;
  hadal_session *session = NULL;
  hadal_model_options options;
  hadal_session_options session_options;
  hadal_model_info info;
  hadal_row_step steps[2];
  int32_t first[] = {5, 17, 3}, second[] = {9, 9, 9, 9, 9}, token = -1;
  uint64_t length = 0;
  size_t count = 0;
  const float *logits;

  EXPECT(hadal_api_version() == HADAL_API_VERSION);
  memset(&options, 0, sizeof(options));
  options.threads = 2;
  options.quiet = 1;
  EXPECT(hadal_model_load("/nonexistent", weights, &options, &model) == 5001);
  EXPECT(model == NULL);
  EXPECT(strncmp(hadal_last_error(), "error H5001: ", 13) == 0);
  EXPECT(strstr(hadal_last_error(), "/nonexistent") != NULL);
  EXPECT(hadal_exit_status(5001) == 3);
  EXPECT(hadal_model_load(NULL, weights, &options, &model) == 5005);
  options.device = "abacus";
  EXPECT(hadal_model_load(artifact, weights, &options, &model) == 5011);
  options.device = "cpu";
  EXPECT(hadal_model_load(artifact, weights, &options, &model) == 0);
  EXPECT(hadal_model_get_info(model, &info) == 0);
  EXPECT(info.vocab_size == 64 && info.max_seq_len == 62);
  EXPECT(info.num_eos_token_ids == 1 && info.eos_token_ids[0] == 1);
  EXPECT(info.bos_token_id == -1);

  /* This directory has no tokenizer. */
  EXPECT(hadal_encode(model, "x", 1, &token, 1, &count) == 5009);

  memset(&session_options, 0, sizeof(session_options));
  session_options.max_rows = 99;
  EXPECT(hadal_session_create(model, &session_options, &session) == 5005);
  session_options.max_rows = 2;
  EXPECT(hadal_session_create(model, &session_options, &session) == 0);
  memset(steps, 0, sizeof(steps));
  EXPECT(hadal_session_add_row(session, &steps[0].row) == 0);
  EXPECT(hadal_session_add_row(session, &steps[1].row) == 0);
  EXPECT(hadal_session_add_row(session, &steps[1].row) == 5005);
  steps[0].tokens = first;
  steps[0].count = 3;
  steps[0].logits = HADAL_LOGITS_ALL;
  steps[1].tokens = second;
  steps[1].count = 5;
  steps[1].logits = HADAL_LOGITS_LAST;
  EXPECT(hadal_session_step(session, steps, 2) == 0);
  EXPECT(hadal_session_num_logits(session, 0) == 3);
  EXPECT(hadal_session_num_logits(session, 1) == 1);
  EXPECT(hadal_session_num_logits(session, 2) == 0);
  EXPECT(hadal_session_logits(session, 1, 1) == NULL);
  EXPECT(hadal_session_logits(session, 2, 0) == NULL);
  logits = hadal_session_logits(session, 0, 2);
  EXPECT(logits != NULL);
  EXPECT(hadal_session_sample(session, 0, 2, 0, 1, 0, 0, &token) == 0);
  EXPECT(token == greedy(logits, info.vocab_size));
  EXPECT(hadal_session_sample(session, 0, 2, -1, 1, 0, 0, &token) == 5005);
  EXPECT(hadal_session_sample(session, 0, 3, 0, 1, 0, 0, &token) == 5005);
  EXPECT(hadal_session_row_length(session, steps[1].row, &length) == 0);
  EXPECT(length == 5);
  EXPECT(hadal_session_truncate_row(session, steps[1].row, 2) == 0);
  EXPECT(hadal_session_remove_row(session, steps[0].row) == 0);
  EXPECT(hadal_session_step(session, steps, 1) == 5005);
  EXPECT(strstr(hadal_last_error(), "does not live") != NULL);
  steps[1].logits = 7;
  EXPECT(hadal_session_step(session, steps + 1, 1) == 5005);
  hadal_session_free(session);
  hadal_session_free(NULL);
  hadal_model_free(model);
  hadal_model_free(NULL);
  return 0;
}
