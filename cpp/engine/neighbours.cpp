// Aggregation and attention over the neighbours of nodes; the graph is an input like any other.
#include "steps.hpp"
#include "tables.hpp"

namespace gossamer::engine {
namespace {

// A graph comes in with every call, and so what the kernels trust of it is looked at in every run. There may be room for
// more indices than the rows use.
bool rises(const Step& step, const Frame& frame, std::size_t at) {
  const Tensor& starts = frame.input(step, at);
  const auto* indptr = frame.from<std::int64_t>(step, at);
  const std::int64_t rows = starts.size[0] - 1;
  if (indptr[0] != 0 || indptr[rows] > frame.input(step, at + 1).count()) return false;
  for (std::int64_t i = 0; i < rows; ++i)
    if (indptr[i + 1] < indptr[i]) return false;
  return true;
}

void use_rows(Pattern& graph) { graph.entries = graph.indptr[graph.rows]; }

bool optional(const Step& step, const Frame& frame, std::size_t input, std::initializer_list<std::int64_t> size) {
  return !step.has(input) || plain(frame, step.inputs[input], size);
}

// Inputs: indptr, indices, x, source, target, add, bias. Sizes: whether relu follows. Numbers: the scale of `add`.
std::string propagate_complaint(const Step& step, const Frame& frame) {
  if (std::string found = arity(step, 7, 3, 1, 1); !found.empty()) return found;
  const Tensor &x = frame.input(step, 2), &out = frame.output(step);
  if (x.rank != 2 || out.rank != 2) return "features are not (nodes, features)";
  const std::int64_t rows = out.size[0], columns = x.size[0], width = x.size[1];
  if (!plain(frame, step.inputs[2], {columns, width}) || !plain(frame, step.outputs[0], {rows, width}) ||
      !sound_pattern(step, frame, 0, rows))
    return "features or graph have other sizes";
  if (!optional(step, frame, 3, {columns}) || !optional(step, frame, 4, {rows}) || !optional(step, frame, 5, {rows, width}) ||
      !optional(step, frame, 6, {width}))
    return "a factor has other sizes";
  return "";
}

Propagate propagate(const Step& step, const Frame& frame) {
  const Tensor &x = frame.input(step, 2), &out = frame.output(step);
  const bool there = frame.data != nullptr;
  const auto part = [&](std::size_t i) -> const float* { return there ? frame.from(step, i) : nullptr; };
  return {pattern_of(step, frame, 0, out.size[0], x.size[0]),
          x.size[1],
          Element::float32,
          part(2),
          part(3),
          part(4),
          part(5),
          static_cast<float>(step.numbers[0]),
          part(6),
          frame.size(step, 0) != 0,
          there ? frame.to(step) : nullptr,
          frame.threads};
}

std::size_t propagate_scratch(const Step& step, const Frame& frame) {
  return tables().neighbours.propagate_scratch(propagate(step, frame));
}

bool propagate_run(const Step& step, const Frame& frame) {
  if (!rises(step, frame, 0)) return false;
  Propagate p = propagate(step, frame);
  use_rows(p.graph);
  return tables().neighbours.propagate(p, frame.scratch);
}

// Inputs: indptr, indices, near, far, values, mix. Outputs: result, tops, totals. Sizes: the form of the scores. Numbers:
// slope and scale.
std::string attention_complaint(const Step& step, const Frame& frame) {
  if (std::string found = arity(step, 6, 5, 1, 2); !found.empty()) return found;
  const Tensor& values = frame.input(step, 4);
  const std::int64_t form = frame.size(step, 0);
  if (step.outputs.size() != 3 || values.rank != 3 || frame.output(step).rank != 3 || form < 0 || form > 2)
    return "values are not (nodes, heads, features)";
  const std::int64_t rows = frame.output(step).size[0], columns = values.size[0], heads = values.size[1], width = values.size[2];
  if (!plain(frame, step.inputs[4], {columns, heads, width}) || !plain(frame, step.outputs[0], {rows, heads, width}) ||
      !plain(frame, step.outputs[1], {rows, heads}) || !plain(frame, step.outputs[2], {rows, heads}) ||
      !sound_pattern(step, frame, 0, rows))
    return "values or graph have other sizes";
  const bool scored = form == 0 ? plain(frame, step.inputs[2], {rows, heads}) && plain(frame, step.inputs[3], {columns, heads})
                                : plain(frame, step.inputs[2], {rows, heads, width}) &&
                                      plain(frame, step.inputs[3], {columns, heads, width});
  if (!scored || (form == 2 && !(step.has(5) && plain(frame, step.inputs[5], {heads, width})))) return "scores have other sizes";
  return "";
}

Attention attention(const Step& step, const Frame& frame) {
  const Tensor& values = frame.input(step, 4);
  const bool there = frame.data != nullptr;
  const auto part = [&](std::size_t i) -> const float* { return there ? frame.from(step, i) : nullptr; };
  const auto result = [&](std::size_t i) -> float* { return there ? frame.to(step, i) : nullptr; };
  return {pattern_of(step, frame, 0, frame.output(step).size[0], values.size[0]),
          {static_cast<Score>(frame.size(step, 0)), values.size[1], values.size[2], part(2), part(3), nullptr, part(5),
           static_cast<float>(step.numbers[0]), static_cast<float>(step.numbers[1]), 0, 0, 1.0f},
          Element::float32,
          part(4),
          nullptr,
          result(0),
          result(1),
          result(2),
          frame.threads};
}

std::size_t attention_scratch(const Step& step, const Frame& frame) {
  return tables().neighbours.attention_scratch(attention(step, frame));
}

bool attention_run(const Step& step, const Frame& frame) {
  if (!rises(step, frame, 0)) return false;
  Attention a = attention(step, frame);
  use_rows(a.graph);
  return tables().neighbours.attention(a, frame.scratch);
}

// Inputs: x, vectors.
std::string head_dots_complaint(const Step& step, const Frame& frame) {
  if (std::string found = arity(step, 2, 2, 0, 0); !found.empty()) return found;
  const Tensor &x = frame.input(step, 0), &vectors = frame.input(step, 1);
  if (x.rank != 3 || vectors.rank != 3) return "x is not (nodes, heads, features)";
  const std::int64_t nodes = x.size[0], heads = x.size[1], width = x.size[2], count = vectors.size[0];
  const bool fit = plain(frame, step.inputs[0], {nodes, heads, width}) && plain(frame, step.inputs[1], {count, heads, width}) &&
                   plain(frame, step.outputs[0], {count, nodes, heads});
  return fit ? "" : "sizes do not fit";
}

bool head_dots_run(const Step& step, const Frame& frame) {
  const Tensor& x = frame.input(step, 0);
  tables().neighbours.head_dots({x.size[0], x.size[1], x.size[2], frame.input(step, 1).size[0], frame.from(step, 0),
                                 frame.from(step, 1), frame.to(step), frame.threads});
  return true;
}

}  // namespace

const Behaviour kPropagate{propagate_complaint, propagate_scratch, propagate_run};
const Behaviour kNeighbourAttention{attention_complaint, attention_scratch, attention_run};
const Behaviour kHeadDots{head_dots_complaint, no_scratch, head_dots_run};

}  // namespace gossamer::engine
