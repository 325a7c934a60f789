// Exponentials, and numbers of several heads side by side in one vector.
#pragma once

#include <utility>

#include "vector.hpp"

namespace gossamer::GOSSAMER_ISA {

template <int W>
struct unsigned_of {
  typedef std::uint32_t type __attribute__((vector_size(W * 4)));
};
template <>
struct unsigned_of<1> {
  typedef std::uint32_t type;
};
template <int W>
using bits_of = typename unsigned_of<W>::type;

// Returns e^x to within two units of the last place; below -87 it is zero, NaN stays NaN. With n the nearest integer to
// x / log 2 it is 2^n times the polynomial of the Cephes library in what is left, at most log(2) / 2.
template <int W>
GOSSAMER_INLINE vec<W> exponential(vec<W> x) {
  constexpr float kShift = 12582912.0f;  // 1.5 · 2^23: adding it leaves an integer in the last bits
  const vec<W> shifted = x * 1.44269504f + kShift;
  const vec<W> n = shifted - kShift;
  const vec<W> rest = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  vec<W> p = rest * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * rest + 8.3334519073e-3f;
  p = p * rest + 4.1665795894e-2f;
  p = p * rest + 1.6666665459e-1f;
  p = p * rest + 5.0000001201e-1f;
  p = p * (rest * rest) + rest + 1.0f;
  bits_of<W> bits, power;
  __builtin_memcpy(&bits, &p, sizeof bits);
  __builtin_memcpy(&power, &shifted, sizeof power);
  bits += power << 23;
  vec<W> out;
  __builtin_memcpy(&out, &bits, sizeof out);
  out = x < -87.0f ? vec<W>{} : out;
  out = x > 88.0f ? vec<W>{} + __builtin_inff() : out;
  return x != x ? x : out;
}

// The larger of each pair of lanes; a NaN is larger than anything.
template <int W>
GOSSAMER_INLINE vec<W> larger_or_nan(vec<W> a, vec<W> b) {
  return ((a > b) | (a != a)) ? a : b;
}

template <int W, int by, int... lane>
GOSSAMER_INLINE vec<W> rotate(vec<W> v, std::integer_sequence<int, lane...>) {
  return __builtin_shufflevector(v, v, ((lane + by) % W)...);
}

// Combines all lanes whose numbers agree modulo `slots`, a power of two, and leaves the result in each of them.
template <int W, int by = W / 2, class Combine>
GOSSAMER_INLINE vec<W> fold(vec<W> v, int slots, const Combine& combine) {
  if constexpr (by >= 1) {
    if (by >= slots) v = combine(v, rotate<W, by>(v, std::make_integer_sequence<int, W>{}));
    return fold<W, by / 2>(v, slots, combine);
  } else {
    return v;
  }
}

}  // namespace gossamer::GOSSAMER_ISA
