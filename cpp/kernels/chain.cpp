// The mean logistic loss of a small network and its gradients in one pass over the rows.
//
// Rows go through the layers forwards and backwards a block at a time, so that what hidden layers give stays in cache and
// is never written to memory. The products are those of flows.cpp, each in the flow that the caller chose. Blocks have
// gradients of their own, which are added in order; threads share the blocks.
//
//   loss = mean of max(z, 0) - z y + log(1 + exp(-|z|)),    dloss/dz = (1 / (1 + exp(-z)) - y) / rows
#include <cmath>
#include <type_traits>
#include <utility>
#ifdef _OPENMP
#include <omp.h>
#endif

#include "flows.hpp"
#include "vector.hpp"

namespace gossamer::GOSSAMER_ISA {

extern const FlowKernels flow_table;

namespace {

using std::int64_t;

const FlowKernels::Flow& flow_of(int flow) {
  switch (flow) {
    case 0: return flow_table.inner;
    case 1: return flow_table.outer;
    case 2: return flow_table.row;
    default: return flow_table.column;
  }
}

// The products of a layer on `rows` rows.
FlowProduct forward_of(const ChainLayer& l, int64_t rows, const float* x, bool relu, float* out) {
  return {rows, l.inputs, l.outputs, x, l.inputs, 1, l.weight, 1, l.inputs, l.bias, relu, nullptr, out, 1};
}

FlowProduct weights_of(const ChainLayer& l, int64_t rows, const float* flow, const float* x, float* out) {
  return {l.outputs, rows, l.inputs, flow, 1, l.outputs, x, l.inputs, 1, nullptr, false, nullptr, out, 1};
}

FlowProduct back_of(const ChainLayer& l, int64_t rows, const float* flow, const float* gate, float* out) {
  return {rows, l.outputs, l.inputs, flow, l.outputs, 1, l.weight, l.inputs, 1, nullptr, false, gate, out, 1};
}

void multiply(int flow, const FlowProduct& p, float* scratch) { flow_of(flow).multiply(p, scratch); }

int64_t blocks_of(const LogisticChain& c) { return ceil_div(c.rows, kChainBlock); }

int64_t parameters(const LogisticChain& c) {
  int64_t count = 0;
  for (int64_t n = 0; n < c.layers; ++n)
    count += c.layer[n].outputs * (c.layer[n].inputs + (c.layer[n].bias ? 1 : 0));
  return count;
}

int64_t widest(const LogisticChain& c) {
  int64_t width = 1;
  for (int64_t n = 0; n + 1 < c.layers; ++n) width = larger(width, c.layer[n].outputs);
  return width;
}

// Of one thread: what layers give, two gradients that pass through them, and what the products borrow.
struct Room {
  int64_t hidden, flow, lent;
  int64_t size() const { return hidden + 2 * flow + lent; }
};

Room room_of(const LogisticChain& c) {
  Room room{0, kChainBlock * widest(c), 0};
  for (int64_t n = 0; n + 1 < c.layers; ++n) {
    const ChainLayer& l = c.layer[n];
    room.hidden += kChainBlock * l.outputs;
    const std::size_t most =
        larger(flow_of(l.forward).scratch(forward_of(l, kChainBlock, c.x, false, c.loss)),
               larger(flow_of(l.weights).scratch(weights_of(l, kChainBlock, c.x, c.x, c.loss)),
                      flow_of(l.back).scratch(back_of(l, kChainBlock, c.x, nullptr, c.loss))));
    room.lent = larger(room.lent, ceil_div(static_cast<int64_t>(most), kLanes) * kLanes);
  }
  return room;
}

// The logistic losses of a block; the product, at most 2^kChainBlock, stands for the sum of logarithms of its factors.
struct Losses {
  double sum = 0.0, product = 1.0;

