// Elementwise programs, copies, softmax, norms, reductions, pooling and the gathering of rows.
#include <algorithm>

#include "steps.hpp"
#include "tables.hpp"

namespace gossamer::engine {
namespace {

std::string pointwise_complaint(const Step& step, const Frame& frame) {
  if (step.inputs.empty() || step.inputs.size() > kMostInputs || step.program.empty()) return "the program has no inputs or steps";
  const Tensor& out = frame.output(step);
  if (!out.contiguous() || !holds(frame, step.outputs[0], Number::float32)) return "the output is not contiguous";
  for (std::size_t i = 0; i < step.inputs.size(); ++i) {
    if (!step.has(i) || !holds(frame, step.inputs[i], Number::float32)) return "an input is no float";
    const Tensor& x = frame.input(step, i);
    if (x.rank > out.rank) return "an input has more axes than the output";
    for (int axis = 1; axis <= x.rank; ++axis)
      if (x.size[x.rank - axis] != 1 && x.size[x.rank - axis] != out.size[out.rank - axis]) return "an input cannot be broadcast";
  }
  return "";
}

bool pointwise_run(const Step& step, const Frame& frame) {
  const Tensor& out = frame.output(step);
  Pointwise p{};
  p.axes = out.rank;
  std::copy_n(out.size, out.rank, p.size);
  p.inputs = static_cast<int>(step.inputs.size());
  for (std::size_t i = 0; i < step.inputs.size(); ++i) {
    const Tensor& x = frame.input(step, i);
    p.input[i] = frame.from(step, i);
    for (int axis = 0; axis < out.rank; ++axis) {
      const int own = axis - (out.rank - x.rank);
      p.stride[i][axis] = own < 0 || x.size[own] == 1 ? 0 : x.stride[own];
    }
  }
  p.program = step.program.data();
  p.length = static_cast<int>(step.program.size());
  p.out = frame.to(step);
  p.threads = frame.threads;
  tables().dense.pointwise(p);
  return true;
}

std::string rows_complaint(const Step& step, const Frame& frame) {
  const Tensor &x = frame.input(step, 0), &out = frame.output(step);
  if (x.rank < 1 || !x.contiguous() || !out.contiguous() || x.count() != out.count()) return "rows are not contiguous";
  for (std::size_t i = 1; i < step.inputs.size(); ++i)
    if (step.has(i) && !plain(frame, step.inputs[i], {x.size[x.rank - 1]})) return "a factor has not one number a column";
  return "";
}

Rows rows(const Step& step, const Frame& frame) {
  const Tensor& x = frame.input(step, 0);
  const std::int64_t width = x.size[x.rank - 1];
  return {width == 0 ? 0 : x.count() / width, width, frame.from(step, 0), frame.from(step, 1), frame.from(step, 2), 0.0f, true,
          frame.to(step), frame.threads};
}

std::string softmax_complaint(const Step& step, const Frame& frame) {
  const std::string found = arity(step, 1, 1, 0, 0);
  return found.empty() ? rows_complaint(step, frame) : found;
}

bool softmax_run(const Step& step, const Frame& frame) {
  tables().dense.softmax(rows(step, frame));
  return true;
}

std::string normalize_complaint(const Step& step, const Frame& frame) {
  const std::string found = arity(step, 3, 1, 1, 1);
  return found.empty() ? rows_complaint(step, frame) : found;
}

bool normalize_run(const Step& step, const Frame& frame) {
  Rows p = rows(step, frame);
  p.centred = frame.size(step, 0) != 0;
  p.epsilon = static_cast<float>(step.numbers[0]);
  tables().dense.normalize(p);
  return true;
}

// Sizes: the first axis that is reduced, how many follow it, and how.
std::string reduce_complaint(const Step& step, const Frame& frame) {
  if (std::string found = arity(step, 1, 1, 3, 0); !found.empty()) return found;
  const Tensor &x = frame.input(step, 0), &out = frame.output(step);
  const std::int64_t first = frame.size(step, 0), count = frame.size(step, 1), kind = frame.size(step, 2);
  if (first < 0 || count < 1 || first + count > x.rank || kind < 0 || kind > 2) return "it names axes that are not there";
  std::int64_t length = 1;
  for (std::int64_t axis = first; axis < first + count; ++axis) length *= x.size[axis];
  if (!x.contiguous() || !out.contiguous() || length < 1 || out.count() * length != x.count()) return "sizes do not fit";
  return "";
}

bool reduce_run(const Step& step, const Frame& frame) {
  const Tensor& x = frame.input(step, 0);
  const std::int64_t first = frame.size(step, 0), last = first + frame.size(step, 1);
  Reduce p{1, 1, 1, static_cast<Reduction>(frame.size(step, 2)), frame.from(step, 0), frame.to(step), frame.threads};
  for (int axis = 0; axis < x.rank; ++axis) (axis < first ? p.outer : axis < last ? p.length : p.inner) *= x.size[axis];
  tables().dense.reduce(p);
  return true;
}

// Sizes: kernel, stride and padding, vertical and horizontal; whether it is a mean; whether padding counts.
std::string pool_complaint(const Step& step, const Frame& frame) {
  if (std::string found = arity(step, 1, 1, 8, 0); !found.empty()) return found;
  const Tensor &x = frame.input(step, 0), &out = frame.output(step);
  if (x.rank < 3 || x.rank != out.rank || !x.contiguous() || !out.contiguous()) return "input and output are not images";
  for (int axis = 0; axis + 2 < x.rank; ++axis)
    if (x.size[axis] != out.size[axis]) return "input and output have other planes";
  for (std::size_t axis = 0; axis < 2; ++axis) {
    const std::int64_t kernel = frame.size(step, axis), stride = frame.size(step, 2 + axis), padding = frame.size(step, 4 + axis);
    const std::int64_t size = x.size[x.rank - 2 + static_cast<int>(axis)], result = out.size[out.rank - 2 + static_cast<int>(axis)];
    // every window holds a number of the image
    if (kernel < 1 || stride < 1 || padding < 0 || padding >= kernel || result < 0 || (result - 1) * stride - padding >= size)
      return "the window is none, or the images are too small for it";
  }
  return "";
}

bool pool_run(const Step& step, const Frame& frame) {
  const Tensor &x = frame.input(step, 0), &out = frame.output(step);
  Pool p{};
  p.planes = 1;
  for (int axis = 0; axis + 2 < x.rank; ++axis) p.planes *= x.size[axis];
  for (std::size_t axis = 0; axis < 2; ++axis) {
    p.size[axis] = x.size[x.rank - 2 + static_cast<int>(axis)];
    p.out_size[axis] = out.size[out.rank - 2 + static_cast<int>(axis)];
    p.kernel[axis] = frame.size(step, axis);
    p.stride[axis] = frame.size(step, 2 + axis);
    p.padding[axis] = frame.size(step, 4 + axis);
  }
  p.mean = frame.size(step, 6) != 0;
  p.padded = frame.size(step, 7) != 0;
  p.x = frame.from(step, 0);
  p.out = frame.to(step);
  p.threads = frame.threads;
  tables().dense.pool(p);
  return true;
}

int bytes_of(const Frame& frame, int value) { return frame.plan.values[static_cast<std::size_t>(value)].bytes(); }

// Says whether the first input and the output hold the same kind of numbers.
bool same_numbers(const Step& step, const Frame& frame) {
  return holds(frame, step.outputs[0], frame.plan.values[static_cast<std::size_t>(step.inputs[0])].number);
}

std::string copy_complaint(const Step& step, const Frame& frame) {
  if (std::string found = arity(step, 1, 1, 0, 0); !found.empty()) return found;
  const Tensor &from = frame.input(step, 0), &to = frame.output(step);
  if (from.rank != to.rank || !std::equal(from.size, from.size + from.rank, to.size)) return "sizes differ";
  return same_numbers(step, frame) ? "" : "kinds of numbers differ";
}

bool copy_run(const Step& step, const Frame& frame) {
  const Tensor &from = frame.input(step, 0), &to = frame.output(step);
  Copy p{};
  p.axes = from.rank;
  std::copy_n(from.size, from.rank, p.size);
  std::copy_n(from.stride, from.rank, p.from_stride);
  std::copy_n(to.stride, to.rank, p.to_stride);
  p.width = bytes_of(frame, step.inputs[0]);
  p.from = frame.from<void>(step, 0);
  p.to = frame.to<void>(step);
  p.threads = frame.threads;
  tables().dense.copy(p);
  return true;
}

// Inputs: a table (rows, width), indices of any shape. The result is (indices..., width). Size: whether indices below zero
// count from the end.
std::string gather_complaint(const Step& step, const Frame& frame) {
  if (std::string found = arity(step, 2, 2, 1, 0); !found.empty()) return found;
  const Tensor &table = frame.input(step, 0), &indices = frame.input(step, 1), &out = frame.output(step);
  if (table.rank < 1 || !table.contiguous() || !indices.contiguous() || !out.contiguous() ||
      !holds_indices(frame, step.inputs[1]) || !same_numbers(step, frame))
    return "the table or the indices are none";
  const std::int64_t width = table.size[0] == 0 ? 0 : table.count() / table.size[0];
  return out.count() == indices.count() * width ? "" : "the output has other sizes";
}

template <class Index>
bool gather_rows(const Step& step, const Frame& frame) {
  const Tensor& table = frame.input(step, 0);
  const std::int64_t rows = table.size[0], count = frame.input(step, 1).count();
  const std::int64_t bytes = rows == 0 ? 0 : table.count() / rows * bytes_of(frame, step.inputs[0]);
  const auto* indices = frame.from<Index>(step, 1);
  const std::int64_t least = frame.size(step, 0) != 0 ? -rows : 0;
  for (std::int64_t i = 0; i < count; ++i)
    if (indices[i] < least || indices[i] >= rows) return false;
  for (std::int64_t i = 0; i < count; ++i)
    std::copy_n(frame.from<std::byte>(step, 0) + (indices[i] < 0 ? indices[i] + rows : indices[i]) * bytes, bytes, frame.to<std::byte>(step) + i * bytes);
  return true;
}

bool gather_run(const Step& step, const Frame& frame) {
  return holds(frame, step.inputs[1], Number::int64) ? gather_rows<std::int64_t>(step, frame)
                                                     : gather_rows<std::int32_t>(step, frame);
}

}  // namespace

const Behaviour kPointwise{pointwise_complaint, no_scratch, pointwise_run};
const Behaviour kSoftmax{softmax_complaint, no_scratch, softmax_run};
const Behaviour kNormalize{normalize_complaint, no_scratch, normalize_run};
const Behaviour kReduce{reduce_complaint, no_scratch, reduce_run};
const Behaviour kPool{pool_complaint, no_scratch, pool_run};
const Behaviour kCopy{copy_complaint, no_scratch, copy_run};
const Behaviour kGather{gather_complaint, no_scratch, gather_run};

}  // namespace gossamer::engine
