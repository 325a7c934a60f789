// Sparse (CSR) times dense, for an input that fits in cache: the weights of a layer times a batch.
//
// One example is read where it lies, up to eight are laid side by side, and each row is summed at once.
//
// Of more examples, a tile at a time is laid out as a panel, (columns, tile). Its columns are cut into slices that stay
// in the first-level cache while all rows of the matrix walk over them, each row from where it stopped in the slice
// before; without that, every weight would fetch its line of the panel from the second level, which is half as fast as the
// products. The sums of one row and tile stay in registers within a slice. By example, the panel is the transpose of
// the tile, made on the way in, and results are turned back on the way out.
#include "few_examples.hpp"
#include "sparse_layer.hpp"
#include "tiles.hpp"

namespace gossamer::GOSSAMER_ISA {
namespace {

constexpr std::int64_t kTurned = 16;  // examples that are turned together: as many streams as the processor follows
constexpr std::int64_t kRows = 64;    // rows, or columns, that are turned together
constexpr int kVectors = 4;         // vectors of the batch that one walk serves
constexpr std::int64_t kTile = kVectors * kLanes;
constexpr std::int64_t kSliceBytes = 40 * 1024;  // of a panel
constexpr std::int64_t kFewest = 16;             // entries of a row in a slice, on average
constexpr std::int64_t kAhead = 4;               // rows between a fetch of entries and their use
constexpr std::int64_t kFew = 8;                 // examples that need no tiles
constexpr std::int64_t kFewRows = 16;            // that such are multiplied with at a time

// Rows [from, to) on one slice of a panel, whose columns are below `bound`.
struct Part {
  std::int64_t from;
  std::int64_t to;
  std::int64_t bound;
  bool first;  // no slice before
  bool last;   // no slice after
  const float* panel;
  std::int64_t* next;  // (outputs) where each row goes on
  float* sums;         // of row `from`
  std::int64_t stride;
};

// Adds what the slice brings to the sums of its rows, N vectors of W examples each. A row that does not ascend stops
// early and is finished in the last slice.
template <int W, int N, class Index, class Value, class Data>
void walk(const Product& p, const Part& part) {
  constexpr int chains = N >= 4 ? 1 : 4 / N;  // enough independent sums to hide the latency of an addition
  const auto* indices = static_cast<const Index*>(p.pattern.indices);
  const auto* values = static_cast<const Value*>(p.values);
  const auto* bias = static_cast<const Data*>(p.bias);
  const auto bound = static_cast<Index>(part.bound);
  for (std::int64_t row = part.from; row < part.to; ++row) {
    const std::int64_t later = part.next[smaller(row + kAhead, part.to - 1)];
    __builtin_prefetch(indices + later);
    __builtin_prefetch(values + later);
    float* out = part.sums + (row - part.from) * part.stride;
    vec<W> sum[chains][N] = {};
    if (!part.first) {
      GOSSAMER_UNROLL
      for (int k = 0; k < N; ++k) sum[0][k] = load<W>(out + k * W);
    }
    const auto add = [&](std::int64_t at, vec<W>(&to)[N]) __attribute__((always_inline)) {
      const float* x = part.panel + static_cast<std::int64_t>(indices[at]) * (W * N);
      const float w = widen<1>(values + at);
      GOSSAMER_UNROLL
      for (int k = 0; k < N; ++k) to[k] += w * load<W>(x + k * W);
    };
    std::int64_t e = part.next[row];
    const std::int64_t end = p.pattern.indptr[row + 1];
    for (; e + chains <= end && indices[e + chains - 1] < bound; e += chains) {
      GOSSAMER_UNROLL
      for (int j = 0; j < chains; ++j) add(e + j, sum[j]);
    }
    if constexpr (chains > 1)
      for (; e < end && indices[e] < bound; ++e) add(e, sum[0]);
    part.next[row] = e;
    const float offset = part.last && bias != nullptr ? widen<1>(bias + row) : 0.0f;
    GOSSAMER_UNROLL
    for (int k = 0; k < N; ++k) {
      GOSSAMER_UNROLL
      for (int j = 1; j < chains; ++j) sum[0][k] += sum[j][k];
      const vec<W> total = part.last ? sum[0][k] + offset : sum[0][k];
      store<W>(out + k * W, part.last && p.relu ? rectified<W>(total) : total);
    }
  }
}

// Walks with vectors of W lanes, N of them, or with the half of both that makes `width`.
template <class Index, class Value, class Data, int W = kLanes, int N = kVectors>
void walk_any(std::int64_t width, const Product& p, const Part& part) {
  if constexpr (N > 1) {
    if (width < W * N) return walk_any<Index, Value, Data, W, N / 2>(width, p, part);
  } else if constexpr (W > 4) {
    if (width < W) return walk_any<Index, Value, Data, W / 2, 1>(width, p, part);
  }
  walk<W, N, Index, Value, Data>(p, part);
}

// Returns the width of the panel that holds `batch` examples: a power of two from 4 to kTile.
std::int64_t panel_width(std::int64_t batch) {
  std::int64_t width = 4;
  while (width < kTile && width < batch) width *= 2;
  return width;
}

// Lays out the columns [from, to) of a tile of `count` examples as a panel; lanes beyond the batch are zero.
template <class Data>
void lay_out(const Product& p, bool by_example, std::int64_t first, std::int64_t count, std::int64_t width,
             std::int64_t from, std::int64_t to, float* panel) {
  const auto* x = static_cast<const Data*>(p.x);
  const std::int64_t columns = p.pattern.columns;
  for (std::int64_t b = 0; by_example && b < count; b += kTurned)
    turn_in(panel + from * width + b, width, x + (first + b) * columns + from, columns, smaller(kTurned, count - b),
            to - from);
  for (std::int64_t c = from; c < to; ++c) {
    if (!by_example) widen_line(panel + c * width, x + c * p.batch + first, count);
    for (std::int64_t b = count; b < width; ++b) panel[c * width + b] = 0.0f;
  }
}

// Returns the first row of part `i` of `parts`, which hold about as many entries each; a multiple of kRows, or the end.
std::int64_t part_begin(const Product& p, std::int64_t i, std::int64_t parts) {
  if (i == parts) return p.outputs;
  const std::int64_t aim = p.pattern.entries / parts * i;
  std::int64_t low = 0, high = p.outputs;
  while (low < high) {
    const std::int64_t middle = (low + high) / 2;
    if (p.pattern.indptr[middle] < aim) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low / kRows * kRows;
}

// Returns how many columns of a panel make a slice: few enough for the cache, and enough for some entries of a row.
std::int64_t slice_columns(const Product& p, std::int64_t width) {
  const std::int64_t fit = kSliceBytes / static_cast<std::int64_t>(sizeof(float)) / width;
  return larger(fit, kFewest * p.pattern.columns * p.outputs / larger<std::int64_t>(p.pattern.entries, 1));
}

// Multiplies rows [from, to) with one panel, slice after slice, and writes what the output has room for.
template <class Index, class Value, class Data>
void multiply(const Product& p, bool by_example, std::int64_t from, std::int64_t to, std::int64_t first,
              std::int64_t count, std::int64_t width, const float* panel, std::int64_t* next, float* sums) {
  auto* out = static_cast<Data*>(p.out);
  const std::int64_t columns = p.pattern.columns, slice = slice_columns(p, width);
  bool in_place = false;
  if constexpr (sizeof(Data) == sizeof(float)) in_place = !by_example && count == width;
  Part part{from, to, 0, true, false, panel, next, sums + from * width, width};
  if constexpr (sizeof(Data) == sizeof(float)) {
    if (in_place) part.sums = out + from * p.batch + first;
  }
  if (in_place) part.stride = p.batch;
  for (std::int64_t row = from; row < to; ++row) next[row] = p.pattern.indptr[row];
  for (std::int64_t c = 0; !part.last; c += slice) {
    part.last = c + slice >= columns;
    part.bound = part.last ? columns : c + slice;
    walk_any<Index, Value, Data>(width, p, part);
    part.first = false;
  }
  if (in_place) return;
  if (!by_example) {
    for (std::int64_t row = from; row < to; ++row)
      narrow_line(out + row * p.batch + first, sums + row * width, count);
    return;
  }
  for (std::int64_t b = 0; b < count; b += kTurned)
    for (std::int64_t row = from; row < to; row += kRows)
      turn_out(out + (first + b) * p.outputs + row, p.outputs, sums + row * width + b, width, smaller(kRows, to - row),
               smaller(kTurned, count - b));
}

// Says whether the examples are so few that they need no tiles, and their numbers so few that 32 bits count them.
bool few(const Product& p) { return p.batch <= kFew && p.pattern.columns < (std::int64_t{1} << 32) / kFew; }

// Multiplies rows [from, to), at most kFewRows, with `numbers` (columns, N); false where an index is out of range.
template <int N, class Index, class Value, class Data>
bool multiply_few(const Product& p, bool by_example, std::int64_t from, std::int64_t to, const float* numbers) {
  const auto* indices = static_cast<const Index*>(p.pattern.indices);
  const auto* values = static_cast<const Value*>(p.values);
  const std::int64_t* indptr = p.pattern.indptr;
  if (!all_inside(indices + indptr[from], indptr[to] - indptr[from], p.pattern.columns)) return false;
  alignas(64) float sums[kFewRows * N], bias[kFewRows] = {};
  if (p.bias != nullptr) widen_line(bias, static_cast<const Data*>(p.bias) + from, to - from);
  const float least = p.relu ? 0.0f : -__builtin_inff();
  for (std::int64_t row = from; row < to; ++row) {
    float* sum = sums + (row - from) * N;
    few_sums<N>(values, indices, indptr[row], indptr[row + 1], numbers, sum);
    GOSSAMER_UNROLL
    for (int i = 0; i < N; ++i) {
      const float total = sum[i] + bias[row - from];
      sum[i] = total < least ? least : total;
    }
  }
  auto* out = static_cast<Data*>(p.out);
  if (by_example) {
    turn_out(out + from, p.outputs, sums, N, to - from, p.batch);
  } else {
    for (std::int64_t row = from; row < to; ++row)
      narrow_line(out + row * p.batch, sums + (row - from) * N, p.batch);
  }
  return true;
}

// At most N examples, more than half as many.
template <int N, class Index, class Value, class Data>
bool run_few(const Product& p, bool by_example, float* scratch) {
  const float* numbers = scratch;
  if constexpr (N == 1 && sizeof(Data) == sizeof(float)) {
    numbers = static_cast<const float*>(p.x);
  } else {
    const FlushSubnormals flush;
    lay_out<Data>(p, by_example, 0, p.batch, N, 0, p.pattern.columns, scratch);
  }
  const auto some = [&](std::int64_t row) {
    return multiply_few<N, Index, Value, Data>(p, by_example, row, smaller(row + kFewRows, p.outputs), numbers);
  };
  int bad = 0;
  if (p.threads == 1 || p.pattern.entries * N <= 65536) {  // too short to wait for other threads
    const FlushSubnormals flush;
    for (std::int64_t row = 0; row < p.outputs; row += kFewRows) bad |= !some(row);
    return bad == 0;
  }
#pragma omp parallel num_threads(p.threads) reduction(| : bad)  // threads made here take over this one's mode
  {
    const FlushSubnormals flush;
#pragma omp for schedule(static)
    for (std::int64_t row = 0; row < p.outputs; row += kFewRows) bad |= !some(row);
  }
  return bad == 0;
}

template <class Index, class Value, class Data>
bool run(const Product& p, bool by_example, float* scratch) {
  if (few(p)) {
    if (p.batch == 1) return run_few<1, Index, Value, Data>(p, by_example, scratch);
    if (p.batch == 2) return run_few<2, Index, Value, Data>(p, by_example, scratch);
    if (p.batch <= 4) return run_few<4, Index, Value, Data>(p, by_example, scratch);
    return run_few<kFew, Index, Value, Data>(p, by_example, scratch);
  }
  const std::int64_t columns = p.pattern.columns, widest = panel_width(p.batch);
  if (!all_inside(static_cast<const Index*>(p.pattern.indices), p.pattern.entries, columns)) return false;
  float* panel = scratch;
  float* sums = panel + columns * widest;
  auto* next = reinterpret_cast<std::int64_t*>(sums + p.outputs * widest);
  const int threads = p.pattern.entries * p.batch > 65536 ? p.threads : 1;
  const std::int64_t parts = threads == 1 ? 1 : 4 * threads;
#pragma omp parallel num_threads(threads) if (threads > 1)
  {
    const FlushSubnormals flush;
    for (std::int64_t first = 0; first < p.batch; first += kTile) {
      const std::int64_t count = smaller(kTile, p.batch - first), width = panel_width(count);
#pragma omp for schedule(static)
      for (std::int64_t c = 0; c < columns; c += kRows)
        lay_out<Data>(p, by_example, first, count, width, c, smaller(c + kRows, columns), panel);
#pragma omp for schedule(dynamic, 1)
      for (std::int64_t i = 0; i < parts; ++i)
        multiply<Index, Value, Data>(p, by_example, part_begin(p, i, parts), part_begin(p, i + 1, parts), first, count,
                                     width, panel, next, sums);
    }
  }
  return true;
}

template <class Index>
bool run_any(const Product& p, bool by_example, float* scratch) {
  const bool half = p.element == Element::bfloat16;
  if (p.stored == Element::bfloat16)
    return half ? run<Index, BFloat16, BFloat16>(p, by_example, scratch)
                : run<Index, BFloat16, float>(p, by_example, scratch);
  return half ? run<Index, float, BFloat16>(p, by_example, scratch) : run<Index, float, float>(p, by_example, scratch);
}

}  // namespace

std::size_t csr_scratch(const Product& p, bool) {
  if (few(p)) return static_cast<std::size_t>(p.pattern.columns * kFew);
  return static_cast<std::size_t>((p.pattern.columns + p.outputs) * panel_width(p.batch) + 2 * p.outputs);
}

bool csr(const Product& p, bool by_example, float* scratch) {
  if (p.pattern.columns == 0 && p.pattern.entries > 0) return false;
  return p.pattern.index_bytes == 4 ? run_any<std::int32_t>(p, by_example, scratch)
                                    : run_any<std::int64_t>(p, by_example, scratch);
}

}  // namespace gossamer::GOSSAMER_ISA
