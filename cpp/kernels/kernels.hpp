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

// out = W x + bias for a sparse W of `pattern` and `values`; see csr_matmul.cpp and block_matmul.cpp. By example means one row an
// example, the layout of a linear layer.
struct Product {
  Pattern pattern;      // of blocks of 16 rows: `rows` counts blocks
  std::int64_t outputs; // rows of W
  std::int64_t batch;
  const float* values;  // (entries), or (entries, 16) in blocks
  const float* x;       // (columns, batch), or (batch, columns) by example
  const float* bias;    // (outputs) or null
  float* out;           // (outputs, batch), or (batch, outputs) by example
  int threads;
};

// The kernels of one instruction set. `..._scratch` says how many floats the caller lends.
struct Kernels {
  const char* name;
  std::size_t (*aggregate_scratch)(const Aggregate&);
  bool (*aggregate)(const Aggregate&, float* scratch);
  bool (*edge_dot)(const EdgeDot&);
  std::size_t (*csr_scratch)(const Product&);
  bool (*csr)(const Product&, bool by_example, float* scratch);
  std::size_t (*block_scratch)(const Product&);
  bool (*block)(const Product&, bool by_example, float* scratch);
};

// Fills `starts` (columns + 1), `rows` and `edge` (entries each, as wide as an index) with the transpose: entries
// stay in order within each transposed row. Returns false where an index is out of range. One thread.
bool transpose_csr(const Pattern& graph, std::int64_t* starts, void* rows, void* edge);

}  // namespace gossamer
