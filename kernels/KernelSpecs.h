// The fused kernels' specs: shapes and modes, no compiler types.
//
// A shape is data, never a clone. The order of a kernel's arguments is the
// order given at its spec ([x]: present if x). All views are row-major; `?` is
// the bucket's capacity of rows, bound at launch. Symbols: T tokens, R rows
// (sequences), E experts, H heads, D hidden, C latent width, dr/dn/dv rotary,
// non-rotary and value width of a head.
//
// A spec is an aggregate with
// - kKind: the kernel's name;
// - kSymbol: the pattern of its kernels' symbols (SpecText.h). A symbol is for
//   readers: two specs may share one, and nothing is read back from it;
// - fields(): its fields by name, in order. The attribute of tile.kernel, the
//   field of the artifact, equality, text and parsing follow from this list
//   alone (SpecText.h, SpecAttr.h), which SpecText.cpp checks for completeness.
//
// Adding a kernel: its spec here and a line in HADAL_FOR_EACH_KERNEL; then,
// each in a file of its own, the builder (Kernels.h), the words of its
// schedules (schedule/Space.h), the launch of the dsv3 op
// (passes/Dsv3ToExec/KernelModel.h) and the bench's case
// (tools/hadal-bench/kernels/CaseBuilder.h). CONTRIBUTING.md lists the rest.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <variant>

namespace hadal::kernels {

// wordsOf(E) are the names of an enum's values in their order.

/// Element type of stored activations, latent cache and P.
enum class Act { bf16, f32 };
inline constexpr auto wordsOf(Act) {
  return std::to_array<std::string_view>({"bf16", "f32"});
}

/// Number format of dynamic activation scales.
enum class ScaleFormat { f32, ue8m0 };
inline constexpr auto wordsOf(ScaleFormat) {
  return std::to_array<std::string_view>({"f32", "ue8m0"});
}

/// Storage of a weight matrix in the checkpoint. int4: two codes a byte, the
/// low half first; element (code - 8) * scale rounded to bf16, a bf16 scale for
/// 32 columns of a row.
enum class Weight { bf16, f32, fp8, int4 };
inline constexpr auto wordsOf(Weight) {
  return std::to_array<std::string_view>({"bf16", "f32", "fp8", "int4"});
}

/// A field that text and attributes hold only where it is set, so that what
/// does not need it is the same with and without it.
struct OptionalFlag {
  bool isSet = false;
  constexpr operator bool() const { return isSet; }
  constexpr OptionalFlag &operator=(bool value) {
    isSet = value;
    return *this;
  }
};

/// The same for a word: held only where it is not the first of its enum.
template <typename Enum> struct OptionalWord {
  Enum word{};
  constexpr operator Enum() const { return word; }
  constexpr OptionalWord &operator=(Enum value) {
    word = value;
    return *this;
  }
};

/// In which order a kernel that contracts adds the products of an element.
/// `free`: in that which its schedule finds best, so that buckets may differ in
/// bits. Where the order is said, the bits of a row depend neither on the
/// bucket nor on the other rows: `rows` (lanes along K), which is fast for few
/// rows, or `panel` (a lane per row), which is fast for many.
enum class Sums { free, rows, panel };
inline constexpr auto wordsOf(Sums) {
  return std::to_array<std::string_view>({"free", "rows", "panel"});
}

/// What every kernel needs to know.
struct Common {
  Act act = Act::bf16;
  ScaleFormat scaleFormat = ScaleFormat::f32;
  /// Where a kernel is bound by tokens: those of the rank's slice instead.
  OptionalFlag slice;

  template <typename Spec, typename Visitor>
  static constexpr void fields(Spec &s, Visitor &&v) {
    v("act", s.act);
    v("scale_format", s.scaleFormat);
    v("slice", s.slice);
  }
};

/// tokens i32[?], table [V,D], h act[?,D], sizes. Bound: tokens.
struct EmbedSpec : Common {
  static constexpr std::string_view kKind = "embed";
  static constexpr std::string_view kSymbol = "embed_{vocab}x{hidden}[_{slice}]";
  int64_t vocab, hidden;
  Weight table = Weight::bf16;

