// Transposes small tiles of floats in registers.
#pragma once

#include <utility>

#include "vector.hpp"

namespace gossamer::GOSSAMER_ISA {

template <int W, int offset, int... lane>
GOSSAMER_INLINE vec<W> zip(vec<W> a, vec<W> b, std::integer_sequence<int, lane...>) {
  return __builtin_shufflevector(a, b, (offset + lane / 2 + (lane % 2) * W)...);
}

// Transposes W x W numbers. Interleaving each vector of the first half with its partner in the second half, log2(W)
// times, is the transposition.
template <int W>
GOSSAMER_INLINE void transpose_square(float* to, std::int64_t to_stride, const float* from, std::int64_t from_stride) {
  constexpr auto lanes = std::make_integer_sequence<int, W>{};
  vec<W> a[W], b[W];
  GOSSAMER_UNROLL
  for (int i = 0; i < W; ++i) a[i] = load<W>(from + i * from_stride);
  GOSSAMER_UNROLL
  for (int round = 1; round < W; round *= 2) {
    GOSSAMER_UNROLL
    for (int i = 0; i < W / 2; ++i) {
      b[2 * i] = zip<W, 0>(a[i], a[i + W / 2], lanes);
      b[2 * i + 1] = zip<W, W / 2>(a[i], a[i + W / 2], lanes);
    }
    GOSSAMER_UNROLL
    for (int i = 0; i < W; ++i) a[i] = b[i];
  }
  GOSSAMER_UNROLL
  for (int i = 0; i < W; ++i) store<W>(to + i * to_stride, a[i]);
}

// to[c, r] = from[r, c] for `rows` x `columns` numbers.
template <int W = kLanes>
void transpose(float* to, std::int64_t to_stride, const float* from, std::int64_t from_stride, std::int64_t rows,
               std::int64_t columns) {
  if constexpr (W < 4) {
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t c = 0; c < columns; ++c) to[c * to_stride + r] = from[r * from_stride + c];
  } else {
    const std::int64_t whole_rows = rows / W * W, whole_columns = columns / W * W;
    for (std::int64_t c = 0; c < whole_columns; c += W)
      for (std::int64_t r = 0; r < whole_rows; r += W)
        transpose_square<W>(to + c * to_stride + r, to_stride, from + r * from_stride + c, from_stride);
    if (whole_rows < rows)
      transpose<W / 2>(to + whole_rows, to_stride, from + whole_rows * from_stride, from_stride, rows - whole_rows,
                       columns);
    if (whole_columns < columns)
      transpose<W / 2>(to + whole_columns * to_stride, to_stride, from + whole_columns, from_stride, whole_rows,
                       columns - whole_columns);
  }
}

}  // namespace gossamer::GOSSAMER_ISA
