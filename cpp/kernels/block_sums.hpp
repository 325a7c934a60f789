// The sums of one block of 16 rows, for as many examples as the registers hold.
#pragma once

#include "vector.hpp"

namespace gossamer::GOSSAMER_ISA {

inline constexpr std::int64_t kRows = 16;              // of a block
inline constexpr int kParts = kRows / kLanes;          // vectors that hold 16 weights
inline constexpr int kExamples = kRegisters == 32 ? (kParts == 1 ? 24 : 6) : (kParts == 2 ? 6 : 3);

// The sums of the stored columns [begin, end) for N examples, on top of 16 biases: `out` is (N, 16), a row every
// `stride` numbers. `place(k)` is where the N numbers of stored column k lie.
template <int N, class Place>
GOSSAMER_INLINE void block_sums(const float* values, std::int64_t begin, std::int64_t end, Place place,
                                const float* bias, float* out, std::int64_t stride) {
  constexpr int chains = N * kParts >= 4 ? 1 : 4 / (N * kParts);  // enough sums to hide the latency of an addition
  std::int64_t e = begin;
  vec<kLanes> sum[chains][N][kParts] = {};
  const auto add = [&](std::int64_t at, vec<kLanes>(&to)[N][kParts]) __attribute__((always_inline)) {
    const float* x = place(at);
    const float* w = values + at * kRows;
    GOSSAMER_UNROLL
    for (int s = 0; s < kParts; ++s) {
      const vec<kLanes> weights = load<kLanes>(w + s * kLanes);
      GOSSAMER_UNROLL
      for (int b = 0; b < N; ++b) to[b][s] += x[b] * weights;
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
    for (int s = 0; s < kParts; ++s) {
      vec<kLanes> total = sum[0][b][s];
      GOSSAMER_UNROLL
      for (int j = 1; j < chains; ++j) total += sum[j][b][s];
      store<kLanes>(out + b * stride + s * kLanes, total + load<kLanes>(bias + s * kLanes));
    }
  }
}

}  // namespace gossamer::GOSSAMER_ISA
