// The gradient of a CSR matrix's values in a product: one dot product over the batch for each stored entry.
//
// Flow and input are laid out as panels, (rows, tile) and (columns, tile) of the batch, that stay in the second-level
// cache. A row of the flow is held in registers while its entries stream by, as many at a time as a vector has lanes:
// their vectors of products are turned, so that adding the turned vectors sums each entry in its own lane.
#include "sparse_layer.hpp"
#include "transpose_tile.hpp"
#include "vector.hpp"

namespace gossamer::GOSSAMER_ISA {
namespace {

constexpr int kVectors = kRegisters == 32 ? 8 : 4;  // of a row of the flow, held
constexpr std::int64_t kTile = kVectors * kLanes;
constexpr std::int64_t kRows = 16;

// Adds up the vectors of W entries: lane i of the result is the sum of vector i.
template <int W>
GOSSAMER_INLINE vec<W> sum_each(const float* vectors) {
  float turned[W * W] __attribute__((aligned(64)));
  transpose_square<W>(turned, W, vectors, W);
  vec<W> sum = load<W>(turned);
  GOSSAMER_UNROLL
  for (int i = 1; i < W; ++i) sum += load<W>(turned + i * W);
  return sum;
}

// Adds what one tile brings to the gradients of the rows [from, to), or writes it if the tile is the `first`.
template <int N, class Index>
void dots(const ProductGradient& p, std::int64_t from, std::int64_t to, const float* flow, const float* x, bool first) {
  constexpr int W = kLanes;
  constexpr std::int64_t width = N * W;
  const auto* indices = static_cast<const Index*>(p.pattern.indices);
  for (std::int64_t row = from; row < to; ++row) {
    std::int64_t e = p.pattern.indptr[row];
    const std::int64_t end = p.pattern.indptr[row + 1];
    vec<W> held[N];
    GOSSAMER_UNROLL
    for (int k = 0; k < N; ++k) held[k] = load<W>(flow + row * width + k * W);
    const auto product = [&](std::int64_t at) __attribute__((always_inline)) {
      const float* other = x + static_cast<std::int64_t>(indices[at]) * width;
      vec<W> sum = held[0] * load<W>(other);
      GOSSAMER_UNROLL
      for (int k = 1; k < N; ++k) sum += held[k] * load<W>(other + k * W);
      return sum;
    };
    for (; e + W <= end; e += W) {
      alignas(64) float products[W * W];
      for (int j = 0; j < W; ++j) store<W>(products + j * W, product(e + j));
      const vec<W> sums = sum_each<W>(products);
      store<W>(p.out + e, first ? sums : sums + load<W>(p.out + e));
    }
    for (; e < end; ++e) p.out[e] = lane_sum<W>(product(e)) + (first ? 0.0f : p.out[e]);
  }
}

template <class Index, int N = kVectors>
void dots_any(std::int64_t width, const ProductGradient& p, std::int64_t from, std::int64_t to, const float* flow,
              const float* x, bool first) {
  if constexpr (N > 1) {
    if (width < N * kLanes) return dots_any<Index, N / 2>(width, p, from, to, flow, x, first);
  }
  dots<N, Index>(p, from, to, flow, x, first);
}

// Returns the width of the panels that hold `batch` examples: a power of two of vectors.
std::int64_t panel_width(std::int64_t batch) {
  std::int64_t width = kLanes;
  while (width < kTile && width < batch) width *= 2;
  return width;
}

// Lays out rows [from, to) of the examples [first, first + count) of an array; lanes beyond the batch are zero.
void lay_out(const float* array, bool by_example, std::int64_t rows, std::int64_t batch, std::int64_t first,
             std::int64_t count, std::int64_t width, std::int64_t from, std::int64_t to, float* panel) {
  if (by_example) transpose(panel + from * width, width, array + first * rows + from, rows, count, to - from);
  for (std::int64_t r = from; r < to; ++r) {
    if (!by_example) __builtin_memcpy(panel + r * width, array + r * batch + first, count * sizeof(float));
    for (std::int64_t b = count; b < width; ++b) panel[r * width + b] = 0.0f;
  }
}

template <class Index>
bool run(const ProductGradient& p, bool by_example, float* scratch) {
  const std::int64_t columns = p.pattern.columns, batch = p.batch;
  if (!all_inside(static_cast<const Index*>(p.pattern.indices), p.pattern.entries, columns)) return false;
  float* flow = scratch;
  float* x = scratch + p.outputs * panel_width(batch);
#pragma omp parallel num_threads(p.threads) if (p.threads > 1 && p.pattern.entries * batch > 65536)
  {
    const FlushSubnormals flush;
    for (std::int64_t first = 0; first < batch; first += kTile) {
      const std::int64_t count = smaller(kTile, batch - first), width = panel_width(count);
#pragma omp for schedule(static) nowait
      for (std::int64_t r = 0; r < p.outputs; r += kRows)
        lay_out(p.flow, by_example, p.outputs, batch, first, count, width, r, smaller(r + kRows, p.outputs), flow);
#pragma omp for schedule(static)
      for (std::int64_t c = 0; c < columns; c += kRows)
        lay_out(p.x, by_example, columns, batch, first, count, width, c, smaller(c + kRows, columns), x);
#pragma omp for schedule(dynamic, 1)
      for (std::int64_t r = 0; r < p.outputs; r += kRows)
        dots_any<Index>(width, p, r, smaller(r + kRows, p.outputs), flow, x, first == 0);
    }
  }
  return true;
}

}  // namespace

std::size_t csr_values_scratch(const ProductGradient& p) {
  return static_cast<std::size_t>((p.outputs + p.pattern.columns) * panel_width(p.batch));
}

bool csr_values(const ProductGradient& p, bool by_example, float* scratch) {
  if (p.batch == 0) {
    for (std::int64_t e = 0; e < p.pattern.entries; ++e) p.out[e] = 0.0f;
    return true;
  }
  return p.pattern.index_bytes == 4 ? run<std::int32_t>(p, by_example, scratch)
                                    : run<std::int64_t>(p, by_example, scratch);
}

}  // namespace gossamer::GOSSAMER_ISA
