// One dot product an entry, between the row it stands in and the row it points at: the gradient of edge weights.
//
// The left row is held in registers while the entries of the row stream by. The last vector of a width that is no
// multiple of the vector overlaps its neighbour; the lanes that both hold are cleared on both sides, not multiplied by
// zero, so that an infinity there is counted once and never becomes NaN.
#include "kernels.hpp"
#include "pieces.hpp"
#include "vector.hpp"

namespace gossamer::GOSSAMER_ISA {
namespace {

constexpr int kAhead = 12;  // entries between a fetch and its use
constexpr int kMost = kRegisters / 4;

// The columns that one pass multiplies: vector k starts at `first` + k W, the last one at `last`.
struct Columns {
  std::int64_t head;
  std::int64_t first;
  std::int64_t last;
};

// Returns -1 in the lanes of the last vector that no earlier vector holds, else 0.
template <int W, int N>
typename vector_of<W>::mask fresh_lanes(Columns c) {
  std::int32_t lanes[W];
  for (int i = 0; i < W; ++i) lanes[i] = c.last + i >= c.first + (N - 1) * W ? -1 : 0;
  typename vector_of<W>::mask mask;
  __builtin_memcpy(&mask, lanes, sizeof mask);
  return mask;
}

template <int W, int N, class Index>
void dot_rows(const EdgeDot& a, Place from, Place to, Columns c) {
  const auto* indices = static_cast<const Index*>(a.graph.indices);
  const std::int64_t stride = a.heads * a.features;
  const std::int64_t start = c.head * a.features + c.first;
  const std::int64_t tail = c.last - c.first;
  const float* right = a.right + start;
  const std::int64_t fetchable = a.graph.entries - kAhead;
  const auto fresh = fresh_lanes<W, N>(c);
  for (std::int64_t row = from.row; row <= to.row; ++row) {
    const std::int64_t begin = larger(a.graph.indptr[row], from.entry);
    const std::int64_t end = row < to.row ? a.graph.indptr[row + 1] : to.entry;
    if (begin >= end) continue;
    const float* source = a.left + row * stride + start;
    vec<W> left[N];
    GOSSAMER_UNROLL
    for (int k = 0; k < N - 1; ++k) left[k] = load<W>(source + k * W);
    left[N - 1] = fresh ? load<W>(source + tail) : vec<W>{};
    for (std::int64_t e = begin; e < end; ++e) {
      if (e < fetchable) {
        const char* next = reinterpret_cast<const char*>(right + static_cast<std::int64_t>(indices[e + kAhead]) * stride);
        for (int line = 0; line < N * W * 4; line += 64) __builtin_prefetch(next + line);
      }
      const float* other = right + static_cast<std::int64_t>(indices[e]) * stride;
      vec<W> sum = left[N - 1] * (fresh ? load<W>(other + tail) : vec<W>{});
      GOSSAMER_UNROLL
      for (int k = 0; k < N - 1; ++k) sum += left[k] * load<W>(other + k * W);
      float* out = a.out + e * a.heads + c.head;
      *out = lane_sum<W>(sum) + (c.first == 0 ? 0.0f : *out);
    }
  }
}

template <int W, int N, class Index>
void choose_count(int count, const EdgeDot& a, Place from, Place to, Columns c) {
  if constexpr (N > 1) {
    if (count < N) return choose_count<W, N - 1, Index>(count, a, from, to, c);
  }
  dot_rows<W, N, Index>(a, from, to, c);
}

// Covers the columns of one head with vectors of W lanes, or of fewer where a head is narrower than W.
template <int W, class Index>
void cover(const EdgeDot& a, Place from, Place to, std::int64_t head) {
  if constexpr (W > 1) {
    if (a.features < W) return cover<(W > 4 ? W / 2 : 1), Index>(a, from, to, head);
  }
  constexpr int most = W == kLanes ? kMost : (W > 1 ? 2 : 3);
  const std::int64_t vectors = ceil_div(a.features, W);
  const std::int64_t each = ceil_div(vectors, ceil_div(vectors, most));
  for (std::int64_t v = 0; v < vectors; v += each) {
    const int count = static_cast<int>(smaller(each, vectors - v));
    const Columns c{head, v * W, smaller((v + count) * W, a.features) - W};
    choose_count<W, most, Index>(count, a, from, to, c);
  }
}

// Multiplies one piece; returns false where an index is out of range.
template <class Index>
bool piece(const EdgeDot& a, Place from, Place to) {
  const auto* indices = static_cast<const Index*>(a.graph.indices);
  if (!all_inside(indices + from.entry, to.entry - from.entry, a.graph.columns)) return false;
  for (std::int64_t head = 0; head < a.heads; ++head) cover<kLanes, Index>(a, from, to, head);
  return true;
}

}  // namespace

bool edge_dot(const EdgeDot& a) {
  if (a.graph.entries == 0 || a.heads == 0) return true;
  if (a.graph.columns == 0) return false;
  if (a.features == 0) {
    for (std::int64_t i = 0; i < a.graph.entries * a.heads; ++i) a.out[i] = 0.0f;
    return true;
  }
  const std::int64_t steps = piece_steps(a.heads * a.features);
  const std::int64_t pieces = piece_count(a.graph, steps);
  int bad = 0;
#pragma omp parallel num_threads(a.threads) reduction(| : bad) if (a.threads > 1 && pieces > 1)
  {
    const FlushSubnormals flush;
#pragma omp for schedule(dynamic, 1)
    for (std::int64_t i = 0; i < pieces; ++i) {
      const Place from = place_at(a.graph, i * steps), to = place_at(a.graph, (i + 1) * steps);
      bad |= a.graph.index_bytes == 4 ? !piece<std::int32_t>(a, from, to) : !piece<std::int64_t>(a, from, to);
    }
  }
  return bad == 0;
}

}  // namespace gossamer::GOSSAMER_ISA
