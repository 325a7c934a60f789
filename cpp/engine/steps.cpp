#include "steps.hpp"

namespace gossamer::engine {
namespace {

constexpr std::int64_t kMostSize = INT32_MAX;  // of an attribute, so that products of two do not overflow

const Behaviour& behaviour(What what) {
  switch (what) {
    case What::linear: return kLinear;
    case What::convolution: return kConvolution;
    case What::pointwise: return kPointwise;
    case What::matmul: return kMatMul;
    case What::attention: return kAttention;
    case What::softmax: return kSoftmax;
    case What::normalize: return kNormalize;
    case What::reduce: return kReduce;
    case What::pool: return kPool;
    case What::copy: return kCopy;
    case What::gather: return kGather;
    case What::propagate: return kPropagate;
    case What::neighbour_attention: return kNeighbourAttention;
    case What::head_dots: return kHeadDots;
    case What::blocked_convolution: return kBlockedConvolution;
    case What::blocked_depthwise: return kBlockedDepthwise;
    case What::blocked_pool: return kBlockedPool;
    case What::relayout: return kRelayout;
    case What::arithmetic: return kArithmetic;
    case What::scan: return kScan;
    case What::argmax: return kArgMax;
    case What::take: return kTake;
    case What::scatter: return kScatter;
    case What::recurrent: return kRecurrent;
    case What::sort_edges: return kSortEdges;
    default: return kSelfLoops;
  }
}

}  // namespace

std::size_t scratch_of(const Step& step, const Frame& frame) { return behaviour(step.what).scratch(step, frame); }
bool run_step(const Step& step, const Frame& frame) { return behaviour(step.what).run(step, frame); }
std::string complaint(const Step& step, const Frame& frame) {
  for (std::size_t i = 0; i < step.sizes.size(); ++i)
    if (const std::int64_t size = frame.size(step, i); size < -kMostSize || size > kMostSize) return "a size is too large";
  return behaviour(step.what).complaint(step, frame);
}

std::string arity(const Step& step, std::size_t inputs, std::size_t needed, std::size_t sizes, std::size_t numbers) {
  if (step.inputs.size() > inputs) return "too many inputs";
  for (std::size_t i = 0; i < needed; ++i)
    if (!step.has(i)) return "an input is missing";
  if (step.sizes.size() != sizes || step.numbers.size() != numbers) return "the attributes are not those of this step";
  return "";
}

bool holds(const Frame& frame, int value, Number number) {
  return frame.plan.values[static_cast<std::size_t>(value)].number == number;
}

bool holds_indices(const Frame& frame, int value) {
  return holds(frame, value, Number::int64) || holds(frame, value, Number::int32);
}

bool plain(const Frame& frame, int value, std::initializer_list<std::int64_t> size) {
  const Tensor& tensor = frame.tensor(value);
  if (!holds(frame, value, Number::float32) || tensor.rank != static_cast<int>(size.size()) || !tensor.contiguous()) return false;
  int axis = 0;
  for (const std::int64_t each : size)
    if (tensor.size[axis++] != each) return false;
  return true;
}

Pattern pattern_of(const Step& step, const Frame& frame, std::size_t at, std::int64_t rows, std::int64_t columns) {
  const int indices = step.inputs[at + 1];
  return {rows,
          columns,
          frame.tensor(indices).count(),
          frame.data == nullptr ? nullptr : frame.from<std::int64_t>(step, at),
          frame.data == nullptr ? nullptr : frame.from<void>(step, at + 1),
          holds(frame, indices, Number::int64) ? 8 : 4};
}

bool sound_pattern(const Step& step, const Frame& frame, std::size_t at, std::int64_t rows) {
  const Tensor &starts = frame.input(step, at), &indices = frame.input(step, at + 1);
  return holds(frame, step.inputs[at], Number::int64) && holds_indices(frame, step.inputs[at + 1]) &&
         starts.rank == 1 && starts.size[0] == rows + 1 && starts.contiguous() && indices.rank == 1 && indices.contiguous();
}

}  // namespace gossamer::engine
