// The sums of rows of a CSR matrix over one panel of the input.
#pragma once

#include "vector.hpp"

namespace gossamer::GOSSAMER_ISA {

// Sums the entries [begin, end) of a row for N vectors of W examples, on top of a bias. `place(e)` is where the W N
// numbers of entry e lie; with `relu`, negative sums become zero.
template <int W, int N, class Place>
GOSSAMER_INLINE void row_sums(const float* values, std::int64_t begin, std::int64_t end, Place place, float bias,
                              bool relu, float* out) {
  constexpr int chains = N >= 4 ? 1 : 4 / N;  // enough independent sums to hide the latency of an addition
  std::int64_t e = begin;
  vec<W> sum[chains][N] = {};
  const auto add = [&](std::int64_t at, vec<W>(&to)[N]) __attribute__((always_inline)) {
    const float* x = place(at);
    const float w = values[at];
    GOSSAMER_UNROLL
    for (int k = 0; k < N; ++k) to[k] += w * load<W>(x + k * W);
  };
  for (; e + chains <= end; e += chains) {
    GOSSAMER_UNROLL
    for (int j = 0; j < chains; ++j) add(e + j, sum[j]);
  }
  for (; e < end; ++e) add(e, sum[0]);
  GOSSAMER_UNROLL
  for (int k = 0; k < N; ++k) {
    GOSSAMER_UNROLL
    for (int j = 1; j < chains; ++j) sum[0][k] += sum[j][k];
    const vec<W> total = sum[0][k] + bias;
    store<W>(out + k * W, relu ? rectified<W>(total) : total);
  }
}

}  // namespace gossamer::GOSSAMER_ISA