  template <typename Spec, typename Visitor>
  static constexpr void fields(Spec &s, Visitor &&v) {
    Common::fields(s, v);
    v("vocab", s.vocab);
    v("hidden", s.hidden);
    v("table", s.table);
  }
};

/// y[t, :D] = RMSNorm(table[tokens[t]]) * enorm, y[t, D:] =
/// RMSNorm(RMSNorm(h[rows[t]]) * norm) * hnorm, in f32. Arguments: tokens i32[?],
/// table [V,D], enorm f32[D], h act[?,D], rows i32[?], norm f32[D], hnorm f32[D],
/// y act[?,2D], sizes. Bound: tokens.
struct MtpInputSpec : Common {
  static constexpr std::string_view kKind = "mtp_input";
  static constexpr std::string_view kSymbol = "mtp_input_{vocab}x{hidden}";
  int64_t vocab, hidden;
  double eps = 1e-6;
  Weight table = Weight::bf16;

  template <typename Spec, typename Visitor>
  static constexpr void fields(Spec &s, Visitor &&v) {
    Common::fields(s, v);
    v("vocab", s.vocab);
    v("hidden", s.hidden);
    v("eps", s.eps);
    v("table", s.table);
  }
};

/// y = RMSNorm(x [+ delta]) * w; the sum and the norm in f32 (the norm sees the
/// unrounded sum, the quantisation the unrounded norm). Arguments:
/// x act[?,width], [delta act or f32 [?,width]], w f32[width],
/// [sum act[?,width] if delta], [y act[?,width] if emitAct],
/// [q e4m3fn[?,width] with scale<1x128> if quantize], sizes. |gather| reads row
/// logit_rows[i] of x for output row i (argument rows i32[?] after x; bound
/// logit_rows instead of tokens; no delta).
struct NormQuantSpec : Common {
  static constexpr std::string_view kKind = "norm_quant";
  static constexpr std::string_view kSymbol =
      "norm_quant_{width}[_{delta}][_{quantize}][_{gather}][_{slice}]";
  int64_t width;
  double eps = 1e-6;
  bool delta = false, emitAct = true, quantize = false, gather = false;
  OptionalFlag f32Delta; // delta is f32

  template <typename Spec, typename Visitor>
  static constexpr void fields(Spec &s, Visitor &&v) {
    Common::fields(s, v);
    v("width", s.width);
    v("eps", s.eps);
    v("delta", s.delta);
    v("emit_act", s.emitAct);
    v("quantize", s.quantize);
    v("gather", s.gather);
    v("f32_delta", s.f32Delta);
  }
};

/// x act[?,width], q e4m3fn[?,width] scale<1x128>, sizes. Bound:
/// tokens.
struct QuantizeSpec : Common {
  static constexpr std::string_view kKind = "quantize";
  static constexpr std::string_view kSymbol = "quantize_{width}[_{slice}]";
  int64_t width;

  template <typename Spec, typename Visitor>
  static constexpr void fields(Spec &s, Visitor &&v) {
    Common::fields(s, v);
    v("width", s.width);
  }
};

/// out = a + b. a, out act[?,width], b act or f32 [?,width], sizes.
struct AddSpec : Common {
  static constexpr std::string_view kKind = "add";
  static constexpr std::string_view kSymbol = "add_{width}[_{slice}]";
  int64_t width;
  OptionalFlag f32Addend; // b is f32

  template <typename Spec, typename Visitor>
  static constexpr void fields(Spec &s, Visitor &&v) {
    Common::fields(s, v);
    v("width", s.width);
    v("f32_addend", s.f32Addend);
  }
};

/// Element type of rows that are moved.
enum class Moved { act, f32, i32 };
inline constexpr auto wordsOf(Moved) {
  return std::to_array<std::string_view>({"act", "f32", "i32"});
}

/// out[i] = x[first + i]; first: 0, or |fromSlice| the first token of the
/// rank's slice. Arguments: x, out [?,width] of |element|, sizes.
struct CopyRowsSpec : Common {
  static constexpr std::string_view kKind = "copy_rows";
  static constexpr std::string_view kSymbol =
      "copy_rows_{width}[_{element}][_{from_slice}][_{slice}]";
  int64_t width;
  Moved element = Moved::act;
  bool fromSlice = false;

