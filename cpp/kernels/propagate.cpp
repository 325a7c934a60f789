// Sums over neighbours with one factor a node instead of one weight an entry, and all that follows the sum in one go.
//
// A factor of the source scales what it sends (symmetric normalisation, or the scale of a row stored as int8), one of the
// target scales what arrives (the mean); the addend is the node itself or its own product. A row is held in registers
// while its entries stream by, as in aggregate.cpp, and leaves them finished.
#include "columns.hpp"
#include "elements.hpp"
#include "neighbours.hpp"
#include "stretches.hpp"

#if defined(__AVX__)
#include <immintrin.h>
#endif

namespace gossamer::GOSSAMER_ISA {
namespace {

constexpr int kMost = kRegisters / 2;

constexpr std::int64_t kStreamed = std::int64_t{1} << 25;  // bytes of output beyond which no cache holds it anyway

// Says whether the output is written past the caches, which spares reading its lines first: where it is large and every
// vector of it stands on a boundary of its size.
bool streams(const Propagate& a) {
#if defined(__AVX__)
  const auto bytes = static_cast<std::int64_t>(a.features * sizeof(float));
  return a.graph.rows * bytes > kStreamed && bytes % (kLanes * 4) == 0 &&
         reinterpret_cast<std::uintptr_t>(a.out) % (kLanes * 4) == 0;
#else
  static_cast<void>(a);
  return false;
#endif
}

template <int W>
GOSSAMER_INLINE void put(float* to, vec<W> v, bool streamed) {
#if defined(__AVX512F__)
  if constexpr (W == 16)
    if (streamed) return _mm512_stream_ps(to, (__m512)v);
#elif defined(__AVX__)
  if constexpr (W == 8)
    if (streamed) return _mm256_stream_ps(to, (__m256)v);
#endif
  static_cast<void>(streamed);
  store<W>(to, v);
}

// Makes streamed numbers visible to other threads.
GOSSAMER_INLINE void settle(bool streamed) {
#if defined(__AVX__)
  if (streamed) _mm_sfence();
#else
  static_cast<void>(streamed);
#endif
}

// Finishes `W` columns of a row from its sum.
template <int W>
GOSSAMER_INLINE vec<W> finish(const Propagate& a, std::int64_t row, std::int64_t column, vec<W> sum) {
  if (a.target) sum *= a.target[row];
  if (a.add) sum += a.add_scale * load<W>(a.add + row * a.features + column);
  if (a.bias) sum += load<W>(a.bias + column);
  if (a.relu) sum = sum < 0 ? vec<W>{} : sum;
  return sum;
}

template <class X, class Index>
struct Rows {
  const Propagate& a;
  const X* x;
  Place from;
  Place to;
  float* carry;
  bool streamed;

  template <int W, int N>
  bool run(const Block& block) const {
    const auto* indices = static_cast<const Index*>(a.graph.indices);
    const std::int64_t features = a.features;
    const std::int64_t tail = block.last - block.first;
    const X* base = x + block.first;
    const float* factors = a.source;
    const std::int64_t fetchable = a.graph.entries - kAhead<X>;
    each_stretch(a.graph, from, to, [&](const Stretch& s) GOSSAMER_LAMBDA {
      vec<W> sum[N] = {};
      for (std::int64_t e = s.begin; e < s.end; ++e) {
        if (e < fetchable) {
          const std::int64_t ahead = indices[e + kAhead<X>];
          if (factors) __builtin_prefetch(factors + ahead);
          fetch(base + ahead * features, N * W * static_cast<std::int64_t>(sizeof(X)));
        }
        const X* source = base + static_cast<std::int64_t>(indices[e]) * features;
        const float factor = factors ? factors[indices[e]] : 1.0f;
        GOSSAMER_UNROLL
        for (int k = 0; k < N - 1; ++k) sum[k] += factor * widen<W>(source + k * W);
        sum[N - 1] += factor * widen<W>(source + tail);
      }
      float* out = (s.continued ? carry : a.out + s.row * features) + block.first;
      if (s.finished && !s.continued) {
        GOSSAMER_UNROLL
        for (int k = 0; k < N - 1; ++k) put<W>(out + k * W, finish<W>(a, s.row, block.first + k * W, sum[k]), streamed);
        put<W>(out + tail, finish<W>(a, s.row, block.last, sum[N - 1]), streamed);
      } else {
        GOSSAMER_UNROLL
        for (int k = 0; k < N - 1; ++k) store<W>(out + k * W, sum[k]);
        store<W>(out + tail, sum[N - 1]);
      }
    });
    return true;
  }
};

}  // namespace

std::size_t propagate_scratch(const Propagate& a) {
  return static_cast<std::size_t>(piece_count(a.graph, piece_steps(a.features)) * a.features);
}

bool propagate(const Propagate& a, float* scratch) {
  if (a.features == 0) return true;
  const bool streamed = streams(a);
  const auto run = [&](std::int64_t i, Place from, Place to) {
    float* carry = scratch + i * a.features;
    with_element(a.element, a.x, [&](const auto* x) {
      using X = std::decay_t<decltype(*x)>;
      a.graph.index_bytes == 4 ? cover_columns<kLanes, kMost>(a.features, Rows<X, std::int32_t>{a, x, from, to, carry, streamed})
                               : cover_columns<kLanes, kMost>(a.features, Rows<X, std::int64_t>{a, x, from, to, carry, streamed});
    });
    settle(streamed);
  };
  const auto merge = [&](std::int64_t i, const Stretch& s) {
    float* out = a.out + s.row * a.features;
    for (std::int64_t k = 0; k < a.features; ++k) out[k] += scratch[i * a.features + k];
    if (!s.finished) return;
    for (std::int64_t k = 0; k < a.features; ++k) out[k] = finish<1>(a, s.row, k, out[k]);
  };
  return run_pieces(a.graph, piece_steps(a.features), a.threads, run, merge);
}

}  // namespace gossamer::GOSSAMER_ISA
