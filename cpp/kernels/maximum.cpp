// The largest of the neighbours, feature by feature, and its gradient.
//
// The gradient of a maximum goes in equal parts to all that are the maximum, as in PyTorch's amax: after a ReLU, ties at zero
// are the rule. So the forward pass counts them, and nothing of the size of the edges is kept. The backward pass walks the
// transposed graph and takes a target's share wherever the target's maximum is the source's own number.
#include "columns.hpp"
#include "elements.hpp"
#include "neighbours.hpp"
#include "stretches.hpp"

namespace gossamer::GOSSAMER_ISA {
namespace {

constexpr int kMost = kRegisters / 4;
constexpr float kLeast = -__builtin_inff();

// Takes `v`, which `times` entries have, into a maximum and its count. A NaN, once there, stays.
template <int W>
GOSSAMER_INLINE void take(vec<W>& best, vec<W>& count, vec<W> v, vec<W> times) {
  const auto larger_or_nan = (v > best) | (v != v);
  const auto same = v == best;
  count = larger_or_nan ? times : (same ? count + times : count);
  best = larger_or_nan ? v : best;
}

template <class X, class Index>
struct Largest {
  const Maximum& a;
  const X* x;
  Place from;
  Place to;
  float* carry;  // the maxima, then the counts

  template <int W, int N>
  bool run(const Block& block) const {
    const auto* indices = static_cast<const Index*>(a.graph.indices);
    const std::int64_t features = a.features;
    const std::int64_t tail = block.last - block.first;
    const X* base = x + block.first;
    const float* factors = a.source;
    const std::int64_t fetchable = a.graph.entries - kAhead<X>;
    each_stretch(a.graph, from, to, [&](const Stretch& s) GOSSAMER_LAMBDA {
      vec<W> best[N], count[N] = {};
      GOSSAMER_UNROLL
      for (int k = 0; k < N; ++k) best[k] = vec<W>{} + kLeast;
      for (std::int64_t e = s.begin; e < s.end; ++e) {
        if (e < fetchable) {
          const std::int64_t ahead = indices[e + kAhead<X>];
          if (factors) __builtin_prefetch(factors + ahead);
          fetch(base + ahead * features, N * W * static_cast<std::int64_t>(sizeof(X)));
        }
        const X* source = base + static_cast<std::int64_t>(indices[e]) * features;
        const float factor = factors ? factors[indices[e]] : 1.0f;
        GOSSAMER_UNROLL
        for (int k = 0; k < N - 1; ++k) take<W>(best[k], count[k], factor * widen<W>(source + k * W), vec<W>{} + 1.0f);
        take<W>(best[N - 1], count[N - 1], factor * widen<W>(source + tail), vec<W>{} + 1.0f);
      }
      if (s.begin == s.end && !s.continued) {  // no entries at all
        GOSSAMER_UNROLL
        for (int k = 0; k < N; ++k) best[k] = vec<W>{};
      }
      float* out = (s.continued ? carry : a.out + s.row * features) + block.first;
      GOSSAMER_UNROLL
      for (int k = 0; k < N - 1; ++k) store<W>(out + k * W, best[k]);
      store<W>(out + tail, best[N - 1]);
      if (s.continued || a.ties) {
        float* ties = (s.continued ? carry + features : a.ties + s.row * features) + block.first;
        GOSSAMER_UNROLL
        for (int k = 0; k < N - 1; ++k) store<W>(ties + k * W, count[k]);
        store<W>(ties + tail, count[N - 1]);
      }
    });
    return true;
  }
};

template <class Index>
struct Shares {
  const MaximumBack& a;
  Place from;
  Place to;
  float* carry;

