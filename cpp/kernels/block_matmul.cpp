// A matrix in blocks of R = 8 or 16 rows that share their columns, times a dense one.
//
// The R weights of a stored column fill the lanes of a vector (or of two, or four); each is multiplied with one number
// of the input spread over all lanes, for as many examples as the registers hold sums. The result of a block for one
// example is R neighbouring outputs, stored as they are. The input is laid out as panels, (columns, examples of a
// tile), several of which stay in the second-level cache while the weights of a block are read once for all of them. A
// few examples need no panel: their numbers are read where they are.
#include "block_sums.hpp"
#include "sparse_layer.hpp"
#include "tiles.hpp"

namespace gossamer::GOSSAMER_ISA {
namespace {

constexpr std::int64_t kColumns = 16;             // that are laid out together
constexpr std::int64_t kAhead = 64;               // columns between a fetch and its use
constexpr std::int64_t kPanelBytes = 384 * 1024;  // of panels that stay in cache together
template <int R>
constexpr int kFew = smaller(kExamples<R>, 8);  // examples that are read where they are: as many as addresses fit

using Together = std::integral_constant<int, 1>;

// Sums one block for N examples that begin at `x`, a column every `column` numbers, an example every `apart`.
template <int R, int N, class Index, class Value, class Apart>
void sum_block(const Product& p, std::int64_t block, const float* x, std::int64_t column, Apart apart, const float* bias,
               float* out, std::int64_t stride) {
  const auto* indices = static_cast<const Index*>(p.pattern.indices);
  block_sums<R, N>(
      static_cast<const Value*>(p.values), p.pattern.indptr[block], p.pattern.indptr[block + 1],
      [&](std::int64_t k) { return x + static_cast<std::int64_t>(indices[k]) * column; }, apart, bias, p.relu, out,
      stride);
}

// Sums one block for `count` examples whose panel is (columns, count); count is one of `padded`.
template <int R, int N, class Index, class Value>
void sum_panel(std::int64_t count, const Product& p, std::int64_t block, const float* panel, const float* bias,
               float* out, std::int64_t stride) {
  if constexpr (N > 1) {
    constexpr int less = N > kStep<R> ? N - kStep<R> : N - 1;
    if (count < N) return sum_panel<R, less, Index, Value>(count, p, block, panel, bias, out, stride);
  }
  sum_block<R, N, Index, Value>(p, block, panel, N, Together{}, bias, out, stride);
}

// Sums one block for `count` examples, at most N, that are read where they are: `x` is (count, columns).
template <int R, int N, class Index, class Value>
void sum_few(std::int64_t count, const Product& p, std::int64_t block, const float* x, const float* bias, float* out,
             std::int64_t stride) {
  if constexpr (N > 1) {
    if (count < N) return sum_few<R, N - 1, Index, Value>(count, p, block, x, bias, out, stride);
  }
  sum_block<R, N, Index, Value>(p, block, x, 1, p.pattern.columns, bias, out, stride);
}

template <class Index>
bool sound(const Product& p, std::int64_t block) {
  const std::int64_t begin = p.pattern.indptr[block], end = p.pattern.indptr[block + 1];
  return all_inside(static_cast<const Index*>(p.pattern.indices) + begin, end - begin, p.pattern.columns);
}

// The outputs of one block: their first row, how many there are, and their bias.
template <int R, class Data>
struct Outputs {
  std::int64_t row, rows;
  alignas(64) float bias[R] = {};

  Outputs(const Product& p, std::int64_t block) : row(block * R), rows(smaller<std::int64_t>(R, p.outputs - row)) {
    if (p.bias != nullptr) widen_line(bias, static_cast<const Data*>(p.bias) + row, rows);
  }