  template <typename Spec, typename Visitor>
  static constexpr void fields(Spec &s, Visitor &&v) {
    Common::fields(s, v);
    v("width", s.width);
    v("element", s.element);
    v("from_slice", s.fromSlice);
  }
};

/// out[i, r * width + c] = x[r * rows + i, c]: the columns that |ranks| ranks
/// have of a row, side by side. Arguments: x f32[?,width], out
/// f32[?,width] (row i * ranks + r is part r of row i), sizes. |rows|: the
/// bucket's capacity. Domain: logit rows, ranks, columns.
struct JoinColumnsSpec : Common {
  static constexpr std::string_view kKind = "join_columns";
  static constexpr std::string_view kSymbol =
      "join_columns_{ranks}x{width}_r{rows}";
  int64_t width, ranks, rows;

  template <typename Spec, typename Visitor>
  static constexpr void fields(Spec &s, Visitor &&v) {
    Common::fields(s, v);
    v("width", s.width);
    v("ranks", s.ranks);
    v("rows", s.rows);
  }
};

/// Where a GEMM's result goes.
enum class Epilogue {
  none,
  residual,       // y = residual + acc (f32 sum, one rounding)
  rope,           // rotates the last ropeDim of each headDim columns
  swiglu,         // y = silu(gate) * up, two weight operands
  swigluQuantize, // the same, quantised per 128 columns
};
inline constexpr auto wordsOf(Epilogue) {
  return std::to_array<std::string_view>(
      {"none", "residual", "rope", "swiglu", "swiglu_quantize"});
}

/// y[M,N] = x[M,K] . w[N,K]^T with f32 accumulation (model-spec 3.5 for FP8).
/// Arguments: x (act[?,K], or e4m3fn[?,K] scale<1x128> if quantizedInput),
/// [row_token i32[?] if experts and gather], w [N,K] (fp8: scale<128x128>;
/// experts: stack [E,N,K]; segmentRows: segments), [w_up like w if swiglu*],
/// [cos_sin f32[P, ropeDim] (cos, sin per pair), positions i32[?] if rope],
/// [residual act[?,N]], y (act or f32 [?,N], or e4m3fn[?,N] scale<1x128>),
/// sizes. Grouped (experts > 0): routed row r of expert e is expert_begin[e] +
/// r; x row is row_token[r] if gather, else r. The first dimension of a grouped
/// GEMM's domain runs over the rows of one expert: launch it with capacity
/// |rows|.
struct GemmSpec : Common {
  static constexpr std::string_view kKind = "gemm";
  static constexpr std::string_view kSymbol =
      "gemm[_{epilogue}]_{n}x{k}_r{rows}[_e{experts}][_{slice}]";
  int64_t n, k;
  int64_t rows; // most rows (grouped: of one expert, so tokens)
  Weight weight = Weight::fp8;
  bool quantizedInput = false; // W8A8
  bool f32Output = false;
  bool logitRows = false; // bound by logit_rows instead of tokens
  int64_t experts = 0;
  /// Grouped: of the experts of a token, how many are among |experts| on
  /// average: all of them on one rank, a 32nd of them on one of 32.
  double topk = 0;
  bool gather = false;
  int64_t segmentRows = 0; // segments of wq_a | wkv_a
  Epilogue epilogue = Epilogue::none;
  int64_t headDim = 0, ropeDim = 0, positions = 0; // rope
  OptionalWord<Sums> sums;

  /// (row, expert) pairs of even routing in a full bucket.
  int64_t expectedPairs() const {
    return topk > 0
               ? static_cast<int64_t>(static_cast<double>(rows) * topk + 0.5)
               : rows;
  }

