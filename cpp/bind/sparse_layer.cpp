// Binds the kernels of sparse layers in training; the Python face checks every argument, nothing here does.
#include <nanobind/nanobind.h>
#include <nanobind/stl/vector.h>

#include <vector>

#include "../kernels/sparse_layer.hpp"
#include "bind.hpp"
#include "levels.hpp"

namespace nb = nanobind;
using namespace gossamer;
using namespace gossamer::bind;

namespace gossamer {
#ifdef GOSSAMER_X86
namespace avx512 {
extern const SparseLayerKernels sparse_layer_table;
}
namespace avx2 {
extern const SparseLayerKernels sparse_layer_table;
}
#endif
namespace baseline {
extern const SparseLayerKernels sparse_layer_table;
}
}  // namespace gossamer

namespace {

const SparseLayerKernels& kernels() {
#ifdef GOSSAMER_X86
  if (chosen_level() >= Level::avx512) return avx512::sparse_layer_table;
  if (chosen_level() == Level::avx2) return avx2::sparse_layer_table;
#endif
  return baseline::sparse_layer_table;
}

ProductGradient gradient(Size rows, Size outputs, Size columns, Size batch, Size entries, int index_bytes,
                         Address indptr, Address indices, Address values, Address x, Address flow, Address out,
                         int threads) {
  return {{rows, columns, entries, at<const Size>(indptr), at<const void>(indices), index_bytes},
          outputs,
          batch,
          at<const float>(values),
          at<const float>(x),
          at<const float>(flow),
          at<float>(out),
          threads};
}

bool block_input(Size outputs, Size columns, Size batch, Size entries, int index_bytes, Address indptr, Address indices,
                 Address values, Address flow, Address out, bool by_example, int threads) {
  const ProductGradient p = gradient((outputs + 15) / 16, outputs, columns, batch, entries, index_bytes, indptr,
                                     indices, values, 0, flow, out, threads);
  return kernels().block_input(p, by_example, Scratch<>(kernels().block_input_scratch(p)).get());
}

bool block_values(Size outputs, Size columns, Size batch, Size entries, int index_bytes, Address indptr,
                  Address indices, Address x, Address flow, Address out, bool by_example, int threads) {
  const ProductGradient p = gradient((outputs + 15) / 16, outputs, columns, batch, entries, index_bytes, indptr,
                                     indices, 0, x, flow, out, threads);
  return kernels().block_values(p, by_example, Scratch<>(kernels().block_values_scratch(p)).get());
}

bool csr_values(Size outputs, Size columns, Size batch, Size entries, int index_bytes, Address indptr, Address indices,
                Address x, Address flow, Address out, bool by_example, int threads) {
  const ProductGradient p = gradient(outputs, outputs, columns, batch, entries, index_bytes, indptr, indices, 0, x,
                                     flow, out, threads);
  return kernels().csr_values(p, by_example, Scratch<>(kernels().csr_values_scratch(p)).get());
}

// A convolution or one of its gradients. `sizes` is the shape in the order of Geometry; what the kernel does not read
// is 0.
template <bool (*SparseLayerKernels::*kernel)(const Convolution&, float*), bool blocks>
bool conv(Size outputs, const std::vector<Size>& sizes, Size entries, int index_bytes, Address indptr, Address indices,
          Address values, Address x, Address bias, Address flow, bool relu, Address out, int threads) {
  const Size* s = sizes.data();
  const Geometry shape{s[0],         s[1],          {s[2], s[3]},   {s[4], s[5]},
                       {s[6], s[7]}, {s[8], s[9]}, {s[10], s[11]}, {s[12], s[13]}};
  const Convolution c{{blocks ? (outputs + 15) / 16 : outputs, shape.channels * shape.kernel[0] * shape.kernel[1],
                       entries, at<const Size>(indptr), at<const void>(indices), index_bytes},
                      outputs,
                      shape,
                      at<const float>(values),
                      at<const float>(x),
                      at<const float>(bias),
                      at<const float>(flow),
                      relu,
                      at<float>(out),
                      threads};
  return (kernels().*kernel)(c, Scratch<>(kernels().conv_scratch(c)).get());
}

}  // namespace

void bind_sparse_layer(nb::module_& m) {
  const nb::call_guard<nb::gil_scoped_release> unlocked;
  m.def("block_input", &block_input, unlocked);
  m.def("block_values", &block_values, unlocked);
  m.def("csr_values", &csr_values, unlocked);
  using Table = SparseLayerKernels;
  m.def("block_conv", &conv<&Table::block_conv, true>, unlocked);
  m.def("block_conv_input", &conv<&Table::block_conv_input, true>, unlocked);
  m.def("block_conv_values", &conv<&Table::block_conv_values, true>, unlocked);
  m.def("csr_conv", &conv<&Table::csr_conv, false>, unlocked);
  m.def("csr_conv_input", &conv<&Table::csr_conv_input, false>, unlocked);
  m.def("csr_conv_values", &conv<&Table::csr_conv_values, false>, unlocked);
}
