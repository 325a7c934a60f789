// Skip-gram with negative sampling: Mikolov et al., "Distributed representations of words and phrases and their
// compositionality", NeurIPS 2013, with walks for sentences.
//
// For every node of a walk a distance up to `window` is drawn, and every node within it is trained to predict that node
// (1) and not `negatives` nodes drawn from the noise (0), each by one step of gradient descent on the logistic loss of
// the dot products. A noise node that is the predicted one does nothing. Dot products of a pair are taken together,
// before its updates, eight at most; the rows of the next pair are drawn and fetched while this one is computed. The
// learning rate falls in a straight line over the walks.
//
// One thread gives the same bits every time. Several share the vectors without a lock (Niu et al., "Hogwild!", NeurIPS
// 2011): an update may then be lost or see a mixture of old and new, and no two runs agree to the last bit. This is the
// one kernel whose result depends on the number of threads. Returns false for a node that is not in [0, nodes).
#include "skipgram.hpp"

#include <utility>

#include "random.hpp"
#include "vector.hpp"

#define GOSSAMER_TEXT_(name) #name
#define GOSSAMER_TEXT(name) GOSSAMER_TEXT_(name)

namespace gossamer::GOSSAMER_ISA {
namespace {

constexpr int kTargets = 8;  // dot products taken together

// 1 / (1 + exp(-x)) to within 3e-7 of itself for |x| < 30, and within 1e-13 of 0 or 1 beyond.
GOSSAMER_INLINE vec<kTargets> sigmoid(vec<kTargets> x) {
  using Integers = vector_of<kTargets>::mask;
  const vec<kTargets> zero{}, limit = zero + 30.0f;
  x = x > limit ? limit : x < -limit ? -limit : x;
  const vec<kTargets> power = x * -1.44269504f;  // exp(-x) = 2^power
  const vec<kTargets> whole = power + 12582912.0f - 12582912.0f;
  const vec<kTargets> part = power - whole;  // in [-1/2, 1/2]; the series of 2^part follows
  vec<kTargets> value = zero + 1.54035304e-4f;
  value = value * part + 1.33335581e-3f;
  value = value * part + 9.61812911e-3f;
  value = value * part + 5.55041087e-2f;
  value = value * part + 2.40226507e-1f;
  value = value * part + 6.93147181e-1f;
  value = value * part + 1.0f;
  const Integers bits = (__builtin_convertvector(whole, Integers) + 127) << 23;
  vec<kTargets> scale;
  __builtin_memcpy(&scale, &bits, sizeof scale);
  return 1.0f / (1.0f + value * scale);
}

// Adds the lanes of a vector, halves first, without leaving the registers.
template <int W>
GOSSAMER_INLINE float sum_of(vec<W> v) {
  if constexpr (W == 1) {
    return v[0];
  } else if constexpr (W == 2) {
    return v[0] + v[1];
  } else {
    return [v]<int... lane>(std::integer_sequence<int, lane...>) __attribute__((always_inline)) {
      return sum_of<W / 2>(__builtin_shufflevector(v, v, lane...) + __builtin_shufflevector(v, v, (lane + W / 2)...));
    }(std::make_integer_sequence<int, W / 2>{});
  }
}

// One step for one input and T rows; `wanted` holds 1 or 0 for each, `rates` the learning rate or 0.
template <int T>
void step(float* input, float* const* rows, vec<kTargets> wanted, vec<kTargets> rates, std::int64_t stride) {
  vec<kLanes> sums[T] = {};
  for (std::int64_t c = 0; c < stride; c += kLanes) {
    const vec<kLanes> in = load<kLanes>(input + c);
    GOSSAMER_UNROLL
    for (int t = 0; t < T; ++t) sums[t] += in * load<kLanes>(rows[t] + c);
  }
  float dots[kTargets] = {};
  GOSSAMER_UNROLL
  for (int t = 0; t < T; ++t) dots[t] = sum_of<kLanes>(sums[t]);
  float gains[kTargets];
  store<kTargets>(gains, (wanted - sigmoid(load<kTargets>(dots))) * rates);
  vec<kLanes> gain[T];
  GOSSAMER_UNROLL
  for (int t = 0; t < T; ++t) gain[t] = vec<kLanes>{} + gains[t];
  for (std::int64_t c = 0; c < stride; c += kLanes) {
    const vec<kLanes> in = load<kLanes>(input + c);
    vec<kLanes> change{};
    GOSSAMER_UNROLL
    for (int t = 0; t < T; ++t) {  // rows may be the same one twice, so each is read after the last is written
      const vec<kLanes> row = load<kLanes>(rows[t] + c);
      change += gain[t] * row;
      store<kLanes>(rows[t] + c, row + gain[t] * in);
    }
    store<kLanes>(input + c, in + change);
  }
}

template <int T = kTargets>
GOSSAMER_INLINE void steps_of(int count, float* input, float* const* rows, vec<kTargets> wanted, vec<kTargets> rates,
                              std::int64_t stride) {
  if constexpr (T > 1) {
    if (count < T) return steps_of<T - 1>(count, input, rows, wanted, rates, stride);
  }
  step<T>(input, rows, wanted, rates, stride);
}

// The pairs of one walk in order: every node with those that its window reaches.
struct Pairs {
  const std::int32_t* nodes;
  std::int64_t count;
  std::int64_t window;
  std::int64_t centre = -1;
  std::int64_t other = 0;
  std::int64_t end = 0;