  template <typename Spec, typename Visitor>
  static constexpr void fields(Spec &s, Visitor &&v) {
    Common::fields(s, v);
    v("n", s.n);
    v("k", s.k);
    v("rows", s.rows);
    v("weight", s.weight);
    v("quantized_input", s.quantizedInput);
    v("f32_output", s.f32Output);
    v("logit_rows", s.logitRows);
    v("experts", s.experts);
    v("topk", s.topk);
    v("gather", s.gather);
    v("segment_rows", s.segmentRows);
    v("epilogue", s.epilogue);
    v("head_dim", s.headDim);
    v("rope_dim", s.ropeDim);
    v("positions", s.positions);
    v("sums", s.sums);
  }
};

/// From the fused down-projection to queries, cache and rotary key.
/// Arguments: x act[?, qLora + C + dr] (qLora 0: C + dr), [q_norm f32[qLora]],
/// kv_norm f32[C], cos_sin f32[P,dr], positions i32[?], slot i64[?],
/// cache act[?, C + dr] (pages flattened to rows; row slot[t]; -1 drops),
/// [cq act[?,qLora] if qLora and not quantize], [cq e4m3fn[?,qLora]
/// scale<1x128> if quantize], sizes.
struct LatentNormRopeCacheSpec : Common {
  static constexpr std::string_view kKind = "latent_norm_rope_cache";
  static constexpr std::string_view kSymbol =
      "latent_norm_rope_cache_{q_lora}_{latent}_{rope}";
  int64_t qLora, latent, rope, positions;
  double eps = 1e-6; // of the two inner norms
  bool quantize = false;

  template <typename Spec, typename Visitor>
  static constexpr void fields(Spec &s, Visitor &&v) {
    Common::fields(s, v);
    v("q_lora", s.qLora);
    v("latent", s.latent);
    v("rope", s.rope);
    v("positions", s.positions);
    v("eps", s.eps);
    v("quantize", s.quantize);
  }
};

/// q_lat = q_nope . W_UK per head; the rotary part is copied behind it.
/// Arguments: q act[?, H*(dn+dr)], wkv_b [H*(dn+dv), C] (fp8: scale<128x128>,
/// exact code * scale), out act[?, H*(C+dr)], sizes.
struct AbsorbQSpec : Common {
  static constexpr std::string_view kKind = "absorb_q";
  static constexpr std::string_view kSymbol =
      "absorb_q_h{heads}_{nope}x{latent}_r{rows}";
  int64_t heads, nope, rope, value, latent, rows;
  Weight weight = Weight::fp8;
  OptionalWord<Sums> sums;

  template <typename Spec, typename Visitor>
  static constexpr void fields(Spec &s, Visitor &&v) {
    Common::fields(s, v);
    v("heads", s.heads);
    v("nope", s.nope);
    v("rope", s.rope);
    v("value", s.value);
    v("latent", s.latent);
    v("rows", s.rows);
    v("weight", s.weight);
    v("sums", s.sums);
  }
};

/// o = o_lat . W_UV^T per head. Arguments: o_lat act[?, H*C],
/// wkv_b [H*(dn+dv), C], o act[?, H*dv] or, if quantize (dv % 128 == 0),
/// e4m3fn[?, H*dv] scale<1x128>, sizes.
struct AbsorbVSpec : Common {
  static constexpr std::string_view kKind = "absorb_v";
  static constexpr std::string_view kSymbol =
      "absorb_v_h{heads}_{latent}x{value}_r{rows}";
  int64_t heads, nope, value, latent, rows;
  Weight weight = Weight::fp8;
  bool quantize = false;
  OptionalWord<Sums> sums;

  template <typename Spec, typename Visitor>
  static constexpr void fields(Spec &s, Visitor &&v) {
    Common::fields(s, v);
    v("heads", s.heads);
    v("nope", s.nope);
    v("value", s.value);
    v("latent", s.latent);
    v("rows", s.rows);
    v("weight", s.weight);
    v("quantize", s.quantize);
    v("sums", s.sums);
  }
};

/// Absorbed attention over the paged latent cache (MQA of width C + dr; the
/// value is the first C of the key). Query rows of sequence r are tokens
/// q_start[r] .. q_start[r+1]-1 x heads; key t is visible to a token at
/// position p iff t <= p and t < kv_len[r]. Arguments: q act[?, C+dr] (row =
/// token*H + head), pool act[?, page, C+dr], page_table i32[?,?], q_start
/// i32[?], kv_len i32[?], positions i32[?], o act[?, C] (row = token*H + head),
/// sizes. P is rounded to act before P.V. Domain: rows, then blocks of query
/// rows.
///
/// A target may share the keys of a block between workers (schedule words chunk
/// and split). Those of a sequence of n keys get ceil(chunks / split) chunks
/// each, of chunks = ceil(n / chunk), in order; their states are merged in that
/// order. The result depends on the row, its keys, chunk and split, and on
/// nothing else.
struct MlaDecodeSpec : Common {
  static constexpr std::string_view kKind = "mla_decode";
  static constexpr std::string_view kSymbol =
      "mla_decode_h{heads}_{latent}_{rope}_q{max_queries}[_r{rows}]";
  int64_t heads, latent, rope, pageSize, maxQueries; // S of the bucket
  double softmaxScale;
  /// Facts of the bucket, which schedules go by: sequences, and most keys of
  /// one; 0 where the target shares no keys.
  int64_t rows = 0, maxKeys = 0;
  OptionalWord<Sums> sums;

