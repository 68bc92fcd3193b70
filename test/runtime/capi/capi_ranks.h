/* A program of several ranks in C. */
#ifndef HADAL_TEST_CAPI_RANKS_H
#define HADAL_TEST_CAPI_RANKS_H

#include "hadal/hadal.h"

#ifdef __cplusplus
extern "C" {
#endif

/* As |rank| generates |count| tokens greedily behind |prompt|. */
int run_as_rank(const char *artifact, const char *weights,
                const hadal_rank_options *rank, const int32_t *prompt,
                size_t length, int32_t *tokens, size_t count);
/* As |ranks| threads: rank r generates |count| - r tokens behind the prompt
 * without its first r, into the r-th |count| of |tokens|. */
int use_ranks(const char *artifact, const char *weights, uint32_t ranks,
              const int32_t *prompt, size_t length, int32_t *tokens,
              size_t count);

#ifdef __cplusplus
}
#endif

#endif
