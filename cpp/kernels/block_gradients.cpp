// The two gradients of a product with a matrix in blocks of R = 8 or 16 rows: of its input, and of its values.
//
// Both take one pass over the stored columns for every 16 examples (held.hpp). The input's gradient is summed in a
// panel, (columns, W examples), one thread to a panel, and turned into place at the end. The values' gradient needs the
// input as such panels; several of them stay in the second-level cache, and one thread sums a block over all of them.
#include "held.hpp"
#include "sparse_layer.hpp"
#include "transpose_tile.hpp"

namespace gossamer::GOSSAMER_ISA {
namespace {

constexpr std::int64_t kExamples = 16;            // of a panel of the input
constexpr std::int64_t kPanelBytes = 384 * 1024;  // of panels that stay in cache together

// Lays out examples [first, first + count) of an array by `by_example` as (columns, width); the rest is zero.
void lay_out(const float* from, bool by_example, std::int64_t columns, std::int64_t batch, std::int64_t first,
             std::int64_t count, std::int64_t width, float* panel) {
  if (by_example) transpose(panel, width, from + first * columns, columns, count, columns);
  if (by_example && count == width) return;
  for (std::int64_t c = 0; c < columns; ++c) {
    if (!by_example) __builtin_memcpy(panel + c * width, from + c * batch + first, count * sizeof(float));
    for (std::int64_t b = count; b < width; ++b) panel[c * width + b] = 0.0f;
  }
}

template <class Index>
bool sound(const Pattern& p) {
  return all_inside(static_cast<const Index*>(p.indices), p.entries, p.columns);
}

// The input's gradient for the W examples from `first` on, or as many as there are.
template <int R, int W, class Index>
void input_tile(const ProductGradient& p, bool by_example, std::int64_t first, float* scratch) {
  const auto* indices = static_cast<const Index*>(p.pattern.indices);
  const std::int64_t count = smaller<std::int64_t>(W, p.batch - first), columns = p.pattern.columns;
  const std::int64_t padded = p.pattern.rows * R;
  float* flow = scratch;
  float* sums = scratch + padded * W;
  lay_out(p.flow, by_example, p.outputs, p.batch, first, count, W, flow);
  __builtin_memset(flow + p.outputs * W, 0, (padded - p.outputs) * W * sizeof(float));
  __builtin_memset(sums, 0, columns * W * sizeof(float));
  for (std::int64_t block = 0; block < p.pattern.rows; ++block)
    stream<W, R>(
        flow + block * R * W, W, p.pattern.indptr[block], p.pattern.indptr[block + 1],
        [&](std::int64_t k) { return p.values + k * R; },
        [&](std::int64_t k) { return sums + static_cast<std::int64_t>(indices[k]) * W; });
  if (by_example) {
    transpose(p.out + first * columns, columns, sums, W, columns, count);
  } else {
    for (std::int64_t c = 0; c < columns; ++c)
      __builtin_memcpy(p.out + c * p.batch + first, sums + c * W, count * sizeof(float));
  }
}

template <int R, class Index>
bool input(const ProductGradient& p, bool by_example, float* scratch) {
  if (!sound<Index>(p.pattern)) return false;
  const std::int64_t tiles = ceil_div(p.batch, kLanes);
  const std::int64_t share = (p.pattern.rows * R + p.pattern.columns) * kLanes;
  const int threads = static_cast<int>(smaller<std::int64_t>(p.threads, tiles));
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
  for (int t = 0; t < threads; ++t) {
    const FlushSubnormals flush;
    float* mine = scratch + t * share;
    for (std::int64_t tile = t * tiles / threads; tile < (t + 1) * tiles / threads; ++tile) {
      const std::int64_t first = tile * kLanes;
      if constexpr (kLanes > 4) {
        if (p.batch - first <= 4) {
          input_tile<R, 4, Index>(p, by_example, first, mine);
          continue;
        }
      }
      input_tile<R, kLanes, Index>(p, by_example, first, mine);
    }
  }
  return true;
}

// Returns how many examples have their panels in cache at the same time.
std::int64_t group_size(const ProductGradient& p) {
  const std::int64_t panel = larger<std::int64_t>(p.pattern.columns * kExamples * sizeof(float), 1);
  return smaller(larger<std::int64_t>(kPanelBytes / panel, 1) * kExamples, ceil_div(p.batch, kExamples) * kExamples);
}

// Adds to the values' gradient of one block what `count` examples from `first` on bring; `panel` is their input.
template <int R, class Index>
void values_tile(const ProductGradient& p, bool by_example, std::int64_t block, std::int64_t first, std::int64_t count,
                 const float* panel) {
  const auto* indices = static_cast<const Index*>(p.pattern.indices);
  const std::int64_t row = block * R, rows = smaller<std::int64_t>(R, p.outputs - row);
  alignas(64) float copy[kExamples * R];
  const float* flow = copy;
  std::int64_t stride = R;
  if (by_example && rows == R && count == kExamples) {
    flow = p.flow + first * p.outputs + row;
    stride = p.outputs;
  } else {
    __builtin_memset(copy, 0, sizeof copy);
    if (by_example) {
      for (std::int64_t b = 0; b < count; ++b)
        __builtin_memcpy(copy + b * R, p.flow + (first + b) * p.outputs + row, rows * sizeof(float));
    } else {
      transpose(copy, R, p.flow + row * p.batch + first, p.batch, rows, count);
    }
  }
  stream_rows<R>(
      flow, stride, p.pattern.indptr[block], p.pattern.indptr[block + 1],
      [&](std::int64_t k) { return panel + static_cast<std::int64_t>(indices[k]) * kExamples; },
      [&](std::int64_t k) { return p.out + k * R; });
}

template <int R, class Index>
bool values(const ProductGradient& p, bool by_example, float* panels) {
  if (!sound<Index>(p.pattern)) return false;
  const std::int64_t columns = p.pattern.columns, group = group_size(p);
#pragma omp parallel num_threads(p.threads) if (p.threads > 1 && p.pattern.entries * p.batch > 4096)
  {
    const FlushSubnormals flush;
#pragma omp for schedule(static)
    for (std::int64_t k = 0; k < p.pattern.entries; ++k) __builtin_memset(p.out + k * R, 0, R * sizeof(float));
    for (std::int64_t start = 0; start < p.batch; start += group) {
      const std::int64_t stop = smaller(start + group, p.batch);
#pragma omp for schedule(static)
      for (std::int64_t b = start; b < stop; b += kExamples)
        lay_out(p.x, by_example, columns, p.batch, b, smaller(kExamples, stop - b), kExamples,
                panels + (b - start) * columns);
#pragma omp for schedule(dynamic, 1)
      for (std::int64_t block = 0; block < p.pattern.rows; ++block)
        for (std::int64_t b = start; b < stop; b += kExamples)
          values_tile<R, Index>(p, by_example, block, b, smaller(kExamples, stop - b), panels + (b - start) * columns);
    }
  }
  return true;
}

}  // namespace

std::size_t block_input_scratch(const ProductGradient& p) {
  const std::int64_t threads = smaller<std::int64_t>(p.threads, larger<std::int64_t>(ceil_div(p.batch, kLanes), 1));
  return static_cast<std::size_t>(threads * (p.pattern.rows * p.height + p.pattern.columns) * kLanes);
}

bool block_input(const ProductGradient& p, bool by_example, float* scratch) {
  if (p.batch == 0) return true;
  if (p.pattern.index_bytes == 4)
    return p.height == 8 ? input<8, std::int32_t>(p, by_example, scratch)
                         : input<16, std::int32_t>(p, by_example, scratch);
  return p.height == 8 ? input<8, std::int64_t>(p, by_example, scratch)
                       : input<16, std::int64_t>(p, by_example, scratch);
}

std::size_t block_values_scratch(const ProductGradient& p) {
  return static_cast<std::size_t>(p.pattern.columns * group_size(p));
}

bool block_values(const ProductGradient& p, bool by_example, float* scratch) {
  if (p.pattern.index_bytes == 4)
    return p.height == 8 ? values<8, std::int32_t>(p, by_example, scratch)
                         : values<16, std::int32_t>(p, by_example, scratch);
  return p.height == 8 ? values<8, std::int64_t>(p, by_example, scratch)
                       : values<16, std::int64_t>(p, by_example, scratch);
}

}  // namespace gossamer::GOSSAMER_ISA
