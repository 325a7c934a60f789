// The product of a few rows with a panel of columns that is held in registers.
#pragma once

#include "dense.hpp"
#include "transpose_tile.hpp"

namespace gossamer::GOSSAMER_ISA {

inline constexpr std::int64_t kPanel = 2 * kLanes;               // columns of a panel
inline constexpr int kTileRows = kRegisters == 32 ? 12 : 6;      // rows whose sums fill the registers

GOSSAMER_INLINE const float* matrix(const Matrices& all, std::int64_t item, std::int64_t inner) {
  return all.data + item / inner * all.outer_stride + item % inner * all.inner_stride;
}

// Lays out columns [from, from + kPanel) of a matrix (k, n) as a panel (k, kPanel), zeros beyond its end.
inline void lay_out_panel(const float* b, std::int64_t row, std::int64_t column, std::int64_t k, std::int64_t n,
                          std::int64_t from, float* panel) {
  const std::int64_t count = smaller(kPanel, n - from);
  if (row == 1 && column != 1) {
    transpose(panel, kPanel, b + from * column, column, count, k);
    for (std::int64_t i = 0; i < k && count < kPanel; ++i)
      for (std::int64_t j = count; j < kPanel; ++j) panel[i * kPanel + j] = 0.0f;
    return;
  }
  for (std::int64_t i = 0; i < k; ++i) {
    const float* line = b + i * row + from * column;
    float* to = panel + i * kPanel;
    if (column == 1 && count == kPanel) {
      __builtin_memcpy(to, line, sizeof(float) * kPanel);
    } else {
      for (std::int64_t j = 0; j < count; ++j) to[j] = line[j * column];
      for (std::int64_t j = count; j < kPanel; ++j) to[j] = 0.0f;
    }
  }
}

// out (R, V vectors) = scale * rows of a (row, column strides) times the first V vectors of a panel (k, kPanel); `count`
// columns are stored.
template <int R, int V>
void tile_product(const float* a, std::int64_t row, std::int64_t column, const float* panel, std::int64_t k, float scale,
                  float* out, std::int64_t stride, std::int64_t count) {
  vec<kLanes> sums[R][V] = {};
  for (std::int64_t i = 0; i < k; ++i) {
    vec<kLanes> right[V];
    GOSSAMER_UNROLL
    for (int v = 0; v < V; ++v) right[v] = load<kLanes>(panel + i * kPanel + v * kLanes);
    GOSSAMER_UNROLL
    for (int r = 0; r < R; ++r) {
      const float value = a[r * row + i * column];
      GOSSAMER_UNROLL
      for (int v = 0; v < V; ++v) sums[r][v] += value * right[v];
    }
  }
  GOSSAMER_UNROLL
  for (int r = 0; r < R; ++r) {
    float* to = out + r * stride;
    alignas(64) float line[kPanel];
    float* at = count == V * kLanes ? to : line;
    GOSSAMER_UNROLL
    for (int v = 0; v < V; ++v) store<kLanes>(at + v * kLanes, sums[r][v] * scale);
    if (at == line)
      for (std::int64_t j = 0; j < count; ++j) to[j] = line[j];
  }
}

// The same for `rows` rows, at most R.
template <int R>
void tile_rows(std::int64_t rows, const float* a, std::int64_t row, std::int64_t column, const float* panel,
               std::int64_t k, float scale, float* out, std::int64_t stride, std::int64_t count) {
  if constexpr (R > 1) {
    if (rows < R) return tile_rows<R - 1>(rows, a, row, column, panel, k, scale, out, stride, count);
  }
  if (count <= kLanes) return tile_product<R, 1>(a, row, column, panel, k, scale, out, stride, count);
  tile_product<R, 2>(a, row, column, panel, k, scale, out, stride, count);
}

}  // namespace gossamer::GOSSAMER_ISA
