// The softmax of one row.
#pragma once

#include "dense.hpp"
#include "softmax.hpp"

namespace gossamer::GOSSAMER_ISA {

// out[i] = e^(x[i] - top) / sum; the same place is fine. A row of -inf alone gives NaN, as elsewhere.
inline void softmax_row(const float* x, std::int64_t count, float* out) {
  float top = -__builtin_inff();
  std::int64_t i = 0;
  vec<kLanes> tops = vec<kLanes>{} + top;
  for (; i + kLanes <= count; i += kLanes) tops = larger_or_nan<kLanes>(load<kLanes>(x + i), tops);
  alignas(64) float lanes[kLanes];
  store<kLanes>(lanes, tops);
  for (float lane : lanes) top = lane > top || lane != lane ? lane : top;
  for (; i < count; ++i) top = x[i] > top || x[i] != x[i] ? x[i] : top;

  vec<kLanes> sums = {};
  float sum = 0.0f;
  for (i = 0; i + kLanes <= count; i += kLanes) {
    const vec<kLanes> power = exponential<kLanes>(load<kLanes>(x + i) - top);
    store<kLanes>(out + i, power);
    sums += power;
  }
  if (i < count) {
    alignas(64) float tail[kLanes];
    for (int k = 0; k < kLanes; ++k) tail[k] = i + k < count ? x[i + k] - top : -__builtin_inff();
    store<kLanes>(tail, exponential<kLanes>(load<kLanes>(tail)));
    for (std::int64_t k = 0; i + k < count; ++k) {
      out[i + k] = tail[k];
      sum += tail[k];
    }
  }
  sum += lane_sum<kLanes>(sums);
  const float factor = 1.0f / sum;
  for (i = 0; i < count; ++i) out[i] *= factor;
}

}  // namespace gossamer::GOSSAMER_ISA