  // Runs `sum(to, stride)`, which leaves `width` sums of R numbers, and brings the first `count` of them to the
  // examples from `first` on.
  template <class Sum>
  GOSSAMER_INLINE void take(const Product& p, bool by_example, std::int64_t first, std::int64_t count,
                            std::int64_t width, Sum sum) const {
    auto* out = static_cast<Data*>(p.out);
    if constexpr (sizeof(Data) == sizeof(float)) {
      if (by_example && rows == R && width == count) {
        float* to = out + first * p.outputs + row;
        for (std::int64_t i = 0; i < count; ++i) __builtin_prefetch(to + i * p.outputs, 1);
        return sum(to, p.outputs);
      }
    }
    alignas(64) float sums[kExamples<R> * R];
    sum(sums, std::int64_t{R});
    if (by_example) {
      for (std::int64_t i = 0; i < count; ++i) narrow_line(out + (first + i) * p.outputs + row, sums + i * R, rows);
    } else {
      turn_out(out + row * p.batch + first, p.batch, sums, R, count, rows);
    }
  }
};

// Multiplies one block with the panels of the examples [start, stop); returns false where a column is out of range.
template <int R, class Index, class Value, class Data>
bool multiply(const Product& p, bool by_example, std::int64_t block, std::int64_t start, std::int64_t stop,
              const float* panels) {
  if (!sound<Index>(p, block)) return false;
  const Outputs<R, Data> outputs(p, block);
  for (std::int64_t b = start; b < stop; b += kExamples<R>) {
    const std::int64_t count = smaller<std::int64_t>(kExamples<R>, stop - b), width = padded<R>(count);
    const float* panel = panels + (b - start) * p.pattern.columns;
    outputs.take(p, by_example, b, count, width, [&](float* to, std::int64_t stride) GOSSAMER_LAMBDA {
      sum_panel<R, kExamples<R>, Index, Value>(width, p, block, panel, outputs.bias, to, stride);
    });
  }
  return true;
}

// Lays out the columns [from, to) of `count` examples as a panel of `width`; numbers beyond the count are zero.
template <class Data>
void lay_out(const Product& p, bool by_example, std::int64_t first, std::int64_t count, std::int64_t width,
             std::int64_t from, std::int64_t to, float* panel) {
  const auto* x = static_cast<const Data*>(p.x);
  const std::int64_t columns = p.pattern.columns;
  if (by_example) {
    if (to + kAhead <= columns)  // the lines of many examples at a time are more streams than the processor follows
      for (std::int64_t b = first; b < first + count; ++b) __builtin_prefetch(x + b * columns + from + kAhead);
    turn_in(panel + from * width, width, x + first * columns + from, columns, count, to - from);
  }
  for (std::int64_t c = from; c < to && (!by_example || count < width); ++c) {
    if (!by_example) widen_line(panel + c * width, x + c * p.batch + first, count);
    for (std::int64_t b = count; b < width; ++b) panel[c * width + b] = 0.0f;
  }
}

// Returns how many examples have their panels in cache at the same time: whole tiles.
template <int R>
std::int64_t group_size(const Product& p) {
  const std::int64_t panel = larger<std::int64_t>(p.pattern.columns * kExamples<R> * sizeof(float), 1);
  return larger<std::int64_t>(kPanelBytes / panel, 1) * kExamples<R>;
}

template <int R, class Index, class Value, class Data>
bool run_panels(const Product& p, bool by_example, float* panels) {
  const std::int64_t columns = p.pattern.columns, group = group_size<R>(p);
  [[maybe_unused]] const bool many = p.threads > 1 && p.pattern.entries * p.batch > 4096;
  int bad = 0;
#pragma omp parallel num_threads(p.threads) reduction(| : bad) if (many)
  {
    const FlushSubnormals flush;
    for (std::int64_t start = 0; start < p.batch; start += group) {
      const std::int64_t stop = smaller(start + group, p.batch);
#pragma omp for schedule(static)
      for (std::int64_t c = 0; c < columns; c += kColumns)
        for (std::int64_t b = start; b < stop; b += kExamples<R>) {
          const std::int64_t count = smaller<std::int64_t>(kExamples<R>, stop - b);
          lay_out<Data>(p, by_example, b, count, padded<R>(count), c, smaller(c + kColumns, columns),
                        panels + (b - start) * columns);
        }
      const std::int64_t next = smaller(stop + group, p.batch);
#pragma omp for schedule(dynamic, 1)
      for (std::int64_t block = 0; block < p.pattern.rows; ++block) {
        if (by_example) fetch_share<Data>(p.x, columns, stop, next, block, p.pattern.rows);
        bad |= !multiply<R, Index, Value, Data>(p, by_example, block, start, stop, panels);
      }
    }
  }
  return bad == 0;
}

// A few examples, by example.
template <int R, class Index, class Value, class Data>
bool run_few(const Product& p, float* scratch) {
  const float* x = scratch;
  if constexpr (sizeof(Data) == sizeof(float)) {
    x = static_cast<const float*>(p.x);
  } else {
    widen_line(scratch, static_cast<const Data*>(p.x), p.batch * p.pattern.columns);
  }
  const auto one = [&](std::int64_t block) {
    if (!sound<Index>(p, block)) return false;
    const Outputs<R, Data> outputs(p, block);
    outputs.take(p, true, 0, p.batch, p.batch, [&](float* to, std::int64_t stride) GOSSAMER_LAMBDA {
      sum_few<R, kFew<R>, Index, Value>(p.batch, p, block, x, outputs.bias, to, stride);
    });
    return true;
  };
  int bad = 0;
  if (p.threads == 1 || p.pattern.entries * p.batch <= 4096) {  // too short to wait for other threads
    const FlushSubnormals flush;
    for (std::int64_t block = 0; block < p.pattern.rows; ++block) bad |= !one(block);
    return bad == 0;
  }
#pragma omp parallel num_threads(p.threads) reduction(| : bad)
  {
    const FlushSubnormals flush;
#pragma omp for schedule(static)
    for (std::int64_t block = 0; block < p.pattern.rows; ++block) bad |= !one(block);
  }
  return bad == 0;
}

template <int R, class Index, class Value, class Data>
bool run(const Product& p, bool by_example, float* scratch) {
  if (by_example && p.batch <= kFew<R>) return run_few<R, Index, Value, Data>(p, scratch);
  return run_panels<R, Index, Value, Data>(p, by_example, scratch);
}

template <int R, class Index>
bool run_any(const Product& p, bool by_example, float* scratch) {
  const bool half = p.element == Element::bfloat16;
  if (p.stored == Element::bfloat16)
    return half ? run<R, Index, BFloat16, BFloat16>(p, by_example, scratch)
                : run<R, Index, BFloat16, float>(p, by_example, scratch);
  return half ? run<R, Index, float, BFloat16>(p, by_example, scratch)
              : run<R, Index, float, float>(p, by_example, scratch);
}

template <int R>
std::size_t floats(const Product& p, bool by_example) {
  if (by_example && p.batch <= kFew<R>)
    return p.element == Element::bfloat16 ? static_cast<std::size_t>(p.batch * p.pattern.columns) : 0;
  const std::int64_t batch = ceil_div(p.batch, kExamples<R>) * kExamples<R>;
  return static_cast<std::size_t>(p.pattern.columns * smaller(group_size<R>(p), batch));
}

}  // namespace

std::size_t block_scratch(const Product& p, bool by_example) {
  return p.height == 8 ? floats<8>(p, by_example) : floats<16>(p, by_example);
}

bool block(const Product& p, bool by_example, float* scratch) {
  if (p.batch == 0) return true;
  if (p.pattern.columns == 0 && p.pattern.entries > 0) return false;
  if (p.pattern.index_bytes == 4)
    return p.height == 8 ? run_any<8, std::int32_t>(p, by_example, scratch)
                         : run_any<16, std::int32_t>(p, by_example, scratch);
  return p.height == 8 ? run_any<8, std::int64_t>(p, by_example, scratch)
                       : run_any<16, std::int64_t>(p, by_example, scratch);
}

}  // namespace gossamer::GOSSAMER_ISA
