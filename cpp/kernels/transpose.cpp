// The transpose of a CSR pattern by counting: one pass to count, one to place. Bound by scattered writes, so it is
// compiled once and not once per instruction set.
#include "kernels.hpp"

namespace gossamer {
namespace {

// `move(at, e)` puts what entry `e` carries at its place in the transpose.
template <class Index, class Move>
bool place(const Pattern& graph, std::int64_t* starts, Index* rows, Move move) {
  const auto* indices = static_cast<const Index*>(graph.indices);
  for (std::int64_t c = 0; c <= graph.columns; ++c) starts[c] = 0;
  for (std::int64_t e = 0; e < graph.entries; ++e) {
    if (indices[e] < 0 || indices[e] >= graph.columns) return false;
    ++starts[indices[e]];
  }
  std::int64_t total = 0;
  for (std::int64_t c = 0; c <= graph.columns; ++c) {
    const std::int64_t count = starts[c];
    starts[c] = total;
    total += count;
  }
  for (std::int64_t row = 0; row < graph.rows; ++row)
    for (std::int64_t e = graph.indptr[row]; e < graph.indptr[row + 1]; ++e) {
      const std::int64_t at = starts[indices[e]]++;
      rows[at] = static_cast<Index>(row);
      move(at, e);
    }
  for (std::int64_t c = graph.columns; c > 0; --c) starts[c] = starts[c - 1];  // each start had moved to its end
  starts[0] = 0;
  return true;
}

template <class Index>
bool place_edges(const Pattern& graph, std::int64_t* starts, void* rows, void* edge) {
  auto* to = static_cast<Index*>(edge);
  return place(graph, starts, static_cast<Index*>(rows),
               [to](std::int64_t at, std::int64_t e) { to[at] = static_cast<Index>(e); });
}

template <class Value>
bool place_values(const Pattern& graph, const void* values, std::int64_t* starts, void* rows, void* turned) {
  const auto* from = static_cast<const Value*>(values);
  auto* to = static_cast<Value*>(turned);
  const auto move = [from, to](std::int64_t at, std::int64_t e) { to[at] = from[e]; };
  return graph.index_bytes == 4 ? place(graph, starts, static_cast<std::int32_t*>(rows), move)
                                : place(graph, starts, static_cast<std::int64_t*>(rows), move);
}

}  // namespace

bool transpose_csr(const Pattern& graph, std::int64_t* starts, void* rows, void* edge) {
  return graph.index_bytes == 4 ? place_edges<std::int32_t>(graph, starts, rows, edge)
                                : place_edges<std::int64_t>(graph, starts, rows, edge);
}

bool transpose_values(const Pattern& graph, const void* values, int width, std::int64_t* starts, void* rows,
                      void* turned) {
  return width == 4 ? place_values<std::uint32_t>(graph, values, starts, rows, turned)
                    : place_values<std::uint16_t>(graph, values, starts, rows, turned);
}

}  // namespace gossamer
