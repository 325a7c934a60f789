// Products of activations and attention between tokens. Both read their operands where they lie, transposed or cut out of
// a larger product, and need no copy of them.
#include "steps.hpp"
#include "tables.hpp"

namespace gossamer::engine {
namespace {

// The last four axes of a value as a batch of matrices for a result with these batch sizes; size 1 is repeated.
bool fits(const Tensor& x, std::int64_t outer, std::int64_t inner, std::int64_t rows, std::int64_t columns) {
  if (x.rank < 2 || x.rank > 4 || x.size[x.rank - 2] != rows || x.size[x.rank - 1] != columns) return false;
  const std::int64_t own_inner = x.rank > 2 ? x.size[x.rank - 3] : 1, own_outer = x.rank > 3 ? x.size[0] : 1;
  return (own_inner == inner || own_inner == 1) && (own_outer == outer || own_outer == 1);
}

Matrices matrices(const Tensor& x, const float* data) {
  const int last = x.rank - 1;
  return {data, x.rank > 3 && x.size[0] != 1 ? x.stride[0] : 0, x.rank > 2 && x.size[last - 2] != 1 ? x.stride[last - 2] : 0,
          x.size[last - 1] == 1 ? 0 : x.stride[last - 1], x.stride[last]};
}

struct Batch {
  std::int64_t outer, inner, rows, columns;
};

Batch batch(const Tensor& out) {
  return {out.rank > 3 ? out.size[0] : 1, out.rank > 2 ? out.size[out.rank - 3] : 1, out.size[out.rank - 2],
          out.size[out.rank - 1]};
}

bool is_batch(const Tensor& out) { return out.rank >= 2 && out.rank <= 4 && out.contiguous(); }

// Numbers: the scale.
std::string matmul_complaint(const Step& step, const Frame& frame) {
  if (std::string found = arity(step, 2, 2, 0, 1); !found.empty()) return found;
  const Tensor &a = frame.input(step, 0), &b = frame.input(step, 1), &out = frame.output(step);
  if (!is_batch(out) || a.rank < 2) return "the output is no batch of matrices";
  const Batch o = batch(out);
  const std::int64_t k = a.size[a.rank - 1];
  if (!fits(a, o.outer, o.inner, o.rows, k) || !fits(b, o.outer, o.inner, k, o.columns)) return "sizes do not fit";
  return "";
}

MatMul matmul(const Step& step, const Frame& frame) {
  const Tensor &a = frame.input(step, 0), &b = frame.input(step, 1);
  const Batch o = batch(frame.output(step));
  const bool there = frame.data != nullptr;
  return {o.outer,
          o.inner,
          o.rows,
          a.size[a.rank - 1],
          o.columns,
          matrices(a, there ? frame.from(step, 0) : nullptr),
          matrices(b, there ? frame.from(step, 1) : nullptr),
          static_cast<float>(step.numbers[0]),
          there ? frame.to(step) : nullptr,
          frame.threads};
}

std::size_t matmul_scratch(const Step& step, const Frame& frame) { return tables().dense.matmul_scratch(matmul(step, frame)); }

bool matmul_run(const Step& step, const Frame& frame) {
  tables().dense.matmul(matmul(step, frame), frame.scratch);
  return true;
}

// Inputs: queries, keys, values, mask. Sizes: whether it is causal. Numbers: the scale.
std::string attention_complaint(const Step& step, const Frame& frame) {
  if (std::string found = arity(step, 4, 3, 1, 1); !found.empty()) return found;
  const Tensor &q = frame.input(step, 0), &k = frame.input(step, 1), &v = frame.input(step, 2), &out = frame.output(step);
  if (!is_batch(out) || q.rank < 2 || k.rank < 2) return "the output is no batch of matrices";
  const Batch o = batch(out);
  const std::int64_t depth = q.size[q.rank - 1], keys = k.size[k.rank - 2];
  if (!fits(q, o.outer, o.inner, o.rows, depth) || !fits(k, o.outer, o.inner, keys, depth) ||
      !fits(v, o.outer, o.inner, keys, o.columns))
    return "sizes do not fit";
  if (step.has(3)) {
    const Tensor& mask = frame.input(step, 3);
    const std::int64_t rows = mask.rank >= 2 ? mask.size[mask.rank - 2] : 0;
    if ((rows != 1 && rows != o.rows) || !holds(frame, step.inputs[3], Number::float32) ||
        !fits(mask, o.outer, o.inner, rows, keys))
      return "the mask does not fit";
  }
  return "";
}

TokenAttention attention(const Step& step, const Frame& frame) {
  const Tensor &q = frame.input(step, 0), &k = frame.input(step, 1), &v = frame.input(step, 2);
  const Batch o = batch(frame.output(step));
  const bool there = frame.data != nullptr;
  const auto lay = [&](const Tensor& x, std::size_t i) { return matrices(x, there ? frame.from(step, i) : nullptr); };
  return {o.outer,
          o.inner,
          o.rows,
          k.size[k.rank - 2],
          q.size[q.rank - 1],
          o.columns,
          lay(q, 0),
          lay(k, 1),
          lay(v, 2),
          step.has(3) ? lay(frame.input(step, 3), 3) : Matrices{},
          frame.size(step, 0) != 0,
          static_cast<float>(step.numbers[0]),
          there ? frame.to(step) : nullptr,
          frame.threads};
}

std::size_t attention_scratch(const Step& step, const Frame& frame) {
  return tables().dense.token_attention_scratch(attention(step, frame));
}

bool attention_run(const Step& step, const Frame& frame) {
  tables().dense.token_attention(attention(step, frame), frame.scratch);
  return true;
}

}  // namespace

const Behaviour kMatMul{matmul_complaint, matmul_scratch, matmul_run};
const Behaviour kAttention{attention_complaint, attention_scratch, attention_run};

}  // namespace gossamer::engine
