// A plan with its constants, ready to be called by many threads at once.
//
// The first call with new sizes lays out memory for them; calls with sizes that were seen allocate nothing, unless more
// of them run at the same time than ever before.
#pragma once

#include <map>
#include <shared_mutex>

#include "instance.hpp"

namespace gossamer::engine {

struct Constant {
  void* data;
  std::int64_t bytes;
};

class Engine {
 public:
  // The constants stay the caller's and must outlive the engine. None of them is read here; before the first run their
  // patterns, which kernels trust, have to be checked.
  Engine(Plan plan, std::vector<Constant> constants, int threads);

  const Plan& plan() const { return plan_; }

  // Throws PlanError where the pattern of a product does not hold together.
  void check_patterns() const;

  // The instance for inputs of these sizes, one list an input; throws PlanError where the network does not work for them.
  std::shared_ptr<const Instance> instance(const std::vector<std::vector<std::int64_t>>& sizes);

  // See Instance::run.
  std::int64_t run(const Instance& instance, const std::vector<void*>& inputs, const std::vector<void*>& outputs,
                   std::int64_t* nanoseconds = nullptr) const {
    return instance.run(addresses_, inputs, outputs, nanoseconds);
  }

 private:
  std::int64_t count_of(const Value& value) const;

  Plan plan_;
  std::vector<Constant> constants_;
  std::vector<void*> addresses_;
  int threads_;
  std::shared_mutex mutex_;
  std::map<std::vector<std::int64_t>, std::shared_ptr<const Instance>> instances_;
};

}  // namespace gossamer::engine