  template <typename Spec, typename Visitor>
  static constexpr void fields(Spec &s, Visitor &&v) {
    Common::fields(s, v);
    v("heads", s.heads);
    v("latent", s.latent);
    v("rope", s.rope);
    v("page_size", s.pageSize);
    v("max_queries", s.maxQueries);
    v("softmax_scale", s.softmaxScale);
    v("rows", s.rows);
    v("max_keys", s.maxKeys);
    v("sums", s.sums);
  }
};

/// Expanded attention: per head, k_nope = c . W_UK^T and v = c . W_UV^T for
/// each key tile inside the kernel, rounded to act; quantizeLatent: c per 128
/// (W8A8). Arguments: q act[?, H*(dn+dr)], pool act[?, page, C+dr], page_table
/// i32[?,?], q_start i32[?], kv_len i32[?], positions i32[?], wkv_b [H*(dn+dv),
/// C], o act[?, H*dv] or e4m3fn scale<1x128> if quantize (dv % 128 == 0),
/// sizes.
struct MlaPrefillSpec : Common {
  static constexpr std::string_view kKind = "mla_prefill";
  static constexpr std::string_view kSymbol =
      "mla_prefill_h{heads}_{latent}_{rope}_q{max_queries}";
  int64_t heads, nope, rope, value, latent, pageSize, maxQueries;
  double softmaxScale;
  Weight weight = Weight::fp8;
  bool quantizeLatent = false, quantize = false;
  OptionalWord<Sums> sums;

  template <typename Spec, typename Visitor>
  static constexpr void fields(Spec &s, Visitor &&v) {
    Common::fields(s, v);
    v("heads", s.heads);
    v("nope", s.nope);
    v("rope", s.rope);
    v("value", s.value);
    v("latent", s.latent);
    v("page_size", s.pageSize);
    v("max_queries", s.maxQueries);
    v("softmax_scale", s.softmaxScale);
    v("weight", s.weight);
    v("quantize_latent", s.quantizeLatent);
    v("quantize", s.quantize);
    v("sums", s.sums);
  }
};

/// Router scores to experts (model-spec 2.11), all in f32; ties to the lower
/// id. Excluded groups are -inf. Order of the k: as tile.topk (descending
/// selection score). Arguments: logits f32[?,E], [bias f32[E]], ids i32[?,k],
/// weights f32[?,k], sizes.
struct GateTopkSpec : Common {
  static constexpr std::string_view kKind = "gate_topk";
  static constexpr std::string_view kSymbol = "gate_topk_{topk}of{experts}[_{slice}]";
  int64_t experts, topk, groups = 1, topkGroups = 1;
  bool sigmoid = true;   // else softmax
  bool bias = true;      // noaux_tc
  bool groupTop2 = true; // group score: sum of the two best; else max
  bool normalize = true; // norm_topk_prob (adds 1e-20 to the sum)
  double routeScale = 1.0;

  template <typename Spec, typename Visitor>
  static constexpr void fields(Spec &s, Visitor &&v) {
    Common::fields(s, v);
    v("experts", s.experts);
    v("topk", s.topk);
    v("groups", s.groups);
    v("topk_groups", s.topkGroups);
    v("sigmoid", s.sigmoid);
    v("bias", s.bias);
    v("group_top2", s.groupTop2);
    v("normalize", s.normalize);
    v("route_scale", s.routeScale);
  }
};

/// Stable permutation by expert. Arguments: ids i32[?,k], row_token i32[?,1]
/// (of routed row: its token), pos i32[?,1] (row t*k + j: the routed row of
/// assignment (t,j); -1 where the id names no expert), expert_load i32[E] (adds
/// counts), sizes (writes expert_begin). Domain: the experts.
struct MoePermuteSpec : Common {
  static constexpr std::string_view kKind = "moe_permute";
  static constexpr std::string_view kSymbol =
      "moe_permute_{topk}of{experts}_t{tokens}[_{slice}]";
  int64_t experts, topk, tokens; // tokens: the bucket's capacity

