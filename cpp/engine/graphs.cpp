// Graphs made ready for the kernels in the same call that uses them: edges sorted into rows, and a loop for each node.
// How many edges are left without the old loops only the numbers tell. So what is made has room for all of them, row
// pointers say how much is used, and zeros follow.
#include <algorithm>

#include "steps.hpp"

namespace gossamer::engine {
namespace {

template <class F>
bool by_kind(const Frame& frame, int value, F f) {
  return holds(frame, value, Number::int64) ? f(static_cast<const std::int64_t*>(nullptr)) : f(static_cast<const std::int32_t*>(nullptr));
}

bool is_list(const Frame& frame, int value, std::int64_t count) {
  const Tensor& x = frame.tensor(value);
  return x.rank == 1 && x.contiguous() && x.size[0] == count && holds_indices(frame, value);
}

bool is_long_list(const Frame& frame, int value, std::int64_t count) {
  return is_list(frame, value, count) && holds(frame, value, Number::int64);
}

// Inputs: row and column of each entry. Sizes: rows, columns. Outputs: indptr; the entries in order of row and column,
// equal ones as they came.
std::string sort_complaint(const Step& step, const Frame& frame) {
  if (std::string found = arity(step, 2, 2, 2, 0); !found.empty()) return found;
  const std::int64_t rows = frame.size(step, 0), columns = frame.size(step, 1), count = frame.input(step, 0).count();
  if (rows < 0 || columns < 0 || step.outputs.size() != 2) return "there are no such rows or columns";
  const bool fit = is_list(frame, step.inputs[0], count) && is_list(frame, step.inputs[1], count) &&
                   is_long_list(frame, step.outputs[0], rows + 1) && is_long_list(frame, step.outputs[1], count);
  return fit ? "" : "sizes do not fit";
}

// Places for one count more than the larger side has, then for an order; 64-bit numbers, two floats each.
std::size_t sort_scratch(const Step& step, const Frame& frame) {
  return static_cast<std::size_t>(2 * (std::max(frame.size(step, 0), frame.size(step, 1)) + 1 + frame.input(step, 0).count()));
}

// Deals `order` out by key, equal keys in the order they come; `starts` ends as row pointers shifted by one.
template <class Index, class Order>
void deal(const Index* keys, std::int64_t count, std::int64_t* starts, std::int64_t bound, Order before, std::int64_t* order) {
  std::fill_n(starts, bound + 1, 0);
  for (std::int64_t i = 0; i < count; ++i) ++starts[keys[i] + 1];
  for (std::int64_t k = 0; k < bound; ++k) starts[k + 1] += starts[k];
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t entry = before(i);
    order[starts[keys[entry]]++] = entry;
  }
}

template <class Index>
bool within(const Index* x, std::int64_t count, std::int64_t bound) {
  return std::all_of(x, x + count, [=](Index i) { return i >= 0 && i < bound; });
}

bool sort_run(const Step& step, const Frame& frame) {
  const std::int64_t rows = frame.size(step, 0), columns = frame.size(step, 1), count = frame.input(step, 0).count();
  auto* starts = reinterpret_cast<std::int64_t*>(frame.scratch);
  std::int64_t* by_column = starts + std::max(rows, columns) + 1;
  auto* indptr = frame.to<std::int64_t>(step, 0);
  auto* order = frame.to<std::int64_t>(step, 1);
  const bool sound = by_kind(frame, step.inputs[1], [&](const auto* kind) {
    const auto* column = frame.from<std::remove_cvref_t<decltype(*kind)>>(step, 1);
    if (!within(column, count, columns)) return false;
    deal(column, count, starts, columns, [](std::int64_t i) { return i; }, by_column);
    return true;
  });
  return sound && by_kind(frame, step.inputs[0], [&](const auto* kind) {
    const auto* row = frame.from<std::remove_cvref_t<decltype(*kind)>>(step, 0);
    if (!within(row, count, rows)) return false;
    deal(row, count, starts, rows, [=](std::int64_t i) { return by_column[i]; }, order);
    indptr[0] = 0;
    std::copy_n(starts, rows, indptr + 1);  // each has moved on to where the next row begins
    return true;
  });
}

// Inputs: indptr and indices of a square matrix, sorted in each row. Outputs, see `gossamer.graph.normalize`: indptr and
// indices with one loop a node; for each entry, its place among (the old ones, one loop a node); for each node, the place
// of its last old loop, or -1.
std::string loops_complaint(const Step& step, const Frame& frame) {
  if (std::string found = arity(step, 2, 2, 0, 0); !found.empty()) return found;
  const std::int64_t nodes = frame.input(step, 0).count() - 1, count = frame.input(step, 1).count();
  if (nodes < 0 || step.outputs.size() != 4) return "there are no rows";
  const bool fit = sound_pattern(step, frame, 0, nodes) && is_long_list(frame, step.outputs[0], nodes + 1) &&
                   is_long_list(frame, step.outputs[1], count + nodes) && is_long_list(frame, step.outputs[2], count + nodes) &&
                   is_long_list(frame, step.outputs[3], nodes);
  return fit ? "" : "sizes do not fit";
}

bool loops_run(const Step& step, const Frame& frame) {
  const std::int64_t nodes = frame.input(step, 0).count() - 1, count = frame.input(step, 1).count();
  const auto* old = frame.from<std::int64_t>(step, 0);
  if (old[0] != 0 || old[nodes] > count || !std::is_sorted(old, old + nodes + 1)) return false;
  auto *indptr = frame.to<std::int64_t>(step, 0), *indices = frame.to<std::int64_t>(step, 1),
       *source = frame.to<std::int64_t>(step, 2), *last = frame.to<std::int64_t>(step, 3);
  std::int64_t used = 0;
  const bool sound = by_kind(frame, step.inputs[1], [&](const auto* kind) {
    const auto* columns = frame.from<std::remove_cvref_t<decltype(*kind)>>(step, 1);
    if (!within(columns, old[nodes], nodes)) return false;
    for (std::int64_t node = 0; node < nodes; ++node) {
      indptr[node] = used;
      last[node] = -1;
      bool placed = false;
      const auto loop = [&] {
        indices[used] = node;
        source[used++] = count + node;
        placed = true;
      };
      for (std::int64_t entry = old[node]; entry < old[node + 1]; ++entry) {
        if (columns[entry] == node) {
          last[node] = entry;
          continue;
        }
        if (!placed && columns[entry] > node) loop();
        indices[used] = columns[entry];
        source[used++] = entry;
      }
      if (!placed) loop();
    }
    return true;
  });
  if (!sound) return false;
  indptr[nodes] = used;
  std::fill(indices + used, indices + count + nodes, 0);
  std::fill(source + used, source + count + nodes, 0);
  return true;
}

}  // namespace

const Behaviour kSortEdges{sort_complaint, sort_scratch, sort_run};
const Behaviour kSelfLoops{loops_complaint, no_scratch, loops_run};

}  // namespace gossamer::engine
