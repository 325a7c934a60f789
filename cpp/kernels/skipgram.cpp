// Skip-gram with negative sampling: Mikolov et al., "Distributed representations of words and phrases and their
// compositionality", NeurIPS 2013, with walks for sentences.
//
// For every node of a walk a distance up to `window` is drawn, and every node within it is trained to predict that node
// (1) and not `negatives` nodes drawn from the noise (0), by gradient descent on the logistic loss of the dot products.
// A noise node that is the predicted one does nothing. The learning rate falls in a straight line over the walks.
//
// Noise is drawn once for the predicted node and serves all that predict it, and their steps are taken together, as in Ji
// et al., "Parallelizing Word2Vec in shared and distributed memory", 2016: rows are read once a node instead of once a
// pair, and stay in registers and caches. At most 16 nodes and 8 targets make a step, whose dot products come before its
// updates; the rows of the next node are drawn and fetched while this one's pairs are computed.
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

constexpr int kInputs = 16;  // of a step
constexpr int kTargets = 8;

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

// Distinct targets of a step, all in `contexts`; `wanted` holds 1 or 0 for each, `rates` the learning rate, twice where
// the noise drew a node twice.
struct Targets {
  int count;
  float* rows[kTargets];
  float rates[kTargets];
  float wanted[kTargets];
};

// The vectors that are trained in a step.
struct Inputs {
  int count;
  float* rows[kInputs];
};

template <int T>
void step(const Inputs& inputs, const Targets& targets, std::int64_t stride) {
  float gains[kInputs][kTargets];
  for (int i = 0; i < inputs.count; ++i) {
    vec<kLanes> sums[T] = {};
    for (std::int64_t c = 0; c < stride; c += kLanes) {
      const vec<kLanes> in = load<kLanes>(inputs.rows[i] + c);
      GOSSAMER_UNROLL
      for (int t = 0; t < T; ++t) sums[t] += in * load<kLanes>(targets.rows[t] + c);
    }
    float dots[kTargets] = {};
    GOSSAMER_UNROLL
    for (int t = 0; t < T; ++t) dots[t] = sum_of<kLanes>(sums[t]);
    store<kTargets>(gains[i], (load<kTargets>(targets.wanted) - sigmoid(load<kTargets>(dots))) *
                                  load<kTargets>(targets.rates));
  }
  for (std::int64_t c = 0; c < stride; c += kLanes) {
    vec<kLanes> row[T], sum[T];
    GOSSAMER_UNROLL
    for (int t = 0; t < T; ++t) sum[t] = row[t] = load<kLanes>(targets.rows[t] + c);
    for (int i = 0; i < inputs.count; ++i) {  // a node may be there twice, so each is read after the last is written
      const vec<kLanes> in = load<kLanes>(inputs.rows[i] + c);
      vec<kLanes> change{};
      GOSSAMER_UNROLL
      for (int t = 0; t < T; ++t) {
        change += gains[i][t] * row[t];
        sum[t] += gains[i][t] * in;
      }
      store<kLanes>(inputs.rows[i] + c, in + change);
    }
    GOSSAMER_UNROLL
    for (int t = 0; t < T; ++t) store<kLanes>(targets.rows[t] + c, sum[t]);
  }
}

template <int T = kTargets>
GOSSAMER_INLINE void step_of(const Inputs& inputs, const Targets& targets, std::int64_t stride) {
  if constexpr (T > 0) {
    if (targets.count < T) return step_of<T - 1>(inputs, targets, stride);
    step<T>(inputs, targets, stride);
  }
}

GOSSAMER_INLINE void fetch(const float* row, std::int64_t stride) {
  for (std::int64_t c = 0; c < stride; c += 16) __builtin_prefetch(row + c, 1);
}

GOSSAMER_INLINE std::int64_t draw_noise(const SkipGram& a, Stream& random) {
  const std::uint64_t bits = random.next();
  const std::uint64_t place = ((bits >> 32) * static_cast<std::uint64_t>(a.nodes)) >> 32;
  const std::uint64_t entry = a.noise[place];
  return static_cast<std::int64_t>((bits & 0xFFFFFFFFu) < entry >> 32 ? place : entry & 0xFFFFFFFFu);
}

// Draws the targets of a node from `first` on, of which number 0 is the node itself.
GOSSAMER_INLINE void draw_targets(const SkipGram& a, Stream& random, std::int64_t node, std::int64_t first, float rate,
                                  Targets& out) {
  const std::int64_t last = smaller<std::int64_t>(a.negatives + 1, first + kTargets);
  out.count = 0;
  for (int t = 0; t < kTargets; ++t) out.rates[t] = out.wanted[t] = 0.0f;
  for (std::int64_t t = first; t < last; ++t) {
    const std::int64_t target = t == 0 ? node : draw_noise(a, random);
    if (t > 0 && target == node) continue;
    float* row = a.contexts + target * a.stride;
    int place = 0;
    while (place < out.count && out.rows[place] != row) ++place;
    out.rates[place] += rate;
    if (place < out.count) continue;
    out.rows[out.count++] = row;
    out.wanted[place] = t == 0 ? 1.0f : 0.0f;
    fetch(row, a.stride);
  }
}

// A node that is predicted by those of the walk in [first, last), itself left out.
struct Centre {
  std::int64_t first;
  std::int64_t last;
  Stream rest;  // gives the noise beyond the first targets
  Targets targets;
};

GOSSAMER_INLINE void begin(const SkipGram& a, Stream& random, const std::int32_t* nodes, std::int64_t count,
                           std::int64_t place, float rate, Centre& out) {
  const std::int64_t reach = 1 + random.below(a.window);
  out.first = larger<std::int64_t>(place - reach, 0);
  out.last = smaller(place + reach + 1, count);
  draw_targets(a, random, nodes[place], 0, rate, out.targets);
  out.rest = random;
  random.skip(larger<std::int64_t>(a.negatives + 1 - kTargets, 0));
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
  Centre now, ahead;
  if (count > 0) begin(a, random, nodes, count, 0, rate, ahead);
  for (std::int64_t place = 0; place < count; ++place) {
    now = ahead;
    if (place + 1 < count) begin(a, random, nodes, count, place + 1, rate, ahead);
    for (std::int64_t other = now.first; other < now.last;) {
      Inputs inputs{0, {}};
      for (; other < now.last && inputs.count < kInputs; ++other)
        if (other != place) inputs.rows[inputs.count++] = a.vectors + nodes[other] * a.stride;
      step_of(inputs, now.targets, a.stride);
      Stream rest = now.rest;
      for (std::int64_t first = kTargets; first <= a.negatives; first += kTargets) {
        Targets more;
        draw_targets(a, rest, nodes[place], first, rate, more);
        step_of(inputs, more, a.stride);
      }
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
