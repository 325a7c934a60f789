// Products of sparse layers, their gradients, and sparse convolution: what their kernels take, and the table of them. The rules of
// kernels.hpp hold. In convolutions, zeros multiply what a kernel reads beside the image, so an infinity at its border
// may become NaN in the two gradients; it reaches no other image and no other channel.
#pragma once

#include "kernels.hpp"

namespace gossamer {

// out = relu(W x + bias) for a sparse W of `pattern` and `values`; see csr_matmul.cpp and block_matmul.cpp. By example
// means one row an example, the layout of a linear layer. Sums are kept in float32; `x`, `bias` and `out` are of
// `element`, `values` of `stored`: float32 or bfloat16.
struct Product {
  Pattern pattern;       // of blocks: `rows` counts them
  std::int64_t outputs;  // rows of W
  std::int64_t batch;
  int height;  // rows of a block, 8 or 16; 1 without blocks
  Element stored;
  Element element;
  const void* values;  // (entries), or (entries, height) in blocks
  const void* x;       // (columns, batch), or (batch, columns) by example
  const void* bias;    // (outputs) or null
  bool relu;           // negative results become zero
  void* out;           // (outputs, batch), or (batch, outputs) by example
  int threads;
};

// A gradient of W x for a sparse W; see block_gradients.cpp and csr_gradients.cpp.
struct ProductGradient {
  Pattern pattern;       // of W; of blocks: `rows` counts them
  std::int64_t outputs;  // rows of W
  std::int64_t batch;
  int height;            // rows of a block, 8 or 16; 1 without blocks
  const float* values;   // (entries), or (entries, height) in blocks; null where the values' gradient is wanted
  const float* x;        // (columns, batch), or (batch, columns) by example; null where its gradient is wanted
  const float* flow;     // gradient of the product: (outputs, batch), or (batch, outputs) by example
  float* out;            // like x, or like the values
  int threads;
};

// Shape of a convolution, whose columns are (channel, tap row, tap column). Pairs are (vertical, horizontal).
struct Geometry {
  std::int64_t images;
  std::int64_t channels;
  std::int64_t size[2];      // of an image
  std::int64_t out_size[2];  // of a result
  std::int64_t kernel[2];
  std::int64_t stride[2];
  std::int64_t padding[2];
  std::int64_t dilation[2];
};

// A convolution with a sparse W of (outputs, channels * taps), or one of its gradients; see block_conv.cpp and
// csr_conv.cpp. What a kernel does not read may be null.
struct Convolution {
  Pattern pattern;
  std::int64_t outputs;
  int height;  // rows of a block, 8 or 16; 1 without blocks
  Geometry shape;
  const float* values;
  const float* x;     // (images, channels, size)
  const float* bias;  // (outputs) or null
  const float* flow;  // gradient of the result: (images, outputs, out_size)
  bool relu;          // of the result: negative numbers become zero
  float* out;         // like the result, like x, or like the values
  int threads;
};

// The kernels of one instruction set. `..._scratch` says how many floats the caller lends.
struct SparseLayerKernels {
  std::size_t (*csr_scratch)(const Product&, bool by_example);
  bool (*csr)(const Product&, bool by_example, float* scratch);
  std::size_t (*block_scratch)(const Product&, bool by_example);
  bool (*block)(const Product&, bool by_example, float* scratch);
  std::size_t (*block_input_scratch)(const ProductGradient&);
  bool (*block_input)(const ProductGradient&, bool by_example, float* scratch);
  std::size_t (*block_values_scratch)(const ProductGradient&);
  bool (*block_values)(const ProductGradient&, bool by_example, float* scratch);
  std::size_t (*csr_values_scratch)(const ProductGradient&);
  bool (*csr_values)(const ProductGradient&, bool by_example, float* scratch);
  std::size_t (*conv_scratch)(const Convolution&);
  bool (*block_conv)(const Convolution&, float* scratch);
  bool (*block_conv_input)(const Convolution&, float* scratch);
  bool (*block_conv_values)(const Convolution&, float* scratch);
  bool (*csr_conv)(const Convolution&, float* scratch);
  bool (*csr_conv_input)(const Convolution&, float* scratch);
  bool (*csr_conv_values)(const Convolution&, float* scratch);
  void (*widen_all)(const void* from, float* to, std::int64_t count, int threads);   // from bfloat16
  void (*narrow_all)(const float* from, void* to, std::int64_t count, int threads);  // to bfloat16
};

}  // namespace gossamer
