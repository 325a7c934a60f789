// The sums of one block of R rows, for as many examples as the registers hold.
#pragma once

#include "elements.hpp"

namespace gossamer::GOSSAMER_ISA {

template <int R>
inline constexpr int kWide = smaller(R, kLanes);  // lanes of a vector of weights
template <int R>
inline constexpr int kParts = R / kWide<R>;  // vectors that hold R weights
template <int R>
inline constexpr int kExamples = (kRegisters == 32 ? 24 : 12) / kParts<R>;

inline constexpr int kFetched = 16;  // stored columns between a fetch and its use, where reading them is what takes time

// The counts of examples with code of their own: all below kStep, and its multiples.
template <int R>
inline constexpr int kStep = kExamples<R> % 4 == 0 ? 4 : (kExamples<R> % 2 == 0 ? 2 : 1);

// Returns the smallest of them that is no less than `count`.
template <int R>
GOSSAMER_INLINE std::int64_t padded(std::int64_t count) {
  return count < kStep<R> ? count : ceil_div(count, kStep<R>) * kStep<R>;
}

// The sums of the stored columns [begin, end) for N examples, on top of R biases: `out` is (N, R), a row every `stride`
// numbers. `place(k)` is where the first of the N numbers of stored column k lies; the others are `apart` numbers apart.
template <int R, int N, class Value, class Place, class Apart>
GOSSAMER_INLINE void block_sums(const Value* values, std::int64_t begin, std::int64_t end, Place place, Apart apart,
                                const float* bias, bool relu, float* out, std::int64_t stride) {
  constexpr int W = kWide<R>, parts = kParts<R>;
  constexpr int chains = N * parts >= 6 ? 1 : ceil_div(8, N * parts);  // sums that hide the latency of an addition
  std::int64_t e = begin;
  vec<W> sum[chains][N][parts] = {};
  const auto add = [&](std::int64_t at, vec<W>(&to)[N][parts]) __attribute__((always_inline)) {
    const float* x = place(at);
    const Value* w = values + at * R;
    if constexpr (N <= 2) __builtin_prefetch(w + kFetched * R);
    GOSSAMER_UNROLL
    for (int s = 0; s < parts; ++s) {
      const vec<W> weights = widen<W>(w + s * W);
      GOSSAMER_UNROLL
      for (int b = 0; b < N; ++b) to[b][s] += x[b * apart] * weights;
    }
  };
  for (; e + chains <= end; e += chains) {
    GOSSAMER_UNROLL
    for (int j = 0; j < chains; ++j) add(e + j, sum[j]);
  }
  for (; e < end; ++e) add(e, sum[0]);
  GOSSAMER_UNROLL
  for (int b = 0; b < N; ++b) {
    GOSSAMER_UNROLL
    for (int s = 0; s < parts; ++s) {
      vec<W> total = sum[0][b][s];
      GOSSAMER_UNROLL
      for (int j = 1; j < chains; ++j) total += sum[j][b][s];
      total += load<W>(bias + s * W);
      store<W>(out + b * stride + s * W, relu ? rectified<W>(total) : total);
    }
  }
}

}  // namespace gossamer::GOSSAMER_ISA
