// What a whole network needs beyond its layers: elementwise programs, products of two activations, attention between
// tokens, norms, reductions, pooling and copies. The rules of kernels.hpp hold.
#pragma once

#include "kernels.hpp"

namespace gossamer {

inline constexpr int kMostAxes = 8;
inline constexpr int kMostInputs = 8;       // of an elementwise program
inline constexpr int kMostOperations = 16;  // of an elementwise program

enum class Operator : int {
  add = 0,       // a + b
  subtract = 1,  // a - b
  multiply = 2,  // a * b
  divide = 3,    // a / b
  maximum = 4,   // NaN wins
  minimum = 5,   // NaN wins
  affine = 6,    // p * a + q
  clamp = 7,     // between p and q, NaN stays
  relu = 8,
  leaky = 9,  // p * a below zero
  elu = 10,   // p * (e^a - 1) below zero
  gelu = 11,  // a * Φ(a)
  gelu_tanh = 12,
  silu = 13,
  sigmoid = 14,
  tanh = 15,
  exp = 16,
  sqrt = 17,
  rsqrt = 18,
  absolute = 19,
  reciprocal = 20,
  erf = 21,
  hard_sigmoid = 22,  // clamp(a / 6 + 1/2, 0, 1)
  hard_swish = 23,
  square = 24,
  equal = 25,  // 1 if so, else 0; and so on
  not_equal = 26,
  less = 27,
  less_equal = 28,
  greater = 29,
  greater_equal = 30,
  keep = 31,  // b where a is not zero, else 0
  log = 32,
  sin = 33,
  cos = 34,
  floor = 35,
  round = 36,  // to the nearest, halves to even
  power = 37,
  remainder = 38,  // of the sign of b
  softplus = 39,   // log(1 + e^(p a)) / p; a itself where p a is above q
};
inline constexpr int kOperators = 40;

// One operation of an elementwise program. Registers below `inputs` are the inputs, those from there on the results.
struct Operation {
  Operator what;
  int a;
  int b;
  float p;
  float q;
};

// out = the last result of a program on inputs that are broadcast to one shape; see pointwise.cpp. `out` is contiguous
// and may be one of the inputs with the same strides.
struct Pointwise {
  int axes;
  std::int64_t size[kMostAxes];
  int inputs;
  const float* input[kMostInputs];
  std::int64_t stride[kMostInputs][kMostAxes];
  const Operation* program;
  int length;
  float* out;
  int threads;
};

// A batch of matrices somewhere in memory. The number (i, j) of matrix b = outer * inner_count + inner lies at
// outer * outer_stride + inner * inner_stride + i * row + j * column.
struct Matrices {
  const float* data;
  std::int64_t outer_stride;
  std::int64_t inner_stride;
  std::int64_t row;
  std::int64_t column;
};

// out[b] = scale * a[b] b[b]: (m, k) times (k, n); see matmul.cpp.
struct MatMul {
  std::int64_t outer, inner;  // matrices: outer * inner
  std::int64_t m, k, n;
  Matrices a;
  Matrices b;
  float scale;
  float* out;  // (outer, inner, m, n)
  int threads;
};

// out[b] = softmax(scale * q k^T + mask) v of each matrix b, without anything of size m * n for more than a few rows at a
// time; see token_attention.cpp.
struct TokenAttention {
  std::int64_t outer, inner;
  std::int64_t m, n;        // queries, keys
  std::int64_t depth;       // of queries and keys
  std::int64_t width;       // of values
  Matrices q;               // (m, depth)
  Matrices k;               // (n, depth)
  Matrices v;               // (n, width)
  Matrices mask;            // (m, n); data null: none
  bool causal;              // query i sees keys up to i
  float scale;
  float* out;  // (outer, inner, m, width)
  int threads;
};

// Rows of numbers side by side: softmax, or (x - mean) / sqrt(var + epsilon) * weight + bias; see rows.cpp.
struct Rows {
  std::int64_t rows;
  std::int64_t width;
  const float* x;
  const float* weight;  // (width) or null
  const float* bias;    // (width) or null
  float epsilon;
  bool centred;  // a norm takes the mean off; RMSNorm does not
  float* out;
  int threads;
};

enum class Reduction : int { sum = 0, mean = 1, largest = 2 };

// out[i, k] = the reduction of x[i, :, k]; see rows.cpp.
struct Reduce {
  std::int64_t outer, length, inner;
  Reduction kind;
  const float* x;
  float* out;
  int threads;
};

// Pooling of planes; numbers beyond the border are left out, or count as zeros in a mean if `padded`.
struct Pool {
  std::int64_t planes;
  std::int64_t size[2], out_size[2], kernel[2], stride[2], padding[2];
  bool mean;
  bool padded;
  const float* x;
  float* out;
  int threads;
};

// Copies numbers from one place of memory to another, both with strides, counted in units of `width` bytes.
struct Copy {
  int axes;
  std::int64_t size[kMostAxes];
  std::int64_t from_stride[kMostAxes];
  std::int64_t to_stride[kMostAxes];
  int width;  // 1, 4 or 8
  const void* from;
  void* to;
  int threads;
};

// The kernels of one instruction set. `..._scratch` says how many floats the caller lends.
struct DenseKernels {
  void (*pointwise)(const Pointwise&);
  std::size_t (*matmul_scratch)(const MatMul&);
  void (*matmul)(const MatMul&, float* scratch);
  std::size_t (*token_attention_scratch)(const TokenAttention&);
  void (*token_attention)(const TokenAttention&, float* scratch);
  void (*softmax)(const Rows&);
  void (*normalize)(const Rows&);
  void (*reduce)(const Reduce&);
  void (*pool)(const Pool&);
  void (*copy)(const Copy&);
};

}  // namespace gossamer
