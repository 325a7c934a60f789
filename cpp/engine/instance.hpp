// A plan for given sizes: where every value lies in one arena, and how much memory each step borrows.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>

#include "plan.hpp"

namespace gossamer::engine {

// A value for given sizes; `data` is filled in for each run.
struct Tensor {
  int rank = 0;
  std::int64_t size[kMostAxes] = {};
  std::int64_t stride[kMostAxes] = {};

  std::int64_t count() const {
    std::int64_t product = 1;
    for (int axis = 0; axis < rank; ++axis) product *= size[axis];
    return product;
  }
  bool contiguous() const {
    std::int64_t expected = 1;
    for (int axis = rank - 1; axis >= 0; --axis) {
      if (size[axis] != 1 && stride[axis] != expected) return false;
      expected *= size[axis];
    }
    return true;
  }
};

// What a step sees when it runs.
struct Frame {
  const Plan& plan;
  const std::vector<Tensor>& tensors;
  const std::vector<std::int64_t>& symbols;
  std::byte* const* data;  // of each value
  float* scratch;
  int threads;

  const Tensor& tensor(int value) const { return tensors[static_cast<std::size_t>(value)]; }
  const Tensor& input(const Step& step, std::size_t i) const { return tensor(step.inputs[i]); }
  const Tensor& output(const Step& step, std::size_t i = 0) const { return tensor(step.outputs[i]); }
  template <class T = float>
  T* at(int value) const {
    return value < 0 ? nullptr : reinterpret_cast<T*>(data[static_cast<std::size_t>(value)]);
  }
  template <class T = float>
  T* from(const Step& step, std::size_t i) const {
    return step.has(i) ? at<T>(step.inputs[i]) : nullptr;
  }
  template <class T = float>
  T* to(const Step& step, std::size_t i = 0) const {
    return at<T>(step.outputs[i]);
  }
  std::int64_t size(const Step& step, std::size_t i) const { return step.sizes[i].value(symbols); }
};

// Floats that a step borrows, with null data; what it computes, false where an index is out of range; and a complaint
// about its sizes, "" where there is none.
std::size_t scratch_of(const Step& step, const Frame& frame);
bool run_step(const Step& step, const Frame& frame);
std::string complaint(const Step& step, const Frame& frame);

class Instance {
 public:
  Instance(const Plan& plan, std::vector<std::int64_t> symbols, int threads);

  const std::vector<std::int64_t>& symbols() const { return symbols_; }
  const Tensor& tensor(int value) const { return tensors_[static_cast<std::size_t>(value)]; }
  std::size_t arena_bytes() const { return arena_bytes_; }

  // Runs all steps. `inputs` and `outputs` are the memory of a call, `constants` that of the plan. Returns the number of
  // the step that met an index out of range, or -1. `nanoseconds`, unless null, gets the time of each step.
  std::int64_t run(const std::vector<void*>& constants, const std::vector<void*>& inputs, const std::vector<void*>& outputs,
                   std::int64_t* nanoseconds) const;

 private:
  struct Arena;
  struct Lease;
  void lay_out();

  const Plan& plan_;
  std::vector<std::int64_t> symbols_;
  int threads_;
  std::vector<Tensor> tensors_;
  std::vector<std::int64_t> offsets_;    // of views in their root, of results in the arena; bytes
  std::vector<std::int64_t> scratches_;  // of each step in the arena; bytes
  std::size_t arena_bytes_ = 0;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Arena>> idle_;

 public:
  ~Instance();
};

}  // namespace gossamer::engine
