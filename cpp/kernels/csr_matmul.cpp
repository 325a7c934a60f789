// Sparse (CSR) times dense, for an input that fits in cache: the weights of a layer times a batch.
//
// A tile of the batch is laid out as a panel, (columns, tile), that stays in the second-level cache while all rows of
// the matrix walk over it; the sum of one row and tile stays in registers. By example, the panel is the transpose of
// the tile, made on the way in, and 16 rows of results at a time are turned back on the way out.
#include "kernels.hpp"
#include "row_sums.hpp"
#include "transpose_tile.hpp"
#include "vector.hpp"

namespace gossamer::GOSSAMER_ISA {
namespace {

constexpr std::int64_t kRows = 16;  // rows whose results are turned back together
constexpr int kVectors = 4;         // vectors of the batch that one walk serves
constexpr std::int64_t kTile = kVectors * kLanes;

// Sums of rows [from, to) over one panel: `out` is (to - from, N W).
template <int W, int N, class Index>
void walk(const Product& p, std::int64_t from, std::int64_t to, const float* panel, float* out,
          std::int64_t out_stride) {
  const auto* indices = static_cast<const Index*>(p.pattern.indices);
  for (std::int64_t row = from; row < to; ++row)
    row_sums<W, N>(
        p.values, p.pattern.indptr[row], p.pattern.indptr[row + 1],
        [&](std::int64_t e) { return panel + static_cast<std::int64_t>(indices[e]) * (W * N); },
        p.bias == nullptr ? 0.0f : p.bias[row], out + (row - from) * out_stride);
}

// Walks with vectors of W lanes, N of them, or with the half of both that makes `width`.
template <class Index, int W = kLanes, int N = kVectors>
void walk_any(std::int64_t width, const Product& p, std::int64_t from, std::int64_t to, const float* panel, float* out,
             std::int64_t out_stride) {
  if constexpr (N > 1) {
    if (width < W * N) return walk_any<Index, W, N / 2>(width, p, from, to, panel, out, out_stride);
  } else if constexpr (W > 4) {
    if (width < W) return walk_any<Index, W / 2, 1>(width, p, from, to, panel, out, out_stride);
  }
  walk<W, N, Index>(p, from, to, panel, out, out_stride);
}

// Returns the width of the panel that holds `batch` examples: a power of two from 4 to kTile.
std::int64_t panel_width(std::int64_t batch) {
  std::int64_t width = 4;
  while (width < kTile && width < batch) width *= 2;
  return width;
}

// Lays out the columns [from, to) of a tile of `count` examples as a panel; lanes beyond the batch are zero.
void lay_out(const Product& p, bool by_example, std::int64_t first, std::int64_t count, std::int64_t width,
             std::int64_t from, std::int64_t to, float* panel) {
  if (by_example) {
    transpose(panel + from * width, width, p.x + first * p.pattern.columns + from, p.pattern.columns, count, to - from);
  }
  for (std::int64_t c = from; c < to; ++c) {
    if (!by_example) __builtin_memcpy(panel + c * width, p.x + c * p.batch + first, count * sizeof(float));
    for (std::int64_t b = count; b < width; ++b) panel[c * width + b] = 0.0f;
  }
}

// Multiplies the rows [row, row + 16) with one panel and writes what the output has room for.
template <class Index>
void multiply(const Product& p, bool by_example, std::int64_t row, std::int64_t first, std::int64_t count,
              std::int64_t width, const float* panel) {
  const std::int64_t rows = smaller(kRows, p.outputs - row);
  if (!by_example && count == width) {
    walk_any<Index>(width, p, row, row + rows, panel, p.out + row * p.batch + first, p.batch);
    return;
  }
  alignas(64) float tile[kRows * kTile];
  walk_any<Index>(width, p, row, row + rows, panel, tile, width);
  if (by_example) {
    transpose(p.out + first * p.outputs + row, p.outputs, tile, width, rows, count);
  } else {
    for (std::int64_t i = 0; i < rows; ++i)
      __builtin_memcpy(p.out + (row + i) * p.batch + first, tile + i * width, count * sizeof(float));
  }
}

// Says whether the indices of the rows [row, row + 16) are in range.
template <class Index>
bool sound(const Product& p, std::int64_t row) {
  const std::int64_t begin = p.pattern.indptr[row], end = p.pattern.indptr[smaller(row + kRows, p.outputs)];
  return all_inside(static_cast<const Index*>(p.pattern.indices) + begin, end - begin, p.pattern.columns);
}

template <class Index>
bool run(const Product& p, bool by_example, float* panel) {
  const std::int64_t columns = p.pattern.columns;
  [[maybe_unused]] const bool many = p.threads > 1 && p.pattern.entries * p.batch > 65536;
  int bad = 0;
#pragma omp parallel num_threads(p.threads) reduction(| : bad) if (many)
  {
    const FlushSubnormals flush;
    for (std::int64_t first = 0; first < p.batch; first += kTile) {
      const std::int64_t count = smaller(kTile, p.batch - first), width = panel_width(count);
#pragma omp for schedule(static)
      for (std::int64_t c = 0; c < columns; c += kRows)
        lay_out(p, by_example, first, count, width, c, smaller(c + kRows, columns), panel);
#pragma omp for schedule(dynamic, 1)
      for (std::int64_t row = 0; row < p.outputs; row += kRows) {
        if (sound<Index>(p, row)) {
          multiply<Index>(p, by_example, row, first, count, width, panel);
        } else {
          bad = 1;
        }
      }
    }
  }
  return bad == 0;
}

}  // namespace

std::size_t csr_scratch(const Product& p) {
  return static_cast<std::size_t>(p.pattern.columns * panel_width(p.batch));
}

bool csr(const Product& p, bool by_example, float* scratch) {
  if (p.pattern.columns == 0 && p.pattern.entries > 0) return false;
  return p.pattern.index_bytes == 4 ? run<std::int32_t>(p, by_example, scratch)
                                    : run<std::int64_t>(p, by_example, scratch);
}

}  // namespace gossamer::GOSSAMER_ISA
