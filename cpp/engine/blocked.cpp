// Convolutions and pooling of images whose channels lie in blocks, and the way there and back. A blocked value is
// (images, blocks, height, width, channels of a block), halo included.
#include "steps.hpp"
#include "tables.hpp"

namespace gossamer::engine {
namespace {

// Inputs of both convolutions: x, values, indptr, indices, bias, add; filters of one channel each have no pattern. Sizes:
// channels, outputs, height; kernel, stride, padding, dilation, and the halos of x, of the result and of what is added,
// vertical and horizontal. Numbers: the bounds of the result.
enum : std::size_t { kX, kValues, kStarts, kIndices, kBias, kAdd, kInputs };
enum : std::size_t { kChannels, kOutputs, kHeight, kKernel, kStride = 5, kPadding = 7, kDilation = 9, kFrom = 11, kTo = 13,
                     kAdded = 15, kSizes = 17 };

void pair(const Step& step, const Frame& frame, std::size_t i, std::int64_t (&to)[2]) {
  to[0] = frame.size(step, i);
  to[1] = frame.size(step, i + 1);
}

// A blocked value with a halo that its step names; no channels where it is none.
BlockedImages images(const Step& step, const Frame& frame, const Tensor& tensor, std::int64_t channels, std::size_t halo) {
  BlockedImages found{tensor.rank == 5 ? tensor.size[4] : 1, channels, {}, {}};
  pair(step, frame, halo, found.halo);
  for (int axis = 0; axis < 2; ++axis) found.size[axis] = tensor.rank == 5 ? tensor.size[2 + axis] - 2 * found.halo[axis] : -1;
  const bool known = found.block == kBlock || found.block == kFew || found.block == 1;
  if (channels < 1 || tensor.rank != 5 || !known || tensor.size[1] != found.blocks() || !tensor.contiguous() ||
      found.halo[0] < 0 || found.halo[1] < 0 || found.size[0] < 0 || found.size[1] < 0 || found.image() > INT32_MAX ||
      tensor.size[0] * found.size[0] > INT32_MAX)
    found.channels = 0;
  return found;
}

bool there(const BlockedImages& images) { return images.channels > 0; }

BlockedConvolution convolution(const Step& step, const Frame& frame) {
  const Tensor &x = frame.input(step, kX), &out = frame.output(step);
  const std::int64_t channels = frame.size(step, kChannels), outputs = frame.size(step, kOutputs), height = frame.size(step, kHeight);
  BlockedConvolution c{};
  c.height = static_cast<int>(height);
  c.images = x.size[0];
  c.from = images(step, frame, x, channels, kFrom);
  c.to = images(step, frame, out, outputs, kTo);
  pair(step, frame, kKernel, c.kernel);
  pair(step, frame, kStride, c.stride);
  pair(step, frame, kPadding, c.padding);
  pair(step, frame, kDilation, c.dilation);
  if (step.has(kStarts) && height > 0)
    c.pattern = pattern_of(step, frame, kStarts, (outputs + height - 1) / height, channels * c.kernel[0] * c.kernel[1]);
  if (step.has(kAdd)) c.added = images(step, frame, frame.input(step, kAdd), outputs, kAdded);
  c.low = static_cast<float>(step.numbers[0]);
  c.high = static_cast<float>(step.numbers[1]);
  c.threads = frame.threads;
  if (frame.data == nullptr) return c;
  c.values = frame.from(step, kValues);
  c.x = frame.from(step, kX);
  c.bias = frame.from(step, kBias);
  c.add = frame.from(step, kAdd);
  c.out = frame.to(step);
  return c;
}

// What does not hold of both kinds of convolution.
std::string window_complaint(const Step& step, const Frame& frame) {
  if (std::string found = arity(step, kInputs, kStarts, kSizes, 2); !found.empty()) return found;
  const BlockedConvolution c = convolution(step, frame);
  if (!there(c.from) || !there(c.to) || frame.output(step).size[0] != c.images || !holds(frame, step.inputs[kX], Number::float32) ||
      !holds(frame, step.inputs[kValues], Number::float32))
    return "input and output are not blocked images";
  for (int axis = 0; axis < 2; ++axis) {
    if (c.kernel[axis] < 1 || c.stride[axis] < 1 || c.padding[axis] < 0 || c.dilation[axis] < 1) return "the window is none";
    if (c.padding[axis] > c.from.halo[axis]) return "the halo is narrower than the padding";
    const std::int64_t reach = c.from.size[axis] + 2 * c.padding[axis] - c.dilation[axis] * (c.kernel[axis] - 1) - 1;
    if (reach < 0 || c.to.size[axis] != reach / c.stride[axis] + 1) return "the images are too small for the window";
  }
  if (step.has(kBias) && !plain(frame, step.inputs[kBias], {c.to.channels})) return "the bias has not one number an output";
  if (step.has(kAdd) && (!there(c.added) || frame.input(step, kAdd).size[0] != c.images || c.added.size[0] != c.to.size[0] ||
                         c.added.size[1] != c.to.size[1] || !holds(frame, step.inputs[kAdd], Number::float32)))
    return "what is added is of other sizes";
  return "";
}

std::string convolution_complaint(const Step& step, const Frame& frame) {
  if (std::string found = window_complaint(step, frame); !found.empty()) return found;
  if (!step.has(kStarts) || !step.has(kIndices)) return "the weight has no pattern";
  const BlockedConvolution c = convolution(step, frame);
  const bool single = c.height == 1;
  if (!single && c.height != 8 && c.height != 16) return "the weight is in blocks of no known height";
  const std::int64_t block = single ? 1 : kBlock;
  if (c.to.block != block || (step.has(kAdd) && c.added.block != block) || (c.from.block == 1) != single)
    return "the blocks of the weight are not those of the images";
  if (!sound_pattern(step, frame, kStarts, c.pattern.rows) || c.pattern.index_bytes != 4) return "the pattern of the weight is none";
  if (frame.input(step, kValues).count() != c.pattern.entries * c.height) return "there are not as many weights as places for them";
  return "";
}

std::size_t convolution_scratch(const Step& step, const Frame& frame) {
  return tables().blocked.convolution_scratch(convolution(step, frame));
}

bool convolution_run(const Step& step, const Frame& frame) {
  const BlockedConvolution c = convolution(step, frame);
  return c.height == 1 ? tables().blocked.planar(c, frame.scratch) : tables().blocked.convolution(c, frame.scratch);
}

std::string depthwise_complaint(const Step& step, const Frame& frame) {
  if (std::string found = window_complaint(step, frame); !found.empty()) return found;
  const BlockedConvolution c = convolution(step, frame);
  if (c.from.channels != c.to.channels || c.from.block != kBlock || c.to.block != kBlock || step.has(kStarts) || step.has(kIndices)) return "it is no filter for each channel";
  if (step.has(kAdd) && c.added.block != kBlock) return "what is added lies otherwise";
  if (frame.input(step, kValues).count() != c.from.blocks() * c.kernel[0] * c.kernel[1] * kBlock) return "the filters have other sizes";
  return "";
}

bool depthwise_run(const Step& step, const Frame& frame) {
  tables().blocked.depthwise(convolution(step, frame));
  return true;
}

// Sizes: channels; kernel, stride and padding, vertical and horizontal; whether it is a mean; whether padding counts; the
// halos of x and of the result.
BlockedPool pool(const Step& step, const Frame& frame) {
  const std::int64_t channels = frame.size(step, 0);
  BlockedPool p{};
  p.images = frame.input(step, 0).size[0];
  p.from = images(step, frame, frame.input(step, 0), channels, 9);
  p.to = images(step, frame, frame.output(step), channels, 11);
  pair(step, frame, 1, p.kernel);
  pair(step, frame, 3, p.stride);
  pair(step, frame, 5, p.padding);
  p.mean = frame.size(step, 7) != 0;
  p.padded = frame.size(step, 8) != 0;
  p.threads = frame.threads;
  if (frame.data == nullptr) return p;
  p.x = frame.from(step, 0);
  p.out = frame.to(step);
  return p;
}

std::string pool_complaint(const Step& step, const Frame& frame) {
  if (std::string found = arity(step, 1, 1, 13, 0); !found.empty()) return found;
  const BlockedPool p = pool(step, frame);
  if (!there(p.from) || !there(p.to) || frame.output(step).size[0] != p.images || !holds(frame, step.inputs[0], Number::float32))
    return "input and output are not blocked images";
  if (p.from.block != p.to.block || p.from.block == kFew) return "input and output lie differently";
  for (int axis = 0; axis < 2; ++axis)  // every window holds a number of the image
    if (p.kernel[axis] < 1 || p.stride[axis] < 1 || p.padding[axis] < 0 || p.padding[axis] >= p.kernel[axis] ||
        (p.to.size[axis] - 1) * p.stride[axis] - p.padding[axis] >= p.from.size[axis])
      return "the window is none, or the images are too small for it";
  return "";
}

bool pool_run(const Step& step, const Frame& frame) {
  tables().blocked.pool(pool(step, frame));
  return true;
}

// Sizes: whether it leads from blocked images to others; channels; the halo of the blocked ones.
Relayout relayout(const Step& step, const Frame& frame) {
  const bool back = frame.size(step, 0) != 0;
  const Tensor& blocked = back ? frame.input(step, 0) : frame.output(step);
  Relayout p{blocked.size[0], images(step, frame, blocked, frame.size(step, 1), 2), nullptr, nullptr, frame.threads};
  if (frame.data == nullptr) return p;
  p.x = frame.from(step, 0);
  p.out = frame.to(step);
  return p;
}

std::string relayout_complaint(const Step& step, const Frame& frame) {
  if (std::string found = arity(step, 1, 1, 4, 0); !found.empty()) return found;
  const bool back = frame.size(step, 0) != 0;
  const Relayout p = relayout(step, frame);
  const int other = back ? step.outputs[0] : step.inputs[0];
  if (!there(p.blocked) || !holds(frame, step.inputs[0], Number::float32)) return "there are no blocked images";
  if (!plain(frame, other, {p.images, p.blocked.channels, p.blocked.size[0], p.blocked.size[1]})) return "the images differ in size";
  return "";
}

bool relayout_run(const Step& step, const Frame& frame) {
  const Relayout p = relayout(step, frame);
  frame.size(step, 0) != 0 ? tables().blocked.from_blocked(p) : tables().blocked.to_blocked(p);
  return true;
}

}  // namespace

const Behaviour kBlockedConvolution{convolution_complaint, convolution_scratch, convolution_run};
const Behaviour kBlockedDepthwise{depthwise_complaint, no_scratch, depthwise_run};
const Behaviour kBlockedPool{pool_complaint, no_scratch, pool_run};
const Behaviour kRelayout{relayout_complaint, no_scratch, relayout_run};

}  // namespace gossamer::engine
