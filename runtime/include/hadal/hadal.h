/* hadal: load a compiled model and step it. The embedding interface, in C.
 *
 * Every function that can fail returns 0 or the number of an error code (5005
 * for H5005); hadal_last_error() then holds the message of the calling thread:
 * what, where, expected, found, remedy. No function throws, and bad input never
 * ends the process. The library installs no signal handler: weights are mapped,
 * so that a file that shrinks while a model is loaded raises SIGBUS in the
 * thread that reads what is gone, as in any mapping. Sizes are in elements
 * unless a name says bytes.
 *
 *   hadal_model *model;
 *   hadal_session *session;
 *   int32_t row, prompt[] = {5, 17, 3};
 *   hadal_row_step step = {0, prompt, 3, HADAL_LOGITS_LAST};
 *   if (hadal_model_load("m.hadal", "checkpoint/", NULL, &model) ||
 *       hadal_session_create(model, NULL, &session) ||
 *       hadal_session_add_row(session, &step.row) ||
 *       hadal_session_step(session, &step, 1))
 *     fprintf(stderr, "%s\n", hadal_last_error());
 *   const float *logits = hadal_session_logits(session, 0, 0);
 *
 * A model may be used by several threads to create sessions, but one session of
 * a model steps at a time: they share its worker threads. A session belongs to
 * one thread at a time. An artifact is native code: verify where it comes from.
 *
 * Versions: functions, structs and members are only added. A struct that begins
 * with struct_size may grow: set it to sizeof of the struct that the program was
 * compiled with, and the library reads, or writes, no more than that. Those
 * without one stay as they are. A program needs hadal_api_version() to be at
 * least the version that has what it uses; what is of version 2 says so.
 */
#ifndef HADAL_HADAL_H
#define HADAL_HADAL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Raised when something is added. */
#define HADAL_API_VERSION 2
uint32_t hadal_api_version(void);

typedef struct hadal_model hadal_model;
typedef struct hadal_session hadal_session;

/* The message of the last error in this thread, "error H5005: ..."; "" if there
 * was none. Valid until the next call of this library in this thread. */
const char *hadal_last_error(void);
/* The exit status a tool returns for an error code: 1 internal, 2 usage, 3 bad
 * input, 4 resource, 5 device, 6 peer lost. */
int hadal_exit_status(int code);

/* ---- model */

typedef struct {
  uint32_t threads;    /* 0: as many as the process may run on */
  const char *device;  /* "cpu", "cuda", "cuda:1", "sim"; NULL: what runs the
                          artifact's target */
  int quiet;           /* nonzero: no progress on stderr */
  int no_tokenizer;    /* nonzero: tokenizer.json is not read */
} hadal_model_options;

typedef struct {
  uint64_t vocab_size;
  uint64_t hidden_size;
  uint64_t max_seq_len;
  uint32_t num_layers;
  uint32_t num_experts;
  uint32_t max_batch_size;
  uint32_t page_size;          /* tokens per page of the cache */
  int32_t bos_token_id;        /* -1: none */
  uint32_t num_eos_token_ids;
  const int32_t *eos_token_ids; /* of config.json and generation_config.json;
                                   owned by the model */
} hadal_model_info;

/* Loads |artifact| with the weights (and the tokenizer, if there is one) of the
 * directory |weights|. |options| may be NULL. */
int hadal_model_load(const char *artifact, const char *weights,
                     const hadal_model_options *options, hadal_model **model);
/* Frees the model; its sessions must have been freed. NULL is allowed. */
void hadal_model_free(hadal_model *model);
int hadal_model_get_info(const hadal_model *model, hadal_model_info *info);

/* ---- model on several ranks (version 2)
 *
 * Every rank loads the artifact, which was compiled for that many ranks, and has
 * a session of its own; the ranks are threads of this process or processes. They
 * make each step together: hadal_session_step() of a rank waits for the others
 * to step or to finish. A rank serves rows of its own; which of a program's
 * requests are its own is the program's choice, but the tp ranks of a dp index
 * must be given equal tokens in equal steps.
 *
 * Where a rank fails, is lost or late, the functions of the others return its
 * error or H6001 (a peer is gone or late), H6002 (one did not join), H6003 (they
 * differ in artifact, weights or placement), H6004 (another number of ranks),
 * H6005 (no communication library), H6006, H6007. Then the session is at its
 * end, and so is the run: free session and model. The library never ends the
 * process. */

typedef struct {
  size_t struct_size; /* sizeof(hadal_rank_options) */
  uint32_t rank, ranks; /* 0 ranks, of processes: as mpirun, srun or HADAL_RANK
                           and HADAL_RANKS say */
  const char *comm;   /* NULL or "loopback": ranks are threads of this process,
                         each of which loads its model; "mpi": processes, one
                         rank each, which mpirun or srun has started; "nccl":
                         the same, each with a GPU: its number on the machine
                         among those that a launcher says, else the device of
                         hadal_model_options */
  const char *rendezvous; /* of threads: any text that the ranks of a run share,
                             and no other run at the same time; NULL: "". Of
                             processes: host:port of rank 0, or file:PATH; NULL:
                             HADAL_RENDEZVOUS, else 127.0.0.1:47470 */
  const char *token;  /* of processes: the job's secret, 64 hexadecimal digits;
                         NULL: HADAL_JOB_TOKEN */
  const char *placement; /* a file of hadal-place; NULL: experts in turn */
  const char *comm_policy; /* when collectives take place: "async" (NULL),
                              "eager", "lazy", "random", "random,SEED" */
  const char *comm_delay; /* of threads: how long a collective takes at least,
                             "MICROSECONDS" or "MICROSECONDS,GB/s"; NULL: no
                             longer than it does */
  double join_timeout;  /* seconds until all must have joined; 0: 60 */
  double comm_timeout;  /* seconds a rank waits for the others; 0: 30 */
  const char *flight_record; /* of processes: a directory for the last
                                collectives of each, where a run fails; NULL:
                                none */
  uint32_t local_ranks; /* of processes with |ranks|: those of this machine, which
                           share its cores and GPUs; 0: as many as |ranks| on
                           one machine, no other */
  uint32_t local_rank;  /* the number among them, and of the GPU; without
                           |local_ranks| it is |rank| */
} hadal_rank_options;

