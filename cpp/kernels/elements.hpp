// Loads features of any stored kind as vectors of floats.
#pragma once

#include "neighbours.hpp"
#include "vector.hpp"

namespace gossamer::GOSSAMER_ISA {

struct BFloat16 {
  std::uint16_t bits;
};

// W integers: narrow ones as they are stored, and wide ones of the size of a float.
template <int W>
struct integers_of {
  typedef std::uint16_t halves __attribute__((vector_size(W * 2)));
  typedef std::int8_t bytes __attribute__((vector_size(W)));
  typedef std::uint32_t bits __attribute__((vector_size(W * 4)));
  typedef std::int32_t numbers __attribute__((vector_size(W * 4)));
};

template <int W>
GOSSAMER_INLINE vec<W> widen(const float* from) {
  return load<W>(from);
}

template <int W>
GOSSAMER_INLINE vec<W> widen(const BFloat16* from) {
  vec<W> out;
  if constexpr (W == 1) {
    const std::uint32_t bits = static_cast<std::uint32_t>(from->bits) << 16;
    __builtin_memcpy(&out, &bits, sizeof out);
  } else {
    typename integers_of<W>::halves upper;
    __builtin_memcpy(&upper, from, sizeof upper);
    const auto shifted = __builtin_convertvector(upper, typename integers_of<W>::bits) << 16;
    __builtin_memcpy(&out, &shifted, sizeof out);
  }
  return out;
}

template <int W>
GOSSAMER_INLINE vec<W> widen(const std::int8_t* from) {
  if constexpr (W == 1) {
    return *from;
  } else {
    typename integers_of<W>::bytes numbers;
    __builtin_memcpy(&numbers, from, sizeof numbers);
    return __builtin_convertvector(__builtin_convertvector(numbers, typename integers_of<W>::numbers), vec<W>);
  }
}

// Calls `with(pointer)` with `x` as what it holds.
template <class Call>
GOSSAMER_INLINE auto with_element(Element element, const void* x, Call with) {
  switch (element) {
    case Element::bfloat16:
      return with(static_cast<const BFloat16*>(x));
    case Element::int8:
      return with(static_cast<const std::int8_t*>(x));
    default:
      return with(static_cast<const float*>(x));
  }
}

}  // namespace gossamer::GOSSAMER_ISA
