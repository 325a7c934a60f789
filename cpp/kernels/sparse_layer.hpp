// Sparse layers in training: what their kernels take, and the table of them. The rules of kernels.hpp hold.
#pragma once

#include "kernels.hpp"

namespace gossamer {

// A gradient of W x for a sparse W; see block_gradients.cpp and csr_gradients.cpp.
struct ProductGradient {
  Pattern pattern;       // of W; of blocks of 16 rows: `rows` counts blocks
  std::int64_t outputs;  // rows of W
  std::int64_t batch;
  const float* values;   // (entries), or (entries, 16) in blocks; null where the values' gradient is wanted
  const float* x;        // (columns, batch), or (batch, columns) by example; null where its gradient is wanted
  const float* flow;     // gradient of the product: (outputs, batch), or (batch, outputs) by example
  float* out;            // like x, or like the values
  int threads;
};

// The kernels of one instruction set. `..._scratch` says how many floats the caller lends.
struct SparseLayerKernels {
  std::size_t (*block_input_scratch)(const ProductGradient&);
  bool (*block_input)(const ProductGradient&, bool by_example, float* scratch);
  std::size_t (*block_values_scratch)(const ProductGradient&);
  bool (*block_values)(const ProductGradient&, bool by_example, float* scratch);
  std::size_t (*csr_values_scratch)(const ProductGradient&);
  bool (*csr_values)(const ProductGradient&, bool by_example, float* scratch);
};

}  // namespace gossamer
