// Vectors of 32-bit words, and the two things done to them that instruction sets do differently: counting bits, and
// dot products of four bytes.
#pragma once

#include "vector.hpp"

#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace gossamer::GOSSAMER_ISA {

typedef std::uint32_t words_t __attribute__((vector_size(kLanes * 4)));
typedef std::int32_t ints_t __attribute__((vector_size(kLanes * 4)));

constexpr int kOutputs = 16;                 // of a panel
constexpr int kParts = kOutputs / kLanes;    // vectors that hold a word of each

GOSSAMER_INLINE words_t load_words(const std::uint32_t* from) {
  words_t v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}

// Counts bits. `of` counts within counters of some width; `total` widens them to a lane, which has to happen before
// more than `kMost` words were added up.
struct BitCount {
#if defined(__AVX512VPOPCNTDQ__)
  static constexpr std::int64_t kMost = std::int64_t{1} << 26;
  static GOSSAMER_INLINE words_t of(words_t v) { return (words_t)_mm512_popcnt_epi32((__m512i)v); }
  static GOSSAMER_INLINE words_t total(words_t v) { return v; }
#else
  // A counter a byte, of at most 8 bits a word.
  static constexpr std::int64_t kMost = 31;
#if defined(__AVX512BW__)
  static GOSSAMER_INLINE words_t of(words_t v) {
    const __m512i table = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    const words_t low = v & 0x0f0f0f0fu, high = (v >> 4) & 0x0f0f0f0fu;
    return (words_t)_mm512_shuffle_epi8(table, (__m512i)low) + (words_t)_mm512_shuffle_epi8(table, (__m512i)high);
  }
#elif defined(__AVX2__)
  static GOSSAMER_INLINE words_t of(words_t v) {
    const __m256i table = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    const words_t low = v & 0x0f0f0f0fu, high = (v >> 4) & 0x0f0f0f0fu;
    return (words_t)_mm256_shuffle_epi8(table, (__m256i)low) + (words_t)_mm256_shuffle_epi8(table, (__m256i)high);
  }
#elif defined(__aarch64__)
  static GOSSAMER_INLINE words_t of(words_t v) { return (words_t)vcntq_u8((uint8x16_t)v); }
#else
  static GOSSAMER_INLINE words_t of(words_t v) {
    v -= (v >> 1) & 0x55555555u;
    v = (v & 0x33333333u) + ((v >> 2) & 0x33333333u);
    return (v + (v >> 4)) & 0x0f0f0f0fu;
  }
#endif
  static GOSSAMER_INLINE words_t total(words_t v) {
    const words_t pairs = (v & 0x00ff00ffu) + ((v >> 8) & 0x00ff00ffu);
    return (pairs & 0xffffu) + (pairs >> 16);
  }
#endif
};

// Where `both` is set and the bits of a and b are equal.
GOSSAMER_INLINE words_t both_equal(words_t both, words_t a, words_t b) {
#if defined(__AVX512F__)
  return (words_t)_mm512_ternarylogic_epi32((__m512i)both, (__m512i)a, (__m512i)b, 0x90);
#else
  return both & ~(a ^ b);
#endif
}

// Everywhere but where `both` is set and the bits of a and b differ.
GOSSAMER_INLINE words_t not_different(words_t both, words_t a, words_t b) {
#if defined(__AVX512F__)
  return (words_t)_mm512_ternarylogic_epi32((__m512i)both, (__m512i)a, (__m512i)b, 0x9f);
#else
  return ~(both & (a ^ b));
#endif
}

// Dot products of the four signed bytes in each lane of the weights with the four bytes of one word of the input, which
// `lay_out` has turned into `kExpand` words.
struct ByteDot {
#if defined(__AVX512VNNI__)
  // The instruction takes unsigned bytes on one side: 128 is added to each weight, and 128 times the sum of the input
  // is left for the caller to take away.
  static constexpr int kExpand = 1;
  static constexpr std::int32_t kSurplus = 128;
  typedef words_t Weights;
  static GOSSAMER_INLINE Weights of_signed(words_t w) { return w ^ 0x80808080u; }
  static GOSSAMER_INLINE Weights of_unsigned(words_t w) { return w; }
  static GOSSAMER_INLINE words_t add(words_t sum, const Weights& w, const std::uint32_t* x, std::int64_t) {
    return (words_t)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)w, _mm512_set1_epi32(static_cast<int>(*x)));
  }
