// Loads features of any stored kind as vectors of floats.
#pragma once

#include "neighbours.hpp"
#include "vector.hpp"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

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

// GCC takes vectors of narrow integers apart lane by lane when they are converted, so both conversions are spelled out for
// the instruction sets that have one.
template <int W>
GOSSAMER_INLINE typename integers_of<W>::bits widen_halves(const BFloat16* from) {
#if defined(__AVX512F__)
  if constexpr (W == 16)
    return (typename integers_of<W>::bits)_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
#endif
#if defined(__AVX2__)
  if constexpr (W == 8)
    return (typename integers_of<W>::bits)_mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  if constexpr (W == 4)
    return (typename integers_of<W>::bits)_mm_cvtepu16_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
#endif
  typename integers_of<W>::halves narrow;
  __builtin_memcpy(&narrow, from, sizeof narrow);
  return __builtin_convertvector(narrow, typename integers_of<W>::bits);
}

template <int W>
GOSSAMER_INLINE typename integers_of<W>::numbers widen_bytes(const std::int8_t* from) {
#if defined(__AVX512F__)
  if constexpr (W == 16)
    return (typename integers_of<W>::numbers)_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
#endif
#if defined(__AVX2__)
  if constexpr (W == 8)
    return (typename integers_of<W>::numbers)_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
  if constexpr (W == 4) return (typename integers_of<W>::numbers)_mm_cvtepi8_epi32(_mm_loadu_si32(from));
#endif
  typename integers_of<W>::bytes narrow;
  __builtin_memcpy(&narrow, from, sizeof narrow);
  return __builtin_convertvector(narrow, typename integers_of<W>::numbers);
}

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
    const typename integers_of<W>::bits shifted = widen_halves<W>(from) << 16;
    __builtin_memcpy(&out, &shifted, sizeof out);
  }
  return out;
}

template <int W>
GOSSAMER_INLINE vec<W> widen(const std::int8_t* from) {
  if constexpr (W == 1) {
    return *from;
  } else {
    return __builtin_convertvector(widen_bytes<W>(from), vec<W>);
  }
}

// Entries between a fetch and its use; the fewer bytes a row has, the sooner it is needed.
template <class X>
constexpr int kAhead = sizeof(X) == 4 ? 12 : sizeof(X) == 2 ? 20 : 32;

// Asks for `bytes` from `from` on, which will be read soon.
GOSSAMER_INLINE void fetch(const void* from, std::int64_t bytes) {
  for (std::int64_t line = 0; line < bytes; line += 64) __builtin_prefetch(static_cast<const char*>(from) + line);
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