  template <typename Spec, typename Visitor>
  static constexpr void fields(Spec &s, Visitor &&v) {
    Common::fields(s, v);
    v("experts", s.experts);
    v("topk", s.topk);
    v("tokens", s.tokens);
  }
};

/// out = residual + sum_j weights[t,j] * y[pos[t,j]] + shared, f32 sums (j
/// ascending), one rounding. Arguments: y act[?,D], pos i32[?,k],
/// weights f32[?,k], [shared act[?,D]], residual act[?,D], out act[?,D], sizes.
struct MoeCombineSpec : Common {
  static constexpr std::string_view kKind = "moe_combine";
  static constexpr std::string_view kSymbol = "moe_combine_{topk}x{hidden}[_{slice}]";
  int64_t hidden, topk;
  bool shared = true;

  template <typename Spec, typename Visitor>
  static constexpr void fields(Spec &s, Visitor &&v) {
    Common::fields(s, v);
    v("hidden", s.hidden);
    v("topk", s.topk);
    v("shared", s.shared);
  }
};

// Of several ranks: a rank's rows go to the ranks that hold their experts and
// come back (E experts by logical number; slots: a rank's places for experts).
// |capacity|: rows that a rank may send to one other, C; |pairs|: (row, choice)
// pairs of them, C2. Received are ranks * C rows, returned ranks * C2.

/// Words of the i32 record that travels with a row: 0 its token in the sender's
/// slice, 1 the number of its first pair among those for this rank, from
/// kMetaSlots on for each choice the slot on the destination (-1: elsewhere, or
/// no room), then zeros. All words of a row that is not used are -1.
inline constexpr int64_t kMetaSlots = 2;
inline constexpr int64_t metaWords(int64_t topk) {
  return (kMetaSlots + topk + 3) / 4 * 4;
}

/// Adds to the load what the tokens of the slice chose, if bit 0 of the flags
/// says so. Arguments: ids i32[?,k], expert_load i32[E], sizes. Domain: the
/// experts.
struct MoeCountSpec : Common {
  static constexpr std::string_view kKind = "moe_count";
  static constexpr std::string_view kSymbol =
      "moe_count_{topk}of{experts}_t{tokens}";
  int64_t experts, topk, tokens; // tokens: capacity of the slice

  template <typename Spec, typename Visitor>
  static constexpr void fields(Spec &s, Visitor &&v) {
    Common::fields(s, v);
    v("experts", s.experts);
    v("topk", s.topk);
    v("tokens", s.tokens);
  }
};

/// Where each choice of the slice's tokens goes. Arguments: ids i32[?,k],
/// table i32[E,1+replicas] (an expert's number of physical slots, then those:
/// rank * slots + slot), send_token i32[?,1] (of a row that is sent: its token;
/// -1: unused), send_meta i32[?,words], place i32[?,1] (row t*k + j: the
/// returned row of choice j of token t; -1: none), sent i32[ranks,2] (rows,
/// pairs that fit), overflow i32[ranks,2] (raised to the rows and the pairs
/// that are wanted, whether they fit or not), sizes. Choice j of token t takes
/// replica (t + j) mod their number. The i-th token that wants rank d is row
/// d*C + i, the p-th pair row d*C2 + p. Every row of send_token and send_meta
/// is written. Domain: the ranks.
struct MoeRouteSpec : Common {
  static constexpr std::string_view kKind = "moe_route";
  static constexpr std::string_view kSymbol =
      "moe_route_{topk}of{experts}_to{ranks}x{slots}_t{tokens}_c{capacity}";
  int64_t experts, topk, tokens; // tokens: capacity of the slice
  int64_t ranks, slots, capacity, pairs, replicas = 1;