/* As hadal_model_load(), as one of several ranks; |rank| NULL: as one alone.
 * Returns when all ranks have loaded. Threads: |options|->threads 0 is this
 * rank's share of the cores. */
int hadal_model_load_rank(const char *artifact, const char *weights,
                          const hadal_model_options *options,
                          const hadal_rank_options *rank, hadal_model **model);

typedef struct {
  size_t struct_size; /* sizeof(hadal_rank_info), set by the caller */
  uint32_t rank, ranks;
  uint32_t tp, dp, ep;          /* sizes of the layout's axes */
  uint32_t tp_index, dp_index;  /* where the rank stands in it */
} hadal_rank_info;

/* Of a model that was loaded as one alone: 1 rank. H5005 for a struct_size that
 * is none. */
int hadal_model_get_rank_info(const hadal_model *model, hadal_rank_info *info);

/* ---- tokenizer: H5009 where the model directory has none */

/* Encodes |bytes| bytes of UTF-8; the text of a control token is plain text.
 * Writes at most |capacity| ids to |tokens| and
 * the number there are to |count|, also when they do not fit: then H5005. */
int hadal_encode(const hadal_model *model, const char *text, size_t bytes,
                 int32_t *tokens, size_t capacity, size_t *count);
/* Decodes ids to UTF-8 without a terminating zero; sizes as in hadal_encode. */
int hadal_decode(const hadal_model *model, const int32_t *tokens, size_t count,
                 char *text, size_t capacity, size_t *bytes);

/* ---- session: rows of tokens over a cache */

typedef struct {
  uint32_t max_rows;      /* 0: the artifact's max_batch_size */
  uint64_t cache_pages;   /* 0: enough for all rows */
  uint32_t prefill_chunk; /* 0: what the buckets hold */
} hadal_session_options;

/* |options| may be NULL. */
int hadal_session_create(hadal_model *model,
                         const hadal_session_options *options,
                         hadal_session **session);
void hadal_session_free(hadal_session *session);

/* Adds an empty row. H5005 if all are in use. */
int hadal_session_add_row(hadal_session *session, uint32_t *row);
int hadal_session_remove_row(hadal_session *session, uint32_t row);
/* Drops the tokens from position |length| on. */
int hadal_session_truncate_row(hadal_session *session, uint32_t row,
                               uint64_t length);
int hadal_session_row_length(const hadal_session *session, uint32_t row,
                             uint64_t *length);

enum { HADAL_LOGITS_NONE = 0, HADAL_LOGITS_LAST = 1, HADAL_LOGITS_ALL = 2 };

/* New tokens of a row. */
typedef struct {
  uint32_t row;
  const int32_t *tokens;
  size_t count;
  int logits; /* which positions' logits are kept: HADAL_LOGITS_* */
} hadal_row_step;

/* Appends tokens to rows, as one batch. One token behind others of its row is
 * taken for a generated one, which decode entries compute; else it is a prompt's,
 * which prefill entries compute. All is checked before anything runs:
 * H5005 (range), H5013 (no free page of the cache). H5008: logits of a row are
 * not finite. */
int hadal_session_step(hadal_session *session, const hadal_row_step *rows,
                       size_t count);
/* Of several ranks (version 2): takes part in the others' steps until every rank
 * has called it; nothing for one. A rank whose rows are done calls it, since the
 * others cannot step without it. */
int hadal_session_finish(hadal_session *session);
/* Of several ranks (version 2): ends the steps of all of them, whose functions
 * then return H5014 with |message|; for a program's own errors. */
int hadal_session_fail(hadal_session *session, const char *message);
/* The logits, vocab_size floats, of the |position|-th kept position of element
 * |index| of the last step's list; NULL if there is none. Valid until the next
 * step. */
const float *hadal_session_logits(const hadal_session *session, size_t index,
                                  size_t position);
/* How many positions were kept for element |index|. */
size_t hadal_session_num_logits(const hadal_session *session, size_t index);

/* Chooses a token from the kept logits: temperature 0 is greedy; |step| counts
 * the row's sampled tokens. Equal arguments give the equal token, that of
 * hadal-run with the same seed; versions before the race of docs/serving.md drew
 * others. */
int hadal_session_sample(const hadal_session *session, size_t index,
                         size_t position, float temperature, float top_p,
                         uint64_t seed, uint64_t step, int32_t *token);

#ifdef __cplusplus
}
#endif

#endif /* HADAL_HADAL_H */
