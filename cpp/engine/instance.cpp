#include "instance.hpp"

#include <algorithm>
#include <chrono>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace gossamer::engine {
namespace {

constexpr std::int64_t kAlign = 64;

std::int64_t aligned(std::int64_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

constexpr std::int64_t kPage = std::int64_t{1} << 21;  // of a large page

// Asks for large pages where there are many numbers: fresh memory then comes with one fault in 512, and rows that are
// read in any order do not miss the table of pages each time.
void in_large_pages([[maybe_unused]] void* data, [[maybe_unused]] std::int64_t bytes) {
#if defined(__linux__)
  const auto begin = (reinterpret_cast<std::uintptr_t>(data) + kPage - 1) / kPage * kPage;
  const auto end = (reinterpret_cast<std::uintptr_t>(data) + static_cast<std::uintptr_t>(bytes)) / kPage * kPage;
  if (begin + kPage < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#endif
}

// Memory that is needed from step `first` to step `last`.
struct Block {
  std::int64_t bytes;
  std::int64_t first, last;
  std::int64_t* offset;
};

// Gives each block a place so that no two that are needed at the same time overlap, the largest first, each as low as it
// fits. Returns the bytes of all.
std::int64_t place(std::vector<Block> blocks) {
  std::stable_sort(blocks.begin(), blocks.end(), [](const Block& a, const Block& b) { return a.bytes > b.bytes; });
  std::vector<const Block*> placed;  // by offset
  std::int64_t total = 0;
  for (const Block& block : blocks) {
    std::int64_t at = 0;
    for (const Block* other : placed) {
      if (other->last < block.first || block.last < other->first) continue;
      if (at + block.bytes <= *other->offset) break;
      at = std::max(at, *other->offset + other->bytes);
    }
    *block.offset = at;
    total = std::max(total, at + block.bytes);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), &block,
                                   [](const Block* a, const Block* b) { return *a->offset < *b->offset; }),
                  &block);
  }
  return total;
}

Tensor resolved(const Value& value, const std::vector<std::int64_t>& symbols) {
  Tensor tensor;
  tensor.rank = static_cast<int>(value.size.size());
  std::int64_t product = 1;
  for (int axis = 0; axis < tensor.rank; ++axis) {
    tensor.size[axis] = value.size[static_cast<std::size_t>(axis)].value(symbols);
    if (tensor.size[axis] < 0) throw PlanError("a size is below zero; the network does not work for these inputs");
    if (__builtin_mul_overflow(product, std::max<std::int64_t>(tensor.size[axis], 1), &product) || product > (INT64_MAX >> 8))
      throw PlanError("a value is too large");
  }
  std::int64_t stride = 1;
  for (int axis = tensor.rank - 1; axis >= 0; --axis) {
    tensor.stride[axis] = value.kind == Kind::view ? value.stride[static_cast<std::size_t>(axis)].value(symbols) : stride;
    stride *= tensor.size[axis];
  }
  return tensor;
}

}  // namespace

// Memory of one run at a time.
struct Instance::Arena {
  Arena(std::size_t bytes, std::size_t values)
      : align(static_cast<std::align_val_t>(bytes > 2 * kPage ? kPage : kAlign)),
        memory(static_cast<std::byte*>(::operator new(bytes + kAlign, align))),
        data(values) {
    in_large_pages(memory, static_cast<std::int64_t>(bytes));
  }
  ~Arena() { ::operator delete(memory, align); }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  std::align_val_t align;
  std::byte* memory;
  std::vector<std::byte*> data;
};

// An arena that goes back when the run ends.
struct Instance::Lease {
  explicit Lease(const Instance& owner) : instance(owner) {
    {
      const std::lock_guard lock(owner.mutex_);
      if (!owner.idle_.empty()) {
        arena = std::move(owner.idle_.back());
        owner.idle_.pop_back();
      }
    }
    if (!arena) arena = std::make_unique<Arena>(owner.arena_bytes_, owner.tensors_.size());
  }
  ~Lease() {
    const std::lock_guard lock(instance.mutex_);
    instance.idle_.push_back(std::move(arena));
  }

  const Instance& instance;
  std::unique_ptr<Arena> arena;
};

Instance::Instance(const Plan& plan, std::vector<std::int64_t> symbols, int threads)
    : plan_(plan), symbols_(std::move(symbols)), threads_(threads) {
  lay_out();
}

Instance::~Instance() = default;

