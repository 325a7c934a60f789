// The sums of one row of a CSR matrix for 1, 2, 4 or 8 examples, which leave most lanes of a vector empty.
//
// What this costs is loads, of which a processor does about two a cycle. An entry takes one for its numbers of the input;
// its index and its value come together with those of its neighbours.
#pragma once

#include <utility>

#include "elements.hpp"

namespace gossamer::GOSSAMER_ISA {

// Where four neighbouring columns begin, of N numbers each; of narrow indices, two are moved and multiplied as one.
template <int N>
struct Places {
  std::int64_t at[4];

  GOSSAMER_INLINE explicit Places(const std::int64_t* from) : at{N * from[0], N * from[1], N * from[2], N * from[3]} {}
  GOSSAMER_INLINE explicit Places(const std::int32_t* from) {
    constexpr int low = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 0 : 1;
    GOSSAMER_UNROLL
    for (int i = 0; i < 4; i += 2) {
      std::uint64_t both;
      __builtin_memcpy(&both, from + i, sizeof both);
      both *= N;
      at[i + low] = static_cast<std::uint32_t>(both);
      at[i + 1 - low] = static_cast<std::int64_t>(both >> 32);
    }
  }
};

// The N numbers of each of the columns that begin at `at`, as many columns as fill a vector.
template <int N>
GOSSAMER_INLINE vec<larger(N, 4)> numbers(const float* x, const std::int64_t* at) {
  if constexpr (N == 1) {
    return vec<4>{x[at[0]], x[at[1]], x[at[2]], x[at[3]]};
  } else if constexpr (N == 2) {
    typedef double Pairs __attribute__((vector_size(16)));
    const auto pair = [&](std::int64_t place) GOSSAMER_LAMBDA {
      double both;
      __builtin_memcpy(&both, x + place, sizeof both);
      return both;
    };
    return (vec<4>)Pairs{pair(at[0]), pair(at[1])};
  } else {
    return load<N>(x + at[0]);
  }
}

// The N numbers of one column, and zeros in the lanes beyond them.
template <int N>
GOSSAMER_INLINE vec<larger(N, 4)> numbers_of_one(const float* x) {
  if constexpr (N >= 4) {
    return load<N>(x);
  } else {
    return vec<4>{x[0], N > 1 ? x[N - 1] : 0.0f};
  }
}

// The values from `first` on, each in N neighbouring lanes.
template <int N, int first, int... lane>
GOSSAMER_INLINE auto spread(vec<4> values, std::integer_sequence<int, lane...>) {
  return __builtin_shufflevector(values, values, (first + lane / N)...);
}

// Keeps four values in a register, where the compiler would load each of them once more to spread it.
GOSSAMER_INLINE vec<4> held(vec<4> values) {
#if defined(__AVX512VL__)
  asm("" : "+v"(values));
#elif defined(__SSE__)
  asm("" : "+x"(values));
#endif
  return values;
}

// Writes the sums of the entries [begin, end) for N examples; `x` holds N numbers a column, fewer than 2^32 in all.
template <int N, class Value, class Index>
GOSSAMER_INLINE void few_sums(const Value* values, const Index* indices, std::int64_t begin, std::int64_t end,
                              const float* x, float* out) {
  constexpr int W = larger(N, 4), vectors = smaller(N, 4), each = 4 / vectors;  // a vector holds `each` entries
  constexpr int chains = vectors == 4 ? 1 : 2;  // four sums hide the latency of an addition
  vec<W> sum[chains][vectors] = {};
  const auto add = [&]<int... v>(std::int64_t e, vec<W>(&to)[vectors], std::integer_sequence<int, v...>) GOSSAMER_LAMBDA {
    const Places<N> places(indices + e);
    const vec<4> w = held(widen<4>(values + e));
    ((to[v] += spread<N, v * each>(w, std::make_integer_sequence<int, W>{}) * numbers<N>(x, places.at + v * each)), ...);
  };
  constexpr auto all = std::make_integer_sequence<int, vectors>{};
  std::int64_t e = begin;
  for (; e + 4 * chains <= end; e += 4 * chains) {
    GOSSAMER_UNROLL
    for (int c = 0; c < chains; ++c) add(e + 4 * c, sum[c], all);
  }
  for (; e + 4 <= end; e += 4) add(e, sum[0], all);
  for (; e < end; ++e) {
    const float w = widen<1>(values + e);
    const vec<W> one = N >= 4 ? w - vec<W>{} : vec<W>{w, N > 1 ? w : 0.0f};
    sum[chains - 1][0] += one * numbers_of_one<N>(x + static_cast<std::int64_t>(indices[e]) * N);
  }
  vec<W> total = sum[0][0];
  GOSSAMER_UNROLL
  for (int i = 1; i < chains * vectors; ++i) total += sum[i / vectors][i % vectors];
  if constexpr (N == 1) {
    *out = lane_sum<4>(total);
  } else if constexpr (N == 2) {
    out[0] = total[0] + total[2];
    out[1] = total[1] + total[3];
  } else {
    store<N>(out, total);
  }
}

}  // namespace gossamer::GOSSAMER_ISA