  // Adds that of a score; returns its derivative.
  float add(float z, float y) {
    const float power = std::exp(-std::fabs(z));
    sum += (z > 0.0f ? z : 0.0f) - z * y;
    product *= 1.0 + power;
    return (z >= 0.0f ? 1.0f : power) / (1.0f + power) - y;
  }
  double total() const { return sum + std::log(product); }
};

// R rows at `below` through the last layer and back: adds to its gradients, and writes that of `below`, if asked for.
template <int R>
void last_rows(const ChainLayer& l, const float* below, const float* y, float share, Losses& losses, float* weight_grad,
               float* bias_grad, float* back) {
  const int64_t wide = l.inputs / kLanes * kLanes;
  vec<kLanes> sums[R] = {};
  for (int64_t j = 0; j < wide; j += kLanes) {
    const vec<kLanes> weight = load<kLanes>(l.weight + j);
    GOSSAMER_UNROLL
    for (int r = 0; r < R; ++r) sums[r] += load<kLanes>(below + r * l.inputs + j) * weight;
  }
  float slopes[R];
  for (int r = 0; r < R; ++r) {
    float z = lane_sum<kLanes>(sums[r]) + (l.bias ? *l.bias : 0.0f);
    for (int64_t j = wide; j < l.inputs; ++j) z += below[r * l.inputs + j] * l.weight[j];
    slopes[r] = losses.add(z, y[r]) * share;
    *bias_grad += slopes[r];
  }
  for (int64_t j = 0; j < wide; j += kLanes) {
    const vec<kLanes> weight = load<kLanes>(l.weight + j), zero{};
    vec<kLanes> sum = load<kLanes>(weight_grad + j);
    GOSSAMER_UNROLL
    for (int r = 0; r < R; ++r) {
      const vec<kLanes> x = load<kLanes>(below + r * l.inputs + j);
      sum += slopes[r] * x;
      if (back) store<kLanes>(back + r * l.inputs + j, x > zero ? slopes[r] * weight : zero);
    }
    store<kLanes>(weight_grad + j, sum);
  }
  for (int64_t j = wide; j < l.inputs; ++j)
    for (int r = 0; r < R; ++r) {
      const float x = below[r * l.inputs + j];
      weight_grad[j] += slopes[r] * x;
      if (back) back[r * l.inputs + j] = x > 0.0f ? slopes[r] * l.weight[j] : 0.0f;
    }
}

constexpr int kTogether = 4;  // rows that share a pass over the last layer's weight

// Sends `rows` rows through; returns the sum of their losses.
double run_block(const LogisticChain& c, const Room& room, int64_t first, int64_t rows, float* own, float* gradients) {
  float* lent = own + room.hidden + 2 * room.flow;
  const float* below = c.x + first * c.layer[0].inputs;
  float* out = own;
  for (int64_t n = 0; n + 1 < c.layers; ++n) {
    const ChainLayer& l = c.layer[n];
    multiply(l.forward, forward_of(l, rows, below, true, out), lent);
    below = out;
    out += kChainBlock * l.outputs;
  }
  float* flow = own + room.hidden;
  float* next = flow + room.flow;
  const ChainLayer& last = c.layer[c.layers - 1];
  float bias_grad = 0.0f;
  gradients -= last.inputs + (last.bias ? 1 : 0);
  for (int64_t j = 0; j < last.inputs; ++j) gradients[j] = 0.0f;
  Losses losses;
  const float share = 1.0f / static_cast<float>(c.rows);
  const auto send = [&](auto count, int64_t r) {
    last_rows<count>(last, below + r * last.inputs, c.y + first + r, share, losses, gradients, &bias_grad,
                     c.layers > 1 ? flow + r * last.inputs : nullptr);
  };
  int64_t r = 0;
  for (; r + kTogether <= rows; r += kTogether) send(std::integral_constant<int, kTogether>{}, r);
  for (; r < rows; ++r) send(std::integral_constant<int, 1>{}, r);
  if (last.bias) gradients[last.inputs] = bias_grad;
  for (int64_t n = c.layers - 2; n >= 0; --n) {
    const ChainLayer& l = c.layer[n];
    out -= kChainBlock * l.outputs;
    below = n ? out - kChainBlock * c.layer[n - 1].outputs : c.x + first * l.inputs;
    gradients -= l.outputs * (l.inputs + (l.bias ? 1 : 0));
    multiply(l.weights, weights_of(l, rows, flow, below, gradients), lent);
    if (l.bias) {
      float* sums = gradients + l.outputs * l.inputs;
      for (int64_t j = 0; j < l.outputs; ++j) sums[j] = 0.0f;
      for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = 0; j < l.outputs; ++j) sums[j] += flow[i * l.outputs + j];
    }
    if (n == 0) break;
    multiply(l.back, back_of(l, rows, flow, below, next), lent);
    std::swap(flow, next);
  }
  return losses.total();
}

// Adds to numbers that are there, or writes the first; returns where the next ones are.
const float* add(float* to, const float* from, int64_t count, bool first) {
  for (int64_t n = 0; n < count; ++n) to[n] = first ? from[n] : to[n] + from[n];
  return from + count;
}

}  // namespace

std::size_t chain_scratch(const LogisticChain& c) {
  const int64_t own = ceil_div(parameters(c), kLanes) * kLanes;
  return static_cast<std::size_t>(blocks_of(c) * (own + kLanes) + c.threads * room_of(c).size());
}

void chain(const LogisticChain& c, float* scratch) {
  const Room room = room_of(c);
  const int64_t blocks = blocks_of(c), count = parameters(c), own = ceil_div(count, kLanes) * kLanes;
  float* rooms = scratch + blocks * (own + kLanes);
#pragma omp parallel num_threads(c.threads) if (c.threads > 1 && blocks > 1)
  {
    const FlushSubnormals flush;
    int thread = 0;
#ifdef _OPENMP
    thread = omp_get_thread_num();
#endif
#pragma omp for schedule(static)
    for (int64_t b = 0; b < blocks; ++b) {
      float* sums = scratch + b * (own + kLanes);
      const int64_t first = b * kChainBlock, rows = smaller(kChainBlock, c.rows - first);
      const double loss = run_block(c, room, first, rows, rooms + thread * room.size(), sums + count);
      sums[own] = static_cast<float>(loss);
    }
  }
  const FlushSubnormals flush;
  double loss = 0.0;
  for (int64_t b = 0; b < blocks; ++b) {
    const float* sums = scratch + b * (own + kLanes);
    loss += sums[own];
    for (int64_t n = 0; n < c.layers; ++n) {
      const ChainLayer& l = c.layer[n];
      sums = add(l.weight_grad, sums, l.outputs * l.inputs, b == 0);
      if (l.bias) sums = add(l.bias_grad, sums, l.outputs, b == 0);
    }
  }
  *c.loss = static_cast<float>(loss / static_cast<double>(c.rows));
}

}  // namespace gossamer::GOSSAMER_ISA
