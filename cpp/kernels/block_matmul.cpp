// A matrix in blocks of 16 rows that share their columns, times a dense one.
//
// The 16 weights of a stored column fill the lanes of a vector (or of two, or four); each is multiplied with one number
// of the input spread over all lanes, for as many examples as the registers hold sums. The result of a block for one
// example is 16 neighbouring outputs, stored as they are. The input is laid out as panels, (columns, examples of
// a tile), several of which stay in the second-level cache while the weights of a block are read once for all of them.
#include "block_sums.hpp"
#include "kernels.hpp"
#include "transpose_tile.hpp"
#include "vector.hpp"

namespace gossamer::GOSSAMER_ISA {
namespace {

constexpr std::int64_t kAhead = 64;                // columns between a fetch and its use
constexpr std::int64_t kPanelBytes = 384 * 1024;  // of panels that stay in cache together

// Sums one block for `count` examples, at most N, whose panel is (columns, count).
template <int N, class Index>
void choose_count(int count, const Product& p, std::int64_t block, const float* panel, const float* bias, float* out,
                  std::int64_t stride) {
  if constexpr (N > 1) {
    if (count < N) return choose_count<N - 1, Index>(count, p, block, panel, bias, out, stride);
  }
  const auto* indices = static_cast<const Index*>(p.pattern.indices);
  block_sums<N>(
      p.values, p.pattern.indptr[block], p.pattern.indptr[block + 1],
      [&](std::int64_t k) { return panel + static_cast<std::int64_t>(indices[k]) * N; }, bias, out, stride);
}

// Multiplies one block with the panels of the examples [start, stop); returns false where a column is out of range.
template <class Index>
bool multiply(const Product& p, bool by_example, std::int64_t block, std::int64_t start, std::int64_t stop,
              const float* panels) {
  const std::int64_t begin = p.pattern.indptr[block], end = p.pattern.indptr[block + 1];
  if (!all_inside(static_cast<const Index*>(p.pattern.indices) + begin, end - begin, p.pattern.columns)) return false;
  const std::int64_t row = block * kRows, rows = smaller(kRows, p.outputs - row);
  alignas(64) float bias[kRows] = {};
  if (p.bias != nullptr) __builtin_memcpy(bias, p.bias + row, rows * sizeof(float));
  for (std::int64_t b = start; b < stop; b += kExamples) {
    const int count = static_cast<int>(smaller<std::int64_t>(kExamples, stop - b));
    const float* panel = panels + (b - start) * p.pattern.columns;
    if (by_example && rows == kRows) {
      choose_count<kExamples, Index>(count, p, block, panel, bias, p.out + b * p.outputs + row, p.outputs);
      continue;
    }
    alignas(64) float sums[kExamples * kRows];
    choose_count<kExamples, Index>(count, p, block, panel, bias, sums, kRows);
    if (by_example) {
      for (int i = 0; i < count; ++i)
        __builtin_memcpy(p.out + (b + i) * p.outputs + row, sums + i * kRows, rows * sizeof(float));
    } else {
      transpose(p.out + row * p.batch + b, p.batch, sums, kRows, count, rows);
    }
  }
  return true;
}

// Lays out the columns [from, to) of `count` examples as a panel.
void lay_out(const Product& p, bool by_example, std::int64_t first, std::int64_t count, std::int64_t from,
             std::int64_t to, float* panel) {
  const std::int64_t columns = p.pattern.columns;
  if (by_example) {
    if (to + kAhead <= columns)  // the lines of many examples at a time are more streams than the processor follows
      for (std::int64_t b = first; b < first + count; ++b) __builtin_prefetch(p.x + b * columns + from + kAhead);
    transpose(panel + from * count, count, p.x + first * columns + from, columns, count, to - from);
  } else {
    for (std::int64_t c = from; c < to; ++c)
      __builtin_memcpy(panel + c * count, p.x + c * p.batch + first, count * sizeof(float));
  }
}

// Returns how many examples have their panels in cache at the same time.
std::int64_t group_size(const Product& p) {
  const std::int64_t panel = larger<std::int64_t>(p.pattern.columns * kExamples * sizeof(float), 1);
  return smaller(larger<std::int64_t>(kPanelBytes / panel, 1) * kExamples, p.batch);
}

template <class Index>
bool run(const Product& p, bool by_example, float* panels) {
  const std::int64_t columns = p.pattern.columns, group = group_size(p);
  [[maybe_unused]] const bool many = p.threads > 1 && p.pattern.entries * p.batch > 4096;
  int bad = 0;
#pragma omp parallel num_threads(p.threads) reduction(| : bad) if (many)
  {
    const FlushSubnormals flush;
    for (std::int64_t start = 0; start < p.batch; start += group) {
      const std::int64_t stop = smaller(start + group, p.batch);
#pragma omp for schedule(static)
      for (std::int64_t c = 0; c < columns; c += kRows)
        for (std::int64_t b = start; b < stop; b += kExamples)
          lay_out(p, by_example, b, smaller<std::int64_t>(kExamples, stop - b), c, smaller(c + kRows, columns),
                  panels + (b - start) * columns);
#pragma omp for schedule(dynamic, 1)
      for (std::int64_t block = 0; block < p.pattern.rows; ++block)
        bad |= !multiply<Index>(p, by_example, block, start, stop, panels);
    }
  }
  return bad == 0;
}

}  // namespace

std::size_t block_scratch(const Product& p) { return static_cast<std::size_t>(p.pattern.columns * group_size(p)); }

bool block(const Product& p, bool by_example, float* scratch) {
  if (p.batch == 0) return true;
  if (p.pattern.columns == 0 && p.pattern.entries > 0) return false;
  return p.pattern.index_bytes == 4 ? run<std::int32_t>(p, by_example, scratch)
                                    : run<std::int64_t>(p, by_example, scratch);
}

}  // namespace gossamer::GOSSAMER_ISA
