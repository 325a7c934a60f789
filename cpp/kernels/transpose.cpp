// The transpose of a CSR pattern by counting: one pass to count, one to place. Bound by scattered writes, so it is
// compiled once and not once per instruction set.
#include "kernels.hpp"

namespace gossamer {
namespace {

template <class Index>
bool place(const Pattern& graph, std::int64_t* starts, Index* rows, Index* edge) {
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
      edge[at] = static_cast<Index>(e);
    }
  for (std::int64_t c = graph.columns; c > 0; --c) starts[c] = starts[c - 1];  // each start had moved to its end
  starts[0] = 0;
  return true;
}

}  // namespace

bool transpose_csr(const Pattern& graph, std::int64_t* starts, void* rows, void* edge) {
  if (graph.index_bytes == 4)
    return place(graph, starts, static_cast<std::int32_t*>(rows), static_cast<std::int32_t*>(edge));
  return place(graph, starts, static_cast<std::int64_t*>(rows), static_cast<std::int64_t*>(edge));
}

}  // namespace gossamer
