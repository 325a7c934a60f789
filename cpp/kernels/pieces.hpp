// Cuts the entries of a CSR matrix into pieces of equal work, hubs included.
//
// Rows and entries lie on one path: the entries of row 0, the end of row 0, the entries of row 1, and so on. A piece is
// a fixed number of steps of that path, so a row with a million entries is shared by many pieces and a thousand empty
// rows fill one. This is the merge path of Merrill and Garland, "Merge-based parallel sparse matrix-vector
// multiplication", SC 2016, with a step size that depends on the width of the data instead of the number of threads.
#pragma once

#include "kernels.hpp"
#include "vector.hpp"

namespace gossamer::GOSSAMER_ISA {

// A place on the path: `entry` is the next entry, `row` the row it belongs to.
struct Place {
  std::int64_t row;
  std::int64_t entry;
};

// Steps a piece: about half a megabyte of input read, so that handing out pieces costs nothing.
inline std::int64_t piece_steps(std::int64_t width) {
  return smaller<std::int64_t>(larger<std::int64_t>(131072 / larger<std::int64_t>(width, 1), 64), 16384);
}

inline std::int64_t piece_count(const Pattern& p, std::int64_t steps) {
  return ceil_div(p.rows + p.entries, steps);
}

// Returns the place after `steps` steps.
inline Place place_at(const Pattern& p, std::int64_t steps) {
  std::int64_t low = 0, high = p.rows;  // finds how many rows have ended
  while (low < high) {
    const std::int64_t middle = (low + high) / 2;
    if (p.indptr[middle + 1] + middle + 1 <= steps) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return {low, smaller(steps - low, p.entries)};
}

}  // namespace gossamer::GOSSAMER_ISA
