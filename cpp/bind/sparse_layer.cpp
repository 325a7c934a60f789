// Binds the kernels of sparse layers; the Python face checks every argument, nothing here does.
#include <nanobind/nanobind.h>
#include <nanobind/stl/vector.h>

#include <optional>
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

// Rows of the pattern: of blocks of `height` rows, or of the matrix itself.
Size bands(Size outputs, int height) { return (outputs + height - 1) / height; }

// The floats of an array: itself, or a copy if it holds bfloat16.
class Floats {
 public:
  Floats(int element, Address array, Size count, int threads) {
    if (array == 0 || static_cast<Element>(element) == Element::float32) {
      floats_ = at<float>(array);
    } else {
      floats_ = copy_.emplace(static_cast<std::size_t>(count)).get();
      kernels().widen_all(at<const void>(array), floats_, count, threads);
    }
  }
  const float* get() const { return floats_; }

 private:
  std::optional<Scratch<>> copy_;
  float* floats_;
};

// Floats to be written, which `deliver` brings to the array they are for.
class Result {
 public:
  Result(int element, Address array, Size count, int threads) : array_(array), count_(count), threads_(threads) {
    const bool direct = static_cast<Element>(element) == Element::float32;
    floats_ = direct ? at<float>(array) : copy_.emplace(static_cast<std::size_t>(count)).get();
  }
  float* get() const { return floats_; }
  bool deliver(bool sound) const {
    if (sound && copy_) kernels().narrow_all(floats_, at<void>(array_), count_, threads_);
    return sound;
  }

 private:
  Address array_;
  Size count_;
  int threads_;
  std::optional<Scratch<>> copy_;
  float* floats_;
};

bool csr_product(Size outputs, Size columns, Size batch, Size entries, int index_bytes, int stored, int element,
                 Address indptr, Address indices, Address values, Address x, Address bias, bool relu, Address out,
                 bool by_example, int threads) {
  const Product p{pattern(outputs, columns, entries, index_bytes, indptr, indices),
                  outputs,
                  batch,
                  1,
                  static_cast<Element>(stored),
                  static_cast<Element>(element),
                  at<const void>(values),
                  at<const void>(x),
                  at<const void>(bias),
                  relu,
                  at<void>(out),
                  threads};
  return kernels().csr(p, by_example, Scratch<>(kernels().csr_scratch(p, by_example)).get());
}

bool block_product(Size outputs, Size columns, Size batch, Size entries, int index_bytes, int height, int stored,
                   int element, Address indptr, Address indices, Address values, Address x, Address bias, bool relu,
                   Address out, bool by_example, int threads) {
  const Product p{pattern(bands(outputs, height), columns, entries, index_bytes, indptr, indices),
                  outputs,
                  batch,
                  height,
                  static_cast<Element>(stored),
                  static_cast<Element>(element),
                  at<const void>(values),
                  at<const void>(x),
                  at<const void>(bias),
                  relu,
                  at<void>(out),
                  threads};
  return kernels().block(p, by_example, Scratch<>(kernels().block_scratch(p, by_example)).get());
}

bool block_input(Size outputs, Size columns, Size batch, Size entries, int index_bytes, int height, int stored,
                 int element, Address indptr, Address indices, Address values, Address flow, Address out, bool by_example,
                 int threads) {
  const Floats weights(stored, values, entries * height, threads), from(element, flow, outputs * batch, threads);
  const Result to(element, out, columns * batch, threads);
  const ProductGradient p{pattern(bands(outputs, height), columns, entries, index_bytes, indptr, indices),
                          outputs,
                          batch,
                          height,
                          weights.get(),
                          nullptr,
                          from.get(),
                          to.get(),
                          threads};
  return to.deliver(kernels().block_input(p, by_example, Scratch<>(kernels().block_input_scratch(p)).get()));
}

// The values' gradient, in CSR form where `height` is 1.
bool product_values(Size outputs, Size columns, Size batch, Size entries, int index_bytes, int height, int element,
                    Address indptr, Address indices, Address x, Address flow, Address out, bool by_example,
                    int threads) {
  const Floats input(element, x, columns * batch, threads), from(element, flow, outputs * batch, threads);
  const Result to(element, out, entries * height, threads);
  const ProductGradient p{pattern(bands(outputs, height), columns, entries, index_bytes, indptr, indices),
                          outputs,
                          batch,
                          height,
                          nullptr,
                          input.get(),
                          from.get(),
                          to.get(),
                          threads};
  if (height == 1)
    return to.deliver(kernels().csr_values(p, by_example, Scratch<>(kernels().csr_values_scratch(p)).get()));
  return to.deliver(kernels().block_values(p, by_example, Scratch<>(kernels().block_values_scratch(p)).get()));
}

bool turn_values(Size rows, Size columns, Size entries, int index_bytes, int width, Address indptr, Address indices,
                 Address values, Address starts, Address to_rows, Address turned) {
  return transpose_values(pattern(rows, columns, entries, index_bytes, indptr, indices), at<const void>(values), width,
                          at<Size>(starts), at<void>(to_rows), at<void>(turned));
}

enum class Part { result, input, values };

// A convolution or one of its gradients, in CSR form where `height` is 1. `sizes` is the shape in the order of
// Geometry; what the kernel does not read is 0. `kind` is the element of the stored values.
template <Part part>
bool conv(Size outputs, const std::vector<Size>& sizes, Size entries, int index_bytes, int height, int kind,
          int element, Address indptr, Address indices, Address values, Address x, Address bias, Address flow, bool relu,
          Address out, int threads) {
  const Size* s = sizes.data();
  const Geometry shape{s[0],         s[1],          {s[2], s[3]},   {s[4], s[5]},
                       {s[6], s[7]}, {s[8], s[9]}, {s[10], s[11]}, {s[12], s[13]}};
  const Size stored = entries * height, image = s[0] * s[1] * s[2] * s[3], result = s[0] * outputs * s[4] * s[5];
  const Floats weights(kind, values, stored, threads), input(element, x, image, threads),
      offset(element, bias, outputs, threads), from(element, flow, result, threads);
  const Size count = part == Part::result ? result : (part == Part::input ? image : stored);
  const Result to(element, out, count, threads);
  const Convolution c{
      pattern(bands(outputs, height), shape.channels * shape.kernel[0] * shape.kernel[1], entries, index_bytes, indptr,
              indices),
      outputs,
      height,
      shape,
      weights.get(),
      input.get(),
      offset.get(),
      from.get(),
      relu,
      to.get(),
      threads};
  const SparseLayerKernels& k = kernels();
  const auto run = part == Part::result  ? (height == 1 ? k.csr_conv : k.block_conv)
                   : part == Part::input ? (height == 1 ? k.csr_conv_input : k.block_conv_input)
                                         : (height == 1 ? k.csr_conv_values : k.block_conv_values);
  return to.deliver(run(c, Scratch<>(k.conv_scratch(c)).get()));
}

}  // namespace

void bind_sparse_layer(nb::module_& m) {
  const nb::call_guard<nb::gil_scoped_release> unlocked;
  m.def("csr_product", &csr_product, unlocked);
  m.def("block_product", &block_product, unlocked);
  m.def("block_input", &block_input, unlocked);
  m.def("product_values", &product_values, unlocked);
  m.def("transpose_values", &turn_values, unlocked);
  m.def("sparse_conv", &conv<Part::result>, unlocked);
  m.def("sparse_conv_input", &conv<Part::input>, unlocked);
  m.def("sparse_conv_values", &conv<Part::values>, unlocked);
}
