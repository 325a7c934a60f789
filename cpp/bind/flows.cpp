// Products of small dense matrices, for Python: addresses and sizes, checked by the caller.
#include "../kernels/flows.hpp"

#include <nanobind/nanobind.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <tuple>
#include <vector>

#include "bind.hpp"
#include "levels.hpp"

namespace nb = nanobind;

namespace gossamer {
#ifdef GOSSAMER_X86
namespace avx512 {
extern const FlowKernels flow_table;
}
namespace avx2 {
extern const FlowKernels flow_table;
}
#endif
namespace baseline {
extern const FlowKernels flow_table;
}

namespace {

using namespace bind;

const FlowKernels& kernels() {
#ifdef GOSSAMER_X86
  if (chosen_level() >= Level::avx512) return avx512::flow_table;
  if (chosen_level() == Level::avx2) return avx2::flow_table;
#endif
  return baseline::flow_table;
}

const FlowKernels::Flow& kernel(int flow) {
  switch (flow) {
    case 0: return kernels().inner;
    case 1: return kernels().outer;
    case 2: return kernels().row;
    default: return kernels().column;
  }
}

void multiply(int flow, Size rows, Size inner, Size columns, Address x, Size x_row, Size x_column, Address y, Size y_row,
              Size y_column, Address bias, bool relu, Address gate, Address out, int threads) {
  const FlowProduct p{rows,           inner,
                      columns,        at<const float>(x),
                      x_row,          x_column,
                      at<const float>(y), y_row,
                      y_column,       at<const float>(bias),
                      relu,           at<const float>(gate),
                      at<float>(out), threads};
  const FlowKernels::Flow& chosen = kernel(flow);
  const Scratch scratch(chosen.scratch(p));
  chosen.multiply(p, scratch.get());
}

// A layer is its inputs, its outputs, the addresses of weight, bias and their gradients, and three flows.
using Layer = std::tuple<Size, Size, Address, Address, Address, Address, int, int, int>;

void chain(Size rows, const std::vector<Layer>& given, Address x, Address y, Address loss, int threads) {
  std::vector<ChainLayer> layers;
  for (const auto& [inputs, outputs, weight, bias, weight_grad, bias_grad, forward, weights, back] : given)
    layers.push_back({inputs, outputs, at<const float>(weight), at<const float>(bias), at<float>(weight_grad),
                      at<float>(bias_grad), forward, weights, back});
  const LogisticChain job{rows,           static_cast<Size>(layers.size()), layers.data(), at<const float>(x),
                          at<const float>(y), at<float>(loss),              threads};
  const Scratch scratch(kernels().chain_scratch(job));
  kernels().chain(job, scratch.get());
}

}  // namespace

void bind_flows(nb::module_& m) {
  const nb::call_guard<nb::gil_scoped_release> unlocked;
  m.attr("chain_block") = kChainBlock;
  m.def("flow_product", &multiply, unlocked);
  m.def("logistic_chain", &chain, unlocked);
}

}  // namespace gossamer