  template <typename Spec, typename Visitor>
  static constexpr void fields(Spec &s, Visitor &&v) {
    Common::fields(s, v);
    v("experts", s.experts);
    v("topk", s.topk);
    v("tokens", s.tokens);
    v("ranks", s.ranks);
    v("slots", s.slots);
    v("capacity", s.capacity);
    v("pairs", s.pairs);
    v("replicas", s.replicas);
  }
};

/// out[r] = x[send_token[r]]; rows of token -1 are not written. Arguments:
/// x act[?,D] (quantized: e4m3fn[?,D] scale<1x128>), send_token i32[?,1],
/// out as x [?,D], sizes.
struct MoePackSpec : Common {
  static constexpr std::string_view kKind = "moe_pack";
  static constexpr std::string_view kSymbol = "moe_pack_{hidden}[_{quantized}]";
  int64_t hidden;
  bool quantized = false;

  template <typename Spec, typename Visitor>
  static constexpr void fields(Spec &s, Visitor &&v) {
    Common::fields(s, v);
    v("hidden", s.hidden);
    v("quantized", s.quantized);
  }
};

/// Received pairs in the order of slot, received row, choice. Arguments:
/// meta i32[?,words], got i32[?,2] (rows and pairs that came from each rank),
/// source i32[?,1] (of a routed row: its received row),
/// back i32[?,1] (row r*k + j: the routed row of choice j of received row r;
/// written where that choice is here), sizes (writes expert_begin of the
/// slots). Domain: the slots.
struct MoeReceiveSpec : Common {
  static constexpr std::string_view kKind = "moe_receive";
  static constexpr std::string_view kSymbol =
      "moe_receive_{topk}to{slots}_from{ranks}_c{capacity}";
  int64_t topk, ranks, slots, capacity;

  template <typename Spec, typename Visitor>
  static constexpr void fields(Spec &s, Visitor &&v) {
    Common::fields(s, v);
    v("topk", s.topk);
    v("ranks", s.ranks);
    v("slots", s.slots);
    v("capacity", s.capacity);
  }
};

/// Of received row r, of rank s = r / C, the n-th of its choices that are here,
/// j: out[s*C2 + meta[r,1] + n] = y[back[r,j]]. Arguments: y act[?,D],
/// meta i32[?,words], back i32[?,k], out act[?,D], sizes.
struct MoeReturnRowsSpec : Common {
  static constexpr std::string_view kKind = "moe_return_rows";
  static constexpr std::string_view kSymbol =
      "moe_return_rows_{topk}x{hidden}_from{ranks}_c{capacity}";
  int64_t hidden, topk, ranks, capacity, pairs;

  template <typename Spec, typename Visitor>
  static constexpr void fields(Spec &s, Visitor &&v) {
    Common::fields(s, v);
    v("hidden", s.hidden);
    v("topk", s.topk);
    v("ranks", s.ranks);
    v("capacity", s.capacity);
    v("pairs", s.pairs);
  }
};

/// y = silu(gate) * up. gate, up, y act[?,width], sizes.
struct SiluMulSpec : Common {
  static constexpr std::string_view kKind = "silu_mul";
  static constexpr std::string_view kSymbol = "silu_mul_{width}[_{slice}]";
  int64_t width;

  template <typename Spec, typename Visitor>
  static constexpr void fields(Spec &s, Visitor &&v) {
    Common::fields(s, v);
    v("width", s.width);
  }
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
  X(SiluMul)                                                                   \
  X(MoeCount)                                                                  \
  X(MoeRoute)                                                                  \
  X(MoePack)                                                                   \
  X(MoeReceive)                                                                \
  X(MoeReturnRows)                                                             \
  X(CopyRows)                                                                  \
  X(JoinColumns)                                                               \
  X(MtpInput)

namespace detail {
template <typename, typename... Specs> struct VariantOf {
  using Type = std::variant<Specs...>;
};
} // namespace detail

/// One of the specs.
#define HADAL_NEXT_SPEC(K) , K##Spec
using AnySpec =
    detail::VariantOf<void HADAL_FOR_EACH_KERNEL(HADAL_NEXT_SPEC)>::Type;
#undef HADAL_NEXT_SPEC

} // namespace hadal::kernels
