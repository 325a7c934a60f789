// Products with stored weights: linear layers and convolutions, dense and sparse alike. A dense weight is a pattern that
// leaves nothing out, and so is each group of a grouped convolution.
#include "steps.hpp"
#include "tables.hpp"

namespace gossamer::engine {
namespace {

// Inputs of both: x, values, indptr, indices, bias. Sizes: outputs, columns, height, relu; a convolution's go on with
// kernel, stride, padding and dilation, vertical and horizontal.
enum : std::size_t { kX, kValues, kStarts, kIndices, kBias, kInputs };
enum : std::size_t { kOutputs, kColumns, kHeight, kRelu, kShape };

std::string weights_complaint(const Step& step, const Frame& frame) {
  const std::int64_t outputs = frame.size(step, kOutputs), height = frame.size(step, kHeight);
  if (outputs < 1 || (height != 1 && height != 8 && height != 16)) return "the weight has no rows, or blocks of no known height";
  const std::int64_t entries = frame.input(step, kIndices).count();
  if (!sound_pattern(step, frame, kStarts, (outputs + height - 1) / height)) return "the pattern of the weight is none";
  if (!holds(frame, step.inputs[kValues], Number::float32) || frame.input(step, kValues).count() != entries * height)
    return "there are not as many weights as places for them";
  if (step.has(kBias) && !plain(frame, step.inputs[kBias], {outputs})) return "the bias has not one number an output";
  return "";
}

std::string linear_complaint(const Step& step, const Frame& frame) {
  if (std::string found = arity(step, kInputs, kBias, kShape, 0); !found.empty()) return found;
  const Tensor &x = frame.input(step, kX), &out = frame.output(step);
  const std::int64_t columns = frame.size(step, kColumns), outputs = frame.size(step, kOutputs);
  if (x.rank < 1 || !x.contiguous() || x.size[x.rank - 1] != columns || columns < 1) return "the input is not (..., columns)";
  if (out.rank < 1 || !out.contiguous() || out.size[out.rank - 1] != outputs || out.count() / outputs != x.count() / columns)
    return "the output is not (..., outputs)";
  return weights_complaint(step, frame);
}

Product product(const Step& step, const Frame& frame) {
  const std::int64_t outputs = frame.size(step, kOutputs), columns = frame.size(step, kColumns), height = frame.size(step, kHeight);
  const bool there = frame.data != nullptr;
  return {pattern_of(step, frame, kStarts, (outputs + height - 1) / height, columns),
          outputs,
          frame.input(step, kX).count() / columns,
          static_cast<int>(height),
          Element::float32,
          Element::float32,
          there ? frame.from(step, kValues) : nullptr,
          there ? frame.from(step, kX) : nullptr,
          there ? frame.from(step, kBias) : nullptr,
          frame.size(step, kRelu) != 0,
          there ? frame.to(step) : nullptr,
          frame.threads};
}

std::size_t linear_scratch(const Step& step, const Frame& frame) {
  const Product p = product(step, frame);
  return p.height == 1 ? tables().layers.csr_scratch(p, true) : tables().layers.block_scratch(p, true);
}

bool linear_run(const Step& step, const Frame& frame) {
  const Product p = product(step, frame);
  return p.height == 1 ? tables().layers.csr(p, true, frame.scratch) : tables().layers.block(p, true, frame.scratch);
}

Geometry geometry(const Step& step, const Frame& frame) {
  const Tensor &x = frame.input(step, kX), &out = frame.output(step);
  const auto pair = [&](std::size_t i, std::int64_t(&to)[2]) {
    to[0] = frame.size(step, kShape + i);
    to[1] = frame.size(step, kShape + i + 1);
  };
  Geometry g{x.size[0], x.size[1], {x.size[2], x.size[3]}, {out.size[2], out.size[3]}, {}, {}, {}, {}};
  pair(0, g.kernel);
  pair(2, g.stride);
  pair(4, g.padding);
  pair(6, g.dilation);
  return g;
}

std::string convolution_complaint(const Step& step, const Frame& frame) {
  if (std::string found = arity(step, kInputs, kBias, kShape + 8, 0); !found.empty()) return found;
  const Tensor &x = frame.input(step, kX), &out = frame.output(step);
  if (x.rank != 4 || out.rank != 4 || !x.contiguous() || !out.contiguous()) return "input and output are not images";
  const Geometry g = geometry(step, frame);
  for (int axis = 0; axis < 2; ++axis) {
    if (g.kernel[axis] < 1 || g.stride[axis] < 1 || g.padding[axis] < 0 || g.dilation[axis] < 1) return "the window is none";
    const std::int64_t reach = g.size[axis] + 2 * g.padding[axis] - g.dilation[axis] * (g.kernel[axis] - 1) - 1;
    if (reach < 0 || g.out_size[axis] != reach / g.stride[axis] + 1) return "the images are too small for the window";
  }
  if (g.channels * g.kernel[0] * g.kernel[1] != frame.size(step, kColumns)) return "the weight is for other channels";
  if (out.size[0] != x.size[0] || out.size[1] != frame.size(step, kOutputs)) return "the output has other sizes";
  return weights_complaint(step, frame);
}

Convolution convolution(const Step& step, const Frame& frame) {
  const std::int64_t outputs = frame.size(step, kOutputs), columns = frame.size(step, kColumns), height = frame.size(step, kHeight);
  const bool there = frame.data != nullptr;
  return {pattern_of(step, frame, kStarts, (outputs + height - 1) / height, columns),
          outputs,
          static_cast<int>(height),
          geometry(step, frame),
          there ? frame.from(step, kValues) : nullptr,
          there ? frame.from(step, kX) : nullptr,
          there ? frame.from(step, kBias) : nullptr,
          nullptr,
          frame.size(step, kRelu) != 0,
          there ? frame.to(step) : nullptr,
          frame.threads};
}

std::size_t convolution_scratch(const Step& step, const Frame& frame) {
  return tables().layers.conv_scratch(convolution(step, frame));
}

bool convolution_run(const Step& step, const Frame& frame) {
  const Convolution c = convolution(step, frame);
  return c.height == 1 ? tables().layers.csr_conv(c, frame.scratch) : tables().layers.block_conv(c, frame.scratch);
}

}  // namespace

const Behaviour kLinear{linear_complaint, linear_scratch, linear_run};
const Behaviour kConvolution{convolution_complaint, convolution_scratch, convolution_run};

}  // namespace gossamer::engine
