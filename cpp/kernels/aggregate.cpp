// Weighted sums over the entries of each row: the product of a sparse matrix and a dense one whose rows are read from
// all over memory.
//
// One row of the output is held in registers while its entries stream by, up to 16 vectors of columns at a time; a
// width that is no multiple of the vector is finished by one vector that overlaps its neighbour, whose shared lanes
// compute the same numbers twice. Rows that are about to be read are fetched ahead.
//
// A row that is shared by pieces is started by the piece that holds its first entry; every later piece leaves its part
// in `scratch`, and the parts are added in order at the end.
#include "kernels.hpp"
#include "pieces.hpp"
#include "vector.hpp"

namespace gossamer::GOSSAMER_ISA {
namespace {

enum class Weight { one, own, by_edge };

constexpr int kAhead = 12;  // entries between a fetch and its use
constexpr int kMost = kRegisters / 2;

// The columns that one pass computes: vector k starts at `first` + k W, the last one at `last`.
struct Columns {
  std::int64_t head;
  std::int64_t first;
  std::int64_t last;
};

template <int W, int N, Weight weight, class Index>
void sum_rows(const Aggregate& a, Place from, Place to, Columns c, float* carry) {
  const auto* indices = static_cast<const Index*>(a.graph.indices);
  const auto* edge = static_cast<const Index*>(a.edge);
  const std::int64_t stride = a.heads * a.features;
  const std::int64_t start = c.head * a.features + c.first;
  const std::int64_t tail = c.last - c.first;
  const float* x = a.x + start;
  const float* weights = a.weights + c.head;
  const std::int64_t heads = a.heads;
  const std::int64_t fetchable = a.graph.entries - kAhead;
  for (std::int64_t row = from.row; row <= to.row; ++row) {
    const std::int64_t begin = larger(a.graph.indptr[row], from.entry);
    const std::int64_t end = row < to.row ? a.graph.indptr[row + 1] : to.entry;
    if (row == to.row && begin >= end) break;  // the row begins in a later piece
    vec<W> sum[N] = {};
    for (std::int64_t e = begin; e < end; ++e) {
      if (e < fetchable) {
        const char* next = reinterpret_cast<const char*>(x + static_cast<std::int64_t>(indices[e + kAhead]) * stride);
        for (int line = 0; line < N * W * 4; line += 64) __builtin_prefetch(next + line);
      }
      const float* source = x + static_cast<std::int64_t>(indices[e]) * stride;
      if constexpr (weight == Weight::one) {
        GOSSAMER_UNROLL
        for (int k = 0; k < N - 1; ++k) sum[k] += load<W>(source + k * W);
        sum[N - 1] += load<W>(source + tail);
      } else {
        const float w = weights[(weight == Weight::own ? e : static_cast<std::int64_t>(edge[e])) * heads];
        GOSSAMER_UNROLL
        for (int k = 0; k < N - 1; ++k) sum[k] += w * load<W>(source + k * W);
        sum[N - 1] += w * load<W>(source + tail);
      }
    }
    const bool shared = row == from.row && a.graph.indptr[row] < from.entry;
    float* out = (shared ? carry : a.out + row * stride) + start;
    GOSSAMER_UNROLL
    for (int k = 0; k < N - 1; ++k) store<W>(out + k * W, sum[k]);
    store<W>(out + tail, sum[N - 1]);
  }
}

template <int W, int N, Weight weight, class Index>
void choose_count(int count, const Aggregate& a, Place from, Place to, Columns c, float* carry) {
  if constexpr (N > 1) {
    if (count < N) return choose_count<W, N - 1, weight, Index>(count, a, from, to, c, carry);
  }
  sum_rows<W, N, weight, Index>(a, from, to, c, carry);
}

// Covers the columns of one head with vectors of W lanes, or of fewer where a head is narrower than W.
template <int W, Weight weight, class Index>
void cover(const Aggregate& a, Place from, Place to, std::int64_t head, float* carry) {
  if constexpr (W > 1) {
    if (a.features < W) return cover<(W > 4 ? W / 2 : 1), weight, Index>(a, from, to, head, carry);
  }
  constexpr int most = W == kLanes ? kMost : (W > 1 ? 2 : 3);
  const std::int64_t vectors = ceil_div(a.features, W);
  const std::int64_t passes = ceil_div(vectors, most);
  const std::int64_t each = ceil_div(vectors, passes);
  for (std::int64_t v = 0; v < vectors; v += each) {
    const int count = static_cast<int>(smaller(each, vectors - v));
    const Columns c{head, v * W, smaller((v + count) * W, a.features) - W};
    choose_count<W, most, weight, Index>(count, a, from, to, c, carry);
  }
}

template <Weight weight, class Index>
void piece(const Aggregate& a, Place from, Place to, float* carry) {
  for (std::int64_t head = 0; head < a.heads; ++head) cover<kLanes, weight, Index>(a, from, to, head, carry);
}

// Sums one piece; returns false where an index is out of range.
template <class Index>
bool any_weight(const Aggregate& a, Place from, Place to, float* carry) {
  const auto* indices = static_cast<const Index*>(a.graph.indices);
  if (!all_inside(indices + from.entry, to.entry - from.entry, a.graph.columns)) return false;
  if (a.weights == nullptr) {
    piece<Weight::one, Index>(a, from, to, carry);
  } else if (a.edge == nullptr) {
    piece<Weight::own, Index>(a, from, to, carry);
  } else {
    piece<Weight::by_edge, Index>(a, from, to, carry);
  }
  return true;
}

}  // namespace

std::size_t aggregate_scratch(const Aggregate& a) {
  const std::int64_t width = a.heads * a.features;
  return static_cast<std::size_t>(piece_count(a.graph, piece_steps(width)) * width);
}

bool aggregate(const Aggregate& a, float* scratch) {
  const std::int64_t width = a.heads * a.features;
  if (width == 0 || a.graph.rows == 0) return true;
  if (a.graph.columns == 0 && a.graph.entries > 0) return false;
  const std::int64_t steps = piece_steps(width);
  const std::int64_t pieces = piece_count(a.graph, steps);
  int bad = 0;
#pragma omp parallel num_threads(a.threads) reduction(| : bad) if (a.threads > 1 && pieces > 1)
  {
    const FlushSubnormals flush;
#pragma omp for schedule(dynamic, 1)
    for (std::int64_t i = 0; i < pieces; ++i) {
      const Place from = place_at(a.graph, i * steps), to = place_at(a.graph, (i + 1) * steps);
      float* carry = scratch + i * width;
      bad |= a.graph.index_bytes == 4 ? !any_weight<std::int32_t>(a, from, to, carry)
                                      : !any_weight<std::int64_t>(a, from, to, carry);
    }
  }
  if (bad) return false;
  const FlushSubnormals flush;
  for (std::int64_t i = 1; i < pieces; ++i) {
    const Place from = place_at(a.graph, i * steps);
    if (from.row >= a.graph.rows || a.graph.indptr[from.row] >= from.entry) continue;
    float* out = a.out + from.row * width;
    const float* part = scratch + i * width;
    for (std::int64_t k = 0; k < width; ++k) out[k] += part[k];
  }
  return true;
}

}  // namespace gossamer::GOSSAMER_ISA
