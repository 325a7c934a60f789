// Products of small dense matrices in four dataflows: what their kernels take, and the table of them. The rules of
// kernels.hpp hold.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gossamer {

// out = x y + bias, then max(., 0) or zero where the gate is not positive; see flows.cpp.
struct FlowProduct {
  std::int64_t rows;     // of x
  std::int64_t inner;    // columns of x, rows of y
  std::int64_t columns;  // of y
  const float* x;        // x[i, k] is at i * x_row + k * x_column
  std::int64_t x_row;
  std::int64_t x_column;
  const float* y;        // y[k, j] is at k * y_row + j * y_column
  std::int64_t y_row;
  std::int64_t y_column;
  const float* bias;     // (columns) or null
  bool relu;             // negative results become zero
  const float* gate;     // (rows, columns): results become zero where it is not above 0; or null
  float* out;            // (rows, columns)
  int threads;
};

// A linear layer of a chain: its parameters, where their gradients go, and the flows of its three products.
struct ChainLayer {
  std::int64_t inputs;
  std::int64_t outputs;
  const float* weight;  // (outputs, inputs)
  const float* bias;    // (outputs) or null
  float* weight_grad;   // like the weight
  float* bias_grad;     // like the bias
  int forward;          // flow of x weight^T, (block, inputs) . (inputs, outputs)
  int weights;          // of the weight's gradient, (outputs, block) . (block, inputs)
  int back;             // of the input's gradient, (block, outputs) . (outputs, inputs)
};

// The mean logistic loss of a chain of layers with ReLU between them, and its gradients; see chain.cpp.
struct LogisticChain {
  std::int64_t rows;
  std::int64_t layers;
  const ChainLayer* layer;  // the last has one output
  const float* x;           // (rows, inputs)
  const float* y;           // (rows) in [0, 1]
  float* loss;              // (1)
  int threads;
};

constexpr std::int64_t kChainBlock = 128;  // rows that go through a chain together

// One kernel a dataflow, in the order in which Python numbers them. `scratch` says how many floats the caller lends.
struct FlowKernels {
  struct Flow {
    std::size_t (*scratch)(const FlowProduct&);
    void (*multiply)(const FlowProduct&, float* scratch);
  };
  Flow inner, outer, row, column;
  std::size_t (*chain_scratch)(const LogisticChain&);
  void (*chain)(const LogisticChain&, float* scratch);
};

}  // namespace gossamer