#elif defined(__SSE2__)
  // Bytes 0 and 2, then bytes 1 and 3, as pairs of 16-bit numbers.
  static constexpr int kExpand = 2;
  static constexpr std::int32_t kSurplus = 0;
  typedef std::int16_t shorts_t __attribute__((vector_size(kLanes * 4)));
  struct Weights {
    shorts_t even, odd;
  };
  static GOSSAMER_INLINE Weights of_signed(words_t w) { return {((shorts_t)w << 8) >> 8, (shorts_t)w >> 8}; }
  static GOSSAMER_INLINE Weights of_unsigned(words_t w) {  // below 128
    return of_signed(w);
  }
  static GOSSAMER_INLINE words_t dot(shorts_t w, std::uint32_t x) {
    const words_t spread = x - words_t{};
#if defined(__AVX512BW__)
    return (words_t)_mm512_madd_epi16((__m512i)w, (__m512i)spread);
#elif defined(__AVX2__)
    return (words_t)_mm256_madd_epi16((__m256i)w, (__m256i)spread);
#else
    return (words_t)_mm_madd_epi16((__m128i)w, (__m128i)spread);
#endif
  }
  static GOSSAMER_INLINE words_t add(words_t sum, const Weights& w, const std::uint32_t* x, std::int64_t stride) {
    return sum + dot(w.even, x[0]) + dot(w.odd, x[stride]);
  }
#else
  // One byte at a time, as 32-bit numbers.
  static constexpr int kExpand = 4;
  static constexpr std::int32_t kSurplus = 0;
  struct Weights {
    words_t byte[4];
  };
  static GOSSAMER_INLINE Weights of_signed(words_t w) {
    Weights out;
    GOSSAMER_UNROLL
    for (int i = 0; i < 4; ++i) out.byte[i] = (words_t)((ints_t)(w << (24 - 8 * i)) >> 24);
    return out;
  }
  static GOSSAMER_INLINE Weights of_unsigned(words_t w) { return of_signed(w); }  // below 128
  static GOSSAMER_INLINE words_t add(words_t sum, const Weights& w, const std::uint32_t* x, std::int64_t stride) {
    GOSSAMER_UNROLL
    for (int i = 0; i < 4; ++i) sum += w.byte[i] * x[i * stride];
    return sum;
  }
#endif

  // Writes the words that stand for `word` to `to`, `stride` apart.
  static GOSSAMER_INLINE void lay_out(std::uint32_t word, std::uint32_t* to, std::int64_t stride) {
    if constexpr (kExpand == 1) {
      *to = word;
    } else {
      std::uint32_t wide[4];
      for (int i = 0; i < 4; ++i) wide[i] = static_cast<std::uint32_t>(static_cast<std::int8_t>(word >> (8 * i)));
      if constexpr (kExpand == 2) {
        to[0] = (wide[0] & 0xffffu) | wide[2] << 16;
        to[stride] = (wide[1] & 0xffffu) | wide[3] << 16;
      } else {
        for (int i = 0; i < 4; ++i) to[i * stride] = wide[i];
      }
    }
  }
};

// Adds up the four signed bytes of each of `count` words.
inline std::uint32_t sum_bytes(const std::uint32_t* words, std::int64_t count) {
  std::int32_t sum = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint32_t w = words[i];
    sum += static_cast<std::int8_t>(w) + static_cast<std::int8_t>(w >> 8) + static_cast<std::int8_t>(w >> 16) +
           static_cast<std::int8_t>(w >> 24);
  }
  return static_cast<std::uint32_t>(sum);
}

}  // namespace gossamer::GOSSAMER_ISA