void Instance::lay_out() {
  const std::size_t values = plan_.values.size(), steps = plan_.steps.size();
  for (const Value& value : plan_.values) tensors_.push_back(resolved(value, symbols_));
  offsets_.assign(values, 0);
  scratches_.assign(steps, 0);
  for (std::size_t v = 0; v < values; ++v) {
    const Value& value = plan_.values[v];
    if (value.kind != Kind::view) continue;
    const Tensor &view = tensors_[v], &seen = tensors_[static_cast<std::size_t>(value.place)];
    std::int64_t first = value.offset.value(symbols_), last = first;
    for (int axis = 0; axis < view.rank; ++axis) {
      std::int64_t reach = 0, &end = view.stride[axis] < 0 ? first : last;
      if (__builtin_mul_overflow(std::max<std::int64_t>(view.size[axis] - 1, 0), view.stride[axis], &reach) ||
          __builtin_add_overflow(end, reach, &end))
        throw PlanError("a view reaches beyond what it looks at");
    }
    if (view.count() > 0 && (!seen.contiguous() || first < 0 || last >= seen.count()))
      throw PlanError("a view reaches beyond what it looks at");
    // An empty view may stand anywhere, and so may its offset.
    offsets_[v] = view.count() > 0 ? value.offset.value(symbols_) * value.bytes() : 0;
  }

  std::vector<std::int64_t> first(values, -1), last(values, -1);
  for (std::size_t s = 0; s < steps; ++s) {
    const Step& step = plan_.steps[s];
    const auto touch = [&](int value) {
      const auto root = static_cast<std::size_t>(plan_.root(value));
      if (first[root] < 0) first[root] = static_cast<std::int64_t>(s);
      last[root] = static_cast<std::int64_t>(s);
    };
    for (int value : step.inputs) {
      if (value < 0) continue;
      const auto root = static_cast<std::size_t>(plan_.root(value));
      if (plan_.values[root].kind == Kind::result && first[root] < 0) throw PlanError("a step reads what nothing has written");
      touch(value);
    }
    for (int value : step.outputs) touch(value);
  }

  std::vector<Block> blocks;
  std::vector<bool> given(values, false);
  for (int output : plan_.outputs) {
    if (first[static_cast<std::size_t>(output)] < 0) throw PlanError("nothing writes an output");
    given[static_cast<std::size_t>(output)] = true;
  }
  for (std::size_t v = 0; v < values; ++v)
    if (plan_.values[v].kind == Kind::result && first[v] >= 0 && !given[v])
      blocks.push_back({aligned(tensors_[v].count() * plan_.values[v].bytes()), first[v], last[v], &offsets_[v]});
  for (std::size_t s = 0; s < steps; ++s) {
    const Frame frame{plan_, tensors_, symbols_, nullptr, nullptr, threads_};
    const std::string problem = complaint(plan_.steps[s], frame);
    if (!problem.empty()) throw PlanError("step " + std::to_string(s) + ": " + problem);
    const std::size_t floats = scratch_of(plan_.steps[s], frame);
    const auto at = static_cast<std::int64_t>(s);
    if (floats > 0) blocks.push_back({aligned(static_cast<std::int64_t>(floats * sizeof(float))), at, at, &scratches_[s]});
  }
  arena_bytes_ = static_cast<std::size_t>(place(std::move(blocks)));
}

std::int64_t Instance::run(const std::vector<void*>& constants, const std::vector<void*>& inputs,
                           const std::vector<void*>& outputs, std::int64_t* nanoseconds) const {
  const Lease lease(*this);
  Arena& arena = *lease.arena;
  for (std::size_t i = 0; i < plan_.outputs.size(); ++i) {
    const auto value = static_cast<std::size_t>(plan_.outputs[i]);
    arena.data[value] = static_cast<std::byte*>(outputs[i]);
    in_large_pages(outputs[i], tensors_[value].count() * plan_.values[value].bytes());
  }
  for (std::size_t v = 0; v < plan_.values.size(); ++v) {
    const Value& value = plan_.values[v];
    const auto place = static_cast<std::size_t>(value.place);
    switch (value.kind) {
      case Kind::input: arena.data[v] = static_cast<std::byte*>(inputs[place]); break;
      case Kind::constant: arena.data[v] = static_cast<std::byte*>(constants[place]); break;
      case Kind::view: arena.data[v] = arena.data[place] + offsets_[v]; break;
      case Kind::result:
        if (std::find(plan_.outputs.begin(), plan_.outputs.end(), static_cast<int>(v)) == plan_.outputs.end())
          arena.data[v] = arena.memory + offsets_[v];
        break;
    }
  }
  for (std::size_t s = 0; s < plan_.steps.size(); ++s) {
    const Frame frame{plan_, tensors_, symbols_, arena.data.data(), reinterpret_cast<float*>(arena.memory + scratches_[s]),
                      threads_};
    const auto start = nanoseconds != nullptr ? std::chrono::steady_clock::now() : std::chrono::steady_clock::time_point{};
    if (!run_step(plan_.steps[s], frame)) return static_cast<std::int64_t>(s);
    if (nanoseconds != nullptr) nanoseconds[s] += (std::chrono::steady_clock::now() - start).count();
  }
  return -1;
}

}  // namespace gossamer::engine
