// Reads 64-bit words one after the other, each within bounds.
#pragma once

#include <cstring>

#include "plan.hpp"

namespace gossamer::engine {

class Reader {
 public:
  Reader(const std::int64_t* words, std::size_t count) : at_(words), end_(words + count) {}

  std::int64_t next() {
    if (at_ == end_) throw PlanError("the plan ends too early");
    return *at_++;
  }

  // A count that cannot be larger than the words that are left.
  std::size_t count() { return static_cast<std::size_t>(within(0, end_ - at_, "a count")); }

  std::int64_t within(std::int64_t least, std::int64_t most, const char* what) {
    const std::int64_t found = next();
    if (found < least || found > most)
      throw PlanError(std::string(what) + " is " + std::to_string(found) + ", expected " + std::to_string(least) + " to " +
                      std::to_string(most));
    return found;
  }

  double number() {
    const std::int64_t bits = next();
    double found;
    std::memcpy(&found, &bits, sizeof found);
    return found;
  }

  bool done() const { return at_ == end_; }

 private:
  const std::int64_t* at_;
  const std::int64_t* end_;
};

}  // namespace gossamer::engine