  template <int W, int N>
  bool run(const Block& block) const {
    const auto* indices = static_cast<const Index*>(a.graph.indices);
    const std::int64_t features = a.features;
    const std::int64_t tail = block.last - block.first;
    const std::int64_t fetchable = a.graph.entries - kAhead<float>;
    each_stretch(a.graph, from, to, [&](const Stretch& s) GOSSAMER_LAMBDA {
      vec<W> mine[N], sum[N] = {};
      const float* x = a.x + s.row * features + block.first;
      GOSSAMER_UNROLL
      for (int k = 0; k < N - 1; ++k) mine[k] = load<W>(x + k * W);
      mine[N - 1] = load<W>(x + tail);
      for (std::int64_t e = s.begin; e < s.end; ++e) {
        if (e < fetchable) {
          const std::int64_t next = static_cast<std::int64_t>(indices[e + kAhead<float>]) * features + block.first;
          for (int line = 0; line < N * W; line += 16) {
            __builtin_prefetch(a.largest + next + line);
            __builtin_prefetch(a.share + next + line);
          }
        }
        const std::int64_t at = static_cast<std::int64_t>(indices[e]) * features + block.first;
        const auto add = [&](int k, std::int64_t column) GOSSAMER_LAMBDA {
          const vec<W> share = load<W>(a.share + at + column);
          sum[k] += load<W>(a.largest + at + column) == mine[k] ? share : vec<W>{};
        };
        GOSSAMER_UNROLL
        for (int k = 0; k < N - 1; ++k) add(k, k * W);
        add(N - 1, tail);
      }
      float* out = (s.continued ? carry : a.out + s.row * features) + block.first;
      GOSSAMER_UNROLL
      for (int k = 0; k < N - 1; ++k) store<W>(out + k * W, sum[k]);
      store<W>(out + tail, sum[N - 1]);
    });
    return true;
  }
};

}  // namespace

std::size_t maximum_scratch(const Maximum& a) {
  return static_cast<std::size_t>(piece_count(a.graph, piece_steps(a.features)) * 2 * a.features);
}

bool maximum(const Maximum& a, float* scratch) {
  if (a.features == 0) return true;
  const auto run = [&](std::int64_t i, Place from, Place to) {
    float* carry = scratch + i * 2 * a.features;
    with_element(a.element, a.x, [&](const auto* x) {
      using X = std::decay_t<decltype(*x)>;
      a.graph.index_bytes == 4
          ? cover_columns<kLanes, kMost>(a.features, Largest<X, std::int32_t>{a, x, from, to, carry})
          : cover_columns<kLanes, kMost>(a.features, Largest<X, std::int64_t>{a, x, from, to, carry});
    });
  };
  const auto merge = [&](std::int64_t i, const Stretch& s) {
    const float* carry = scratch + i * 2 * a.features;
    for (std::int64_t k = 0; k < a.features; ++k) {
      float unused = 0.0f;
      const std::int64_t at = s.row * a.features + k;
      take<1>(a.out[at], a.ties ? a.ties[at] : unused, carry[k], carry[a.features + k]);
    }
  };
  return run_pieces(a.graph, piece_steps(a.features), a.threads, run, merge);
}

std::size_t maximum_back_scratch(const MaximumBack& a) {
  return static_cast<std::size_t>(piece_count(a.graph, piece_steps(2 * a.features)) * a.features);
}

bool maximum_back(const MaximumBack& a, float* scratch) {
  if (a.features == 0) return true;
  const auto run = [&](std::int64_t i, Place from, Place to) {
    float* carry = scratch + i * a.features;
    a.graph.index_bytes == 4 ? cover_columns<kLanes, kMost>(a.features, Shares<std::int32_t>{a, from, to, carry})
                             : cover_columns<kLanes, kMost>(a.features, Shares<std::int64_t>{a, from, to, carry});
  };
  const auto merge = [&](std::int64_t i, const Stretch& s) {
    float* out = a.out + s.row * a.features;
    for (std::int64_t k = 0; k < a.features; ++k) out[k] += scratch[i * a.features + k];
  };
  return run_pieces(a.graph, piece_steps(2 * a.features), a.threads, run, merge);
}

}  // namespace gossamer::GOSSAMER_ISA
