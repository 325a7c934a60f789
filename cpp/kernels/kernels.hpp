// What every kernel takes, and the table of kernels that each instruction set fills.
//
// Shared by all kernels:
//   - No allocation, no exceptions, no Python, no Torch: raw pointers and sizes; the caller owns every buffer.
//   - The output overlaps no input. Rows without entries give zero (or the bias).
//   - The same bits for every number of threads: work is cut into pieces whose size does not depend on it, and a
//     sum that spans pieces is put together in the order of the pieces.
//   - Different instruction sets may round differently: they add in a different order.
//   - NaN and infinity propagate along the entries that carry them, and nowhere else.
//   - Subnormal numbers count as zero and are never written; the mode of the calling thread is restored.
//   - `indptr` is trusted: it never falls, from 0 to `entries`. `indices` are watched: one that is outside
//     [0, columns) reads nothing, makes the kernel return false, and leaves the output unspecified.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gossamer {

// A sparse matrix without its values, row after row.
struct Pattern {
  std::int64_t rows;
  std::int64_t columns;
  std::int64_t entries;
  const std::int64_t* indptr;  // (rows + 1)
  const void* indices;         // (entries), 4 or 8 bytes each
  int index_bytes;
};

// out[i, h] = sum over entries e of row i of weight(e, h) * x[indices[e], h]; see aggregate.cpp.
struct Aggregate {
  Pattern graph;
  std::int64_t heads;
  std::int64_t features;  // of one head
  const void* edge;       // (entries) place of each entry's weight, as wide as an index; null: its own place
  const float* weights;   // (entries, heads); null: ones
  const float* x;         // (columns, heads, features)
  float* out;             // (rows, heads, features)
  int threads;
};

// out[e, h] = left[row(e), h] . right[indices[e], h]; see edge_dot.cpp.
struct EdgeDot {
  Pattern graph;
  std::int64_t heads;
  std::int64_t features;
  const float* left;   // (rows, heads, features)
  const float* right;  // (columns, heads, features)
  float* out;          // (entries, heads)
  int threads;
};

// How the numbers of an array are kept.
enum class Element : int { float32 = 0, bfloat16 = 1, int8 = 2 };

// The kernels of one instruction set. `..._scratch` says how many floats the caller lends.
struct Kernels {
  const char* name;
  std::size_t (*aggregate_scratch)(const Aggregate&);
  bool (*aggregate)(const Aggregate&, float* scratch);
  bool (*edge_dot)(const EdgeDot&);
};

// Fills `starts` (columns + 1), `rows` and `edge` (entries each, as wide as an index) with the transpose: entries
// stay in order within each transposed row. Returns false where an index is out of range. One thread.
bool transpose_csr(const Pattern& graph, std::int64_t* starts, void* rows, void* edge);

// The same, with the entries' values, `width` bytes each (2 or 4), in place of where they were.
bool transpose_values(const Pattern& graph, const void* values, int width, std::int64_t* starts, void* rows,
                      void* turned);

}  // namespace gossamer
