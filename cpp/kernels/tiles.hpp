// Moves tiles between the arrays of a layer, of float32 or bfloat16, and the panels of floats that kernels work on.
#pragma once

#include "elements.hpp"
#include "transpose_tile.hpp"

namespace gossamer::GOSSAMER_ISA {

inline constexpr std::int64_t kTileRows = 64;  // most rows of a tile that is turned

template <int W>
GOSSAMER_INLINE void narrow(float* to, vec<W> v) {
  store<W>(to, v);
}

// Rounds to the nearest, ties to even; a NaN stays one.
template <int W>
GOSSAMER_INLINE void narrow(BFloat16* to, vec<W> v) {
  if constexpr (W == 1) {
    std::uint32_t bits;
    __builtin_memcpy(&bits, &v, sizeof bits);
    to->bits = static_cast<std::uint16_t>(v != v ? bits >> 16 | 0x40u : (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
  } else {
    using Bits = typename integers_of<W>::bits;
    const Bits bits = (Bits)v;
    const Bits rounded = v == v ? (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16 : (bits >> 16 | 0x40u);
#if defined(__AVX512F__)
    if constexpr (W == 16) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_cvtepi32_epi16((__m512i)rounded));
      return;
    }
#endif
    const auto halves = __builtin_convertvector(rounded, typename integers_of<W>::halves);
    __builtin_memcpy(to, &halves, sizeof halves);
  }
}

// to[i] = from[i] for `count` numbers.
inline void widen_line(float* to, const float* from, std::int64_t count) {
  __builtin_memcpy(to, from, count * sizeof(float));
}

inline void widen_line(float* to, const BFloat16* from, std::int64_t count) {
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store<kLanes>(to + i, widen<kLanes>(from + i));
  for (; i < count; ++i) to[i] = widen<1>(from + i);
}

inline void narrow_line(float* to, const float* from, std::int64_t count) {
  __builtin_memcpy(to, from, count * sizeof(float));
}

inline void narrow_line(BFloat16* to, const float* from, std::int64_t count) {
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) narrow<kLanes>(to + i, load<kLanes>(from + i));
  for (; i < count; ++i) narrow<1>(to + i, from[i]);
}

// Asks for share `i` of `shares` of the examples [from, to) of a layer's input, one row an example, to come as near as
// the second-level cache: while the products of the examples before are computed, memory has nothing else to do.
template <class Data>
GOSSAMER_INLINE void fetch_share(const void* x, std::int64_t columns, std::int64_t from, std::int64_t to, std::int64_t i,
                                 std::int64_t shares) {
  const auto* begin = reinterpret_cast<const char*>(static_cast<const Data*>(x) + from * columns);
  const std::int64_t lines = ceil_div((to - from) * columns * static_cast<std::int64_t>(sizeof(Data)), 64);
  for (std::int64_t line = lines * i / shares; line < lines * (i + 1) / shares; ++line)
    __builtin_prefetch(begin + line * 64, 0, 2);
}

// to[c, r] = from[r, c] for `rows` x `columns` numbers, at most kTileRows rows.
inline void turn_in(float* to, std::int64_t to_stride, const float* from, std::int64_t from_stride, std::int64_t rows,
                    std::int64_t columns) {
  transpose(to, to_stride, from, from_stride, rows, columns);
}

inline void turn_in(float* to, std::int64_t to_stride, const BFloat16* from, std::int64_t from_stride,
                    std::int64_t rows, std::int64_t columns) {
  alignas(64) float tile[kTileRows * 16];
  for (std::int64_t c = 0; c < columns; c += 16) {
    const std::int64_t wide = smaller<std::int64_t>(16, columns - c);
    for (std::int64_t r = 0; r < rows; ++r) widen_line(tile + r * 16, from + r * from_stride + c, wide);
    transpose(to + c * to_stride, to_stride, tile, 16, rows, wide);
  }
}

// to[c, r] = from[r, c] for `rows` x `columns` numbers, at most 16 kTileRows of them.
inline void turn_out(float* to, std::int64_t to_stride, const float* from, std::int64_t from_stride, std::int64_t rows,
                     std::int64_t columns) {
  transpose(to, to_stride, from, from_stride, rows, columns);
}

inline void turn_out(BFloat16* to, std::int64_t to_stride, const float* from, std::int64_t from_stride,
                     std::int64_t rows, std::int64_t columns) {
  alignas(64) float tile[kTileRows * 16];
  transpose(tile, rows, from, from_stride, rows, columns);
  for (std::int64_t c = 0; c < columns; ++c) narrow_line(to + c * to_stride, tile + c * rows, rows);
}

}  // namespace gossamer::GOSSAMER_ISA