  GOSSAMER_INLINE bool next(Stream& random) {
    for (;;) {
      if (++other == centre) ++other;
      if (other < end) return true;
      if (++centre >= count) return false;
      const std::int64_t reach = 1 + random.below(window);
      other = larger<std::int64_t>(centre - reach, 0) - 1;
      end = smaller(centre + reach + 1, count);
    }
  }
};

GOSSAMER_INLINE void fetch(const float* row, std::int64_t stride) {
  for (std::int64_t c = 0; c < stride; c += 16) __builtin_prefetch(row + c, 1);
}

GOSSAMER_INLINE std::int64_t draw_noise(const SkipGram& a, Stream& random) {
  const std::uint64_t bits = random.next();
  const std::uint64_t place = ((bits >> 32) * static_cast<std::uint64_t>(a.nodes)) >> 32;
  const std::uint64_t entry = a.noise[place];
  return static_cast<std::int64_t>((bits & 0xFFFFFFFFu) < entry >> 32 ? place : entry & 0xFFFFFFFFu);
}

// Some targets of one pair, all in `contexts`: those from `first` on, of which number 0 is the predicted node.
struct Targets {
  int count;
  float* rows[kTargets];
  float rates[kTargets];
  float wanted[kTargets];
};

GOSSAMER_INLINE void draw_targets(const SkipGram& a, Stream& random, std::int64_t node, std::int64_t first, float rate,
                                  Targets& out) {
  const std::int64_t count = smaller<std::int64_t>(a.negatives + 1 - first, kTargets);
  out.count = static_cast<int>(count);
  for (int t = 0; t < kTargets; ++t) out.rates[t] = out.wanted[t] = 0.0f;
  for (std::int64_t t = 0; t < count; ++t) {
    const bool real = first + t == 0;
    const std::int64_t target = real ? node : draw_noise(a, random);
    out.rows[t] = a.contexts + target * a.stride;
    out.wanted[t] = real ? 1.0f : 0.0f;
    out.rates[t] = real || target != node ? rate : 0.0f;
    fetch(out.rows[t], a.stride);
  }
}

GOSSAMER_INLINE void apply(const SkipGram& a, float* input, const Targets& targets) {
  steps_of(targets.count, input, targets.rows, load<kTargets>(targets.wanted), load<kTargets>(targets.rates), a.stride);
}

bool train_walk(const SkipGram& a, std::int64_t w) {
  Stream random(a.key, a.done + w);
  std::int32_t* nodes = a.kept + w * a.length;
  std::int64_t count = 0;
  for (std::int64_t i = 0; i < a.length; ++i) {
    const std::int64_t node = a.walks[w * a.length + i];
    if (node < 0) continue;
    if (node >= a.nodes) return false;
    if (a.keep && static_cast<float>(random.uniform()) >= a.keep[node]) continue;
    nodes[count++] = static_cast<std::int32_t>(node);
    fetch(a.vectors + node * a.stride, a.stride);
  }
  const double progress = static_cast<double>(a.done + w) / static_cast<double>(a.total);
  const auto rate = static_cast<float>(a.rate + (a.final_rate - a.rate) * progress);
  Pairs pairs{nodes, count, a.window};
  Targets now, ahead;
  bool more = pairs.next(random);
  if (more) draw_targets(a, random, nodes[pairs.centre], 0, rate, ahead);
  while (more) {
    now = ahead;
    const std::int32_t centre = nodes[pairs.centre];
    float* input = a.vectors + nodes[pairs.other] * a.stride;
    more = pairs.next(random);
    if (more) draw_targets(a, random, nodes[pairs.centre], 0, rate, ahead);
    apply(a, input, now);
    for (std::int64_t first = kTargets; first <= a.negatives; first += kTargets) {
      draw_targets(a, random, centre, first, rate, now);
      apply(a, input, now);
    }
  }
  return true;
}

bool train(const SkipGram& a) {
  int bad = 0;
#pragma omp parallel num_threads(a.threads) reduction(| : bad) if (a.threads > 1)
  {
    const FlushSubnormals flush;
#pragma omp for schedule(dynamic, 16)
    for (std::int64_t w = 0; w < a.count; ++w) bad |= !train_walk(a, w);
  }
  return bad == 0;
}

}  // namespace

extern const SkipGramKernels skipgram_table;
const SkipGramKernels skipgram_table{GOSSAMER_TEXT(GOSSAMER_ISA), train};

}  // namespace gossamer::GOSSAMER_ISA
