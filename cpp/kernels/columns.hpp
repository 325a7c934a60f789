// Covers the columns of a row with blocks of vectors that fit into registers.
//
// A block holds `count` vectors; vector k starts at `first` + k W, the last one at `last`, where it may overlap its
// neighbour so that any width is covered by whole vectors. Lanes that two vectors share compute the same numbers twice.
#pragma once

#include "vector.hpp"

namespace gossamer::GOSSAMER_ISA {

struct Block {
  int count;
  std::int64_t first;
  std::int64_t last;
};

// Calls `body.template run<W, N>(block)` for each block of `features` columns, N being its count, at most `most`.
template <int W, int N, class Body>
GOSSAMER_INLINE bool run_block(const Block& block, const Body& body) {
  if constexpr (N > 1) {
    if (block.count < N) return run_block<W, N - 1>(block, body);
  }
  return body.template run<W, N>(block);
}

template <int W, int most, class Body>
bool cover_columns(std::int64_t features, const Body& body) {
  if constexpr (W > 1) {
    if (features < W) return cover_columns<(W > 4 ? W / 2 : 1), most>(features, body);
  }
  constexpr int limit = W == kLanes ? most : smaller(W > 1 ? 2 : 3, most);
  const std::int64_t vectors = ceil_div(features, W);
  const std::int64_t each = ceil_div(vectors, ceil_div(vectors, limit));
  for (std::int64_t v = 0; v < vectors; v += each) {
    const int count = static_cast<int>(smaller(each, vectors - v));
    run_block<W, limit>(Block{count, v * W, smaller((v + count) * W, features) - W}, body);
  }
  return true;
}

}  // namespace gossamer::GOSSAMER_ISA
