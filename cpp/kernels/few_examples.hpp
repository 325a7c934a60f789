// The sums of one row of a CSR matrix for one or two examples, which leave lanes of a vector empty: entries fill them.
//
// What this costs is loads, of which a processor does about two a cycle. An entry takes one for its numbers of the input;
// its value comes in a vector with those of its neighbours.
#pragma once

#include "elements.hpp"

namespace gossamer::GOSSAMER_ISA {

// The sum of the entries [begin, end) for one example; `place(e)` is where the number of entry e lies.
template <class Value, class Place>
GOSSAMER_INLINE void few_sums(std::integral_constant<int, 1>, const Value* values, std::int64_t begin, std::int64_t end,
                              Place place, float* out) {
  const auto four = [&](std::int64_t e) GOSSAMER_LAMBDA {
    return widen<4>(values + e) * vec<4>{*place(e), *place(e + 1), *place(e + 2), *place(e + 3)};
  };
  std::int64_t e = begin;
  vec<4> even = {}, odd = {};  // two chains: an addition takes several cycles
  for (; e + 8 <= end; e += 8) {
    even += four(e);
    odd += four(e + 4);
  }
  float rest = 0.0f;
  for (; e < end; ++e) rest += widen<1>(values + e) * *place(e);
  *out = lane_sum<4>(even + odd) + rest;
}

// Two neighbouring numbers, moved as one.
GOSSAMER_INLINE double pair_at(const float* from) {
  double both;
  __builtin_memcpy(&both, from, sizeof both);
  return both;
}

// The sums of the entries [begin, end) for two examples; `place(e)` is where the two numbers of entry e lie.
template <class Value, class Place>
GOSSAMER_INLINE void few_sums(std::integral_constant<int, 2>, const Value* values, std::int64_t begin, std::int64_t end,
                              Place place, float* out) {
  typedef double Pairs __attribute__((vector_size(16)));
  const auto numbers = [&](std::int64_t e) GOSSAMER_LAMBDA {
    return (vec<4>)Pairs{pair_at(place(e)), pair_at(place(e + 1))};
  };
  std::int64_t e = begin;
  vec<4> sum[4] = {};
  for (; e + 8 <= end; e += 8) {
    GOSSAMER_UNROLL
    for (int j = 0; j < 2; ++j) {
      const vec<4> w = widen<4>(values + e + 4 * j);
      sum[2 * j] += __builtin_shufflevector(w, w, 0, 0, 1, 1) * numbers(e + 4 * j);
      sum[2 * j + 1] += __builtin_shufflevector(w, w, 2, 2, 3, 3) * numbers(e + 4 * j + 2);
    }
  }
  const vec<4> total = sum[0] + sum[1] + (sum[2] + sum[3]);
  float first = total[0] + total[2], second = total[1] + total[3];
  for (; e < end; ++e) {
    const float w = widen<1>(values + e);
    first += w * place(e)[0];
    second += w * place(e)[1];
  }
  out[0] = first;
  out[1] = second;
}

}  // namespace gossamer::GOSSAMER_ISA
