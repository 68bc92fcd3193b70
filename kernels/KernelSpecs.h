// The fused kernels' specs: shapes and modes, no compiler types.
//
// A shape is data, never a clone. The order of a kernel's arguments is the order
// given at its spec ([x]: present if x). All views are row-major; `?` is the
// bucket's capacity of rows, bound at launch. Symbols: T tokens, R rows
// (sequences), E experts, H heads, D hidden, C latent width, dr/dn/dv rotary,
// non-rotary and value width of a head.
#pragma once

#include <cstdint>

namespace hadal::kernels {

/// Element type of stored activations, latent cache and P.
enum class Act { bf16, f32 };
/// Number format of dynamic activation scales.
enum class ScaleFormat { f32, ue8m0 };
/// Storage of a weight matrix in the checkpoint.
enum class Weight { bf16, f32, fp8 };

/// The machine that a kernel is scheduled for. It changes schedules only, never
/// what a kernel computes; all kernels of a program have the same.
enum class Target { cpu, sm90a };

/// What every kernel needs to know.
struct Common {
  Act act = Act::bf16;
  ScaleFormat scaleFormat = ScaleFormat::f32;
  Target target = Target::cpu;
};

/// tokens i32[?], table [V,D], h act[?,D], sizes. Bound: tokens.
struct EmbedSpec : Common {
  int64_t vocab, hidden;
  Weight table = Weight::bf16;
};

/// y = RMSNorm(x [+ delta]) * w; the sum and the norm in f32 (the norm sees the
/// unrounded sum, the quantisation the unrounded norm). Arguments: x act[?,width], [delta act[?,width]], w f32[width],
/// [sum act[?,width] if delta], [y act[?,width] if emitAct],
/// [q e4m3fn[?,width] with scale<1x128> if quantize], sizes. |gather| reads row
/// logit_rows[i] of x for output row i (argument rows i32[?] after x; bound
/// logit_rows instead of tokens; no delta).
struct NormQuantSpec : Common {
  int64_t width;
  double eps = 1e-6;
  bool delta = false, emitAct = true, quantize = false, gather = false;
};

/// x act[?,width], q e4m3fn[?,width] scale<1x128>, sizes. Bound:
/// tokens.
struct QuantizeSpec : Common {
  int64_t width;
};

/// out = a + b. a, b, out act[?,width], sizes.
struct AddSpec : Common {
  int64_t width;
};

/// Where a GEMM's result goes.
enum class Epilogue {
  none,
  residual,       // y = residual + acc (f32 sum, one rounding)
  rope,           // rotates the last ropeDim of each headDim columns
  swiglu,         // y = silu(gate) * up, two weight operands
  swigluQuantize, // the same, quantised per 128 columns
};

/// y[M,N] = x[M,K] . w[N,K]^T with f32 accumulation (model-spec 3.5 for FP8).
/// Arguments: x (act[?,K], or e4m3fn[?,K] scale<1x128> if quantizedInput),
/// [row_token i32[?] if experts and gather], w [N,K] (fp8: scale<128x128>;
/// experts: stack [E,N,K]; segmentRows: segments), [w_up like w if swiglu*],
/// [cos_sin f32[P, ropeDim] (cos, sin per pair), positions i32[?] if rope],
/// [residual act[?,N]], y (act or f32 [?,N], or e4m3fn[?,N] scale<1x128>), sizes.
/// Grouped (experts > 0): routed row r of expert e is expert_begin[e] + r; x row
/// is row_token[r] if gather, else r. The first dimension of a grouped GEMM's
/// domain runs over the rows of one expert: launch it with capacity |rows|.
struct GemmSpec : Common {
  int64_t n, k;
  int64_t rows;               // most rows (grouped: of one expert, so tokens)
  Weight weight = Weight::fp8;
  bool quantizedInput = false; // W8A8
  bool f32Output = false;
  bool logitRows = false;     // bound by logit_rows instead of tokens
  int64_t experts = 0;
  int64_t topk = 0;           // experts of a token, if grouped
  bool gather = false;
  int64_t segmentRows = 0;    // segments of wq_a | wkv_a
  Epilogue epilogue = Epilogue::none;
  int64_t headDim = 0, ropeDim = 0, positions = 0; // rope
};

/// From the fused down-projection to queries, cache and rotary key.
/// Arguments: x act[?, qLora + C + dr] (qLora 0: C + dr), [q_norm f32[qLora]],
/// kv_norm f32[C], cos_sin f32[P,dr], positions i32[?], slot i64[?],
/// cache act[?, C + dr] (pages flattened to rows; row slot[t]; -1 drops),
/// [cq act[?,qLora] if qLora and not quantize], [cq e4m3fn[?,qLora] scale<1x128>
/// if quantize], sizes.
struct LatentNormRopeCacheSpec : Common {
  int64_t qLora, latent, rope, positions;
  double eps = 1e-6; // of the two inner norms
  bool quantize = false;
};

/// q_lat = q_nope . W_UK per head; the rotary part is copied behind it.
/// Arguments: q act[?, H*(dn+dr)], wkv_b [H*(dn+dv), C] (fp8: scale<128x128>,
/// exact code * scale), out act[?, H*(C+dr)], sizes.
struct AbsorbQSpec : Common {
  int64_t heads, nope, rope, value, latent, rows;
  Weight weight = Weight::fp8;
};

/// o = o_lat . W_UV^T per head. Arguments: o_lat act[?, H*C],
/// wkv_b [H*(dn+dv), C], o act[?, H*dv] or, if quantize (dv % 128 == 0),
/// e4m3fn[?, H*dv] scale<1x128>, sizes.
struct AbsorbVSpec : Common {
  int64_t heads, nope, value, latent, rows;
  Weight weight = Weight::fp8;
  bool quantize = false;
};

/// Absorbed attention over the paged latent cache (MQA of width C + dr; the
/// value is the first C of the key). Query rows of sequence r are tokens
/// q_start[r] .. q_start[r+1]-1 x heads; key t is visible to a token at position
/// p iff t <= p and t < kv_len[r]. Arguments: q act[?, C+dr] (row = token*H +
/// head), pool act[?, page, C+dr], page_table i32[?,?], q_start i32[?],
/// kv_len i32[?], positions i32[?], o act[?, C] (row = token*H + head), sizes.
/// P is rounded to act before P.V. Domain: rows, then blocks of query rows.
///
/// A target may share the keys of a block between workers (schedule words chunk
/// and split). Those of a sequence of n keys get ceil(chunks / split) chunks each,
/// of chunks = ceil(n / chunk), in order; their states are merged in that order.
/// The result depends on the row, its keys, chunk and split, and on nothing else.
struct MlaDecodeSpec : Common {
  int64_t heads, latent, rope, pageSize, maxQueries; // S of the bucket
  double softmaxScale;
  /// Facts for the schedule: sequences of the bucket, most keys of one.
  int64_t rows = 1, maxKeys = 1;
};

/// Expanded attention: per head, k_nope = c . W_UK^T and v = c . W_UV^T for each
/// key tile inside the kernel, rounded to act; quantizeLatent: c per 128 (W8A8).
/// Arguments: q act[?, H*(dn+dr)], pool act[?, page, C+dr], page_table i32[?,?],
/// q_start i32[?], kv_len i32[?], positions i32[?], wkv_b [H*(dn+dv), C],
/// o act[?, H*dv] or e4m3fn scale<1x128> if quantize (dv % 128 == 0), sizes.
struct MlaPrefillSpec : Common {
  int64_t heads, nope, rope, value, latent, pageSize, maxQueries;
  double softmaxScale;
  Weight weight = Weight::fp8;
  bool quantizeLatent = false, quantize = false;
};

/// Router scores to experts (model-spec 2.11), all in f32; ties to the lower id.
/// Excluded groups are -inf. Order of the k: as tile.topk (descending selection
/// score). Arguments: logits f32[?,E], [bias f32[E]], ids i32[?,k],
/// weights f32[?,k], sizes.
struct GateTopkSpec : Common {
  int64_t experts, topk, groups = 1, topkGroups = 1;
  bool sigmoid = true;     // else softmax
  bool bias = true;        // noaux_tc
  bool groupTop2 = true;   // group score: sum of the two best; else max
  bool normalize = true;   // norm_topk_prob (adds 1e-20 to the sum)
  double routeScale = 1.0;
};

/// Stable permutation by expert. Arguments: ids i32[?,k], row_token i32[?,1]
/// (of routed row: its token), pos i32[?,1] (row t*k + j: the routed row of
/// assignment (t,j); -1 where the id names no expert), expert_load i32[E] (adds
/// counts), sizes (writes expert_begin). Domain: the experts.
struct MoePermuteSpec : Common {
  int64_t experts, topk, tokens; // tokens: the bucket's capacity
};

/// out = residual + sum_j weights[t,j] * y[pos[t,j]] + shared, f32 sums (j
/// ascending), one rounding. Arguments: y act[?,D], pos i32[?,k],
/// weights f32[?,k], [shared act[?,D]], residual act[?,D], out act[?,D], sizes.
struct MoeCombineSpec : Common {
  int64_t hidden, topk;
  bool shared = true;
};

/// y = silu(gate) * up. gate, up, y act[?,width], sizes.
struct SiluMulSpec : Common {
  int64_t width;
};

#define HADAL_FOR_EACH_KERNEL(X)                                               \
  X(Embed)                                                                     \
  X(NormQuant)                                                                 \
  X(Quantize)                                                                  \
  X(Add)                                                                       \
  X(Gemm)                                                                      \
  X(LatentNormRopeCache)                                                       \
  X(AbsorbQ)                                                                   \
  X(AbsorbV)                                                                   \
  X(MlaDecode)                                                                 \
  X(MlaPrefill)                                                                \
  X(GateTopk)                                                                  \
  X(MoePermute)                                                                \
  X(MoeCombine)                                                                \
  X(SiluMul)

} // namespace hadal::kernels
