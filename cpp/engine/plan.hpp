// A network as a list of steps over values, as the Python side lays it down: a plan.
//
// Sizes are expressions over a few symbols, each of which is the size of one axis of one input; so one plan serves every
// batch size and every graph. A value is an input, a constant, a result of a step, or a view of another value with its
// own offset and strides. Plans are read from a list of 64-bit words (`Reader`), every one of which is checked: a plan
// that contradicts itself is refused, not run.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "../kernels/dense.hpp"

namespace gossamer::engine {

inline constexpr std::int64_t kPlanVersion = 1;

struct PlanError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A size: operations on a stack, each a code and an operand.
class Expression {
 public:
  enum Code : std::int64_t { constant = 0, symbol = 1, add = 2, multiply = 3, floor_divide = 4, modulo = 5, most = 6, least = 7 };
  struct Word {
    std::int64_t code, operand;
  };

  Expression() = default;
  Expression(std::vector<Word> words, std::size_t symbols);
  std::int64_t value(const std::vector<std::int64_t>& symbols) const;
  bool fixed() const;  // whether it depends on no symbol

 private:
  std::vector<Word> words_;
};

enum class Kind : std::int64_t { input = 0, constant = 1, result = 2, view = 3 };
enum class Number : std::int64_t { float32 = 0, int32 = 1, int64 = 2, truth = 3 };  // a truth is one byte, 0 or 1

struct Value {
  Kind kind;
  Number number;
  std::int64_t place;  // of an input or a constant among their kind; of a view, the value it looks at
  std::vector<Expression> size;
  Expression offset;               // of a view, in numbers from the beginning of the value
  std::vector<Expression> stride;  // of a view

  int bytes() const { return number == Number::int64 ? 8 : number == Number::truth ? 1 : 4; }
};

enum class What : std::int64_t {
  linear = 0,
  convolution = 1,
  pointwise = 2,
  matmul = 3,
  attention = 4,
  softmax = 5,
  normalize = 6,
  reduce = 7,
  pool = 8,
  copy = 9,
  gather = 10,
  propagate = 11,
  neighbour_attention = 12,
  head_dots = 13,
  blocked_convolution = 14,
  blocked_depthwise = 15,
  blocked_pool = 16,
  relayout = 17,
  arithmetic = 18,
  scan = 19,
  argmax = 20,
  take = 21,
  scatter = 22,
  recurrent = 23,
  sort_edges = 24,
  self_loops = 25,
};
inline constexpr std::int64_t kWhats = 26;

struct Step {
  What what;
  std::vector<int> inputs;   // values; -1: none
  std::vector<int> outputs;  // values
  std::vector<Expression> sizes;
  std::vector<double> numbers;
  std::vector<Operation> program;

  bool has(std::size_t input) const { return input < inputs.size() && inputs[input] >= 0; }
};

// Where a symbol comes from: an axis of an input.
struct Symbol {
  std::int64_t input, axis;
};

struct Plan {
  std::vector<Symbol> symbols;
  std::vector<Value> values;
  std::vector<Step> steps;
  std::vector<int> inputs;     // values, in the order of a call
  std::vector<int> outputs;    // values, in the order of a call; contiguous results
  std::int64_t constants = 0;  // how many

  // The value at the bottom of a chain of views.
  int root(int value) const;
};

// Reads a plan; throws PlanError where it does not hold together.
Plan read_plan(const std::int64_t* words, std::size_t count);

}  // namespace gossamer::engine
