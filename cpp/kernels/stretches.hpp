// Runs a kernel over the pieces of a matrix: which part of which row each piece holds, and who puts shared rows together.
//
// A stretch is what one piece holds of one row. A row whose entries all lie in one piece is one stretch. Of a row that
// pieces share, the first stretch goes where the row's result goes; each later one goes to its piece's scratch, and is
// merged into the first, in the order of the pieces, when all of them are there.
#pragma once

#include "kernels.hpp"
#include "pieces.hpp"
#include "vector.hpp"

namespace gossamer::GOSSAMER_ISA {

struct Stretch {
  std::int64_t row;
  std::int64_t begin;  // of its entries
  std::int64_t end;
  bool continued;  // an earlier piece holds the beginning of the row
  bool finished;   // no later piece holds more of it
};

// Calls `body(stretch)` for each stretch between two places.
template <class Body>
GOSSAMER_INLINE void each_stretch(const Pattern& p, Place from, Place to, const Body& body) {
  for (std::int64_t row = from.row; row <= to.row; ++row) {
    const std::int64_t begin = larger(p.indptr[row], from.entry);
    const std::int64_t end = row < to.row ? p.indptr[row + 1] : to.entry;
    if (row == to.row && begin >= end) break;  // the row begins in a later piece
    body(Stretch{row, begin, end, row == from.row && p.indptr[row] < from.entry, row < to.row});
  }
}

// Runs `piece(i, from, to)` for every piece i, on `threads` threads, then `merge(i, stretch)` for every piece that continues
// a row, in order. Returns false where an index is out of range; nothing is read through such an index.
template <class Run, class Merge>
bool run_pieces(const Pattern& p, std::int64_t steps, [[maybe_unused]] int threads, const Run& run, const Merge& merge) {
  if (p.rows == 0) return true;
  if (p.columns == 0 && p.entries > 0) return false;
  const std::int64_t pieces = piece_count(p, steps);
  int bad = 0;
#pragma omp parallel num_threads(threads) reduction(| : bad) if (threads > 1 && pieces > 1)
  {
    const FlushSubnormals flush;
#pragma omp for schedule(dynamic, 1)
    for (std::int64_t i = 0; i < pieces; ++i) {
      const Place from = place_at(p, i * steps), to = place_at(p, (i + 1) * steps);
      const std::int64_t count = to.entry - from.entry;
      const bool inside =
          p.index_bytes == 4 ? all_inside(static_cast<const std::int32_t*>(p.indices) + from.entry, count, p.columns)
                             : all_inside(static_cast<const std::int64_t*>(p.indices) + from.entry, count, p.columns);
      if (inside) {
        run(i, from, to);
      } else {
        bad = 1;
      }
    }
  }
  if (bad) return false;
  const FlushSubnormals flush;
  for (std::int64_t i = 1; i < pieces; ++i) {
    const Place from = place_at(p, i * steps), to = place_at(p, (i + 1) * steps);
    if (from.row >= p.rows || p.indptr[from.row] >= from.entry) continue;
    merge(i, Stretch{from.row, from.entry, smaller(p.indptr[from.row + 1], to.entry), true, to.row > from.row});
  }
  return true;
}

}  // namespace gossamer::GOSSAMER_ISA
