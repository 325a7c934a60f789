// The mean logistic loss of a small network and its gradients in one pass over the rows.
//
// Rows go through the layers forwards and backwards a block at a time, so that what hidden layers give stays in cache and
// is never written to memory. The products are those of flows.cpp, each in the flow that the caller chose. Blocks have
// gradients of their own, which are added in order; threads share the blocks.
//
//   loss = mean of max(z, 0) - z y + log(1 + exp(-|z|)),    dloss/dz = (1 / (1 + exp(-z)) - y) / rows
#include <cmath>
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
  for (int64_t n = 0; n < c.layers; ++n) width = larger(width, c.layer[n].outputs);
  return width;
}

// Of one thread: what layers give, two gradients that pass through them, and what the products borrow.
struct Room {
  int64_t hidden, flow, lent;
  int64_t size() const { return hidden + 2 * flow + lent; }
};

Room room_of(const LogisticChain& c) {
  Room room{0, kChainBlock * widest(c), 0};
  for (int64_t n = 0; n < c.layers; ++n) {
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

// Sends `rows` rows through; returns the sum of their losses.
double run_block(const LogisticChain& c, const Room& room, int64_t first, int64_t rows, float* own, float* gradients) {
  float* lent = own + room.hidden + 2 * room.flow;
  const float* below = c.x + first * c.layer[0].inputs;
  float* out = own;
  for (int64_t n = 0; n < c.layers; ++n) {
    const ChainLayer& l = c.layer[n];
    if (n) below = out, out += kChainBlock * c.layer[n - 1].outputs;
    multiply(l.forward, forward_of(l, rows, below, n + 1 < c.layers, out), lent);
  }
  double loss = 0.0;
  float* flow = own + room.hidden;
  float* next = flow + room.flow;
  const float share = 1.0f / static_cast<float>(c.rows);
  double product = 1.0;  // of 1 + exp(-|z|), at most 2^kChainBlock: one logarithm a block
  for (int64_t r = 0; r < rows; ++r) {
    const float z = out[r], y = c.y[first + r], power = std::exp(-std::fabs(z));
    loss += (z > 0.0f ? z : 0.0f) - z * y;
    product *= 1.0 + power;
    flow[r] = ((z >= 0.0f ? 1.0f : power) / (1.0f + power) - y) * share;
  }
  loss += std::log(product);
  for (int64_t n = c.layers - 1; n >= 0; --n) {
    const ChainLayer& l = c.layer[n];
    out -= n ? kChainBlock * c.layer[n - 1].outputs : 0;
    below = n ? out : c.x + first * l.inputs;
    gradients -= l.outputs * (l.inputs + (l.bias ? 1 : 0));
    multiply(l.weights, weights_of(l, rows, flow, below, gradients), lent);
    if (l.bias) {
      float* sums = gradients + l.outputs * l.inputs;
      for (int64_t j = 0; j < l.outputs; ++j) sums[j] = 0.0f;
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t j = 0; j < l.outputs; ++j) sums[j] += flow[r * l.outputs + j];
    }
    if (n == 0) break;
    multiply(l.back, back_of(l, rows, flow, below, next), lent);
    float* used = flow;
    flow = next;
    next = used;
  }
  return loss;
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
