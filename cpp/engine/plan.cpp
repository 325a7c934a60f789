#include "plan.hpp"

#include <algorithm>

#include "reader.hpp"

namespace gossamer::engine {
namespace {

Expression read_expression(Reader& in, std::size_t symbols) {
  std::vector<Expression::Word> words(in.count());
  for (auto& word : words) word = {in.within(0, Expression::least, "an operation on sizes"), in.next()};
  return {std::move(words), symbols};
}

std::vector<Expression> read_expressions(Reader& in, std::size_t symbols, std::size_t most) {
  std::vector<Expression> found(static_cast<std::size_t>(in.within(0, static_cast<std::int64_t>(most), "a number of sizes")));
  for (auto& each : found) each = read_expression(in, symbols);
  return found;
}

Value read_value(Reader& in, const Plan& plan) {
  Value value{static_cast<Kind>(in.within(0, 3, "a kind of value")),
              static_cast<Number>(in.within(0, 3, "a kind of number")),
              in.next(),
              read_expressions(in, plan.symbols.size(), kMostAxes),
              {},
              {}};
  const auto known = static_cast<std::int64_t>(plan.values.size());
  if (value.kind == Kind::view) {
    if (value.place < 0 || value.place >= known) throw PlanError("a view looks at a value that comes later");
    value.offset = read_expression(in, plan.symbols.size());
    value.stride = read_expressions(in, plan.symbols.size(), kMostAxes);
    if (value.stride.size() != value.size.size()) throw PlanError("a view has as many strides as sizes");
    if (value.number != plan.values[static_cast<std::size_t>(value.place)].number)
      throw PlanError("a view sees other kinds of numbers than there are");
  } else if (value.kind == Kind::constant && (value.place < 0 || value.place >= plan.constants)) {
    throw PlanError("a value is a constant that is not there");
  }
  if (value.kind == Kind::constant)
    for (const Expression& size : value.size)
      if (!size.fixed()) throw PlanError("the size of a constant depends on that of an input");
  return value;
}

std::vector<int> read_values(Reader& in, const Plan& plan, std::int64_t least) {
  std::vector<int> found(in.count());
  for (int& each : found)
    each = static_cast<int>(in.within(least, static_cast<std::int64_t>(plan.values.size()) - 1, "a value"));
  return found;
}

Step read_step(Reader& in, const Plan& plan) {
  Step step{static_cast<What>(in.within(0, kWhats - 1, "a step")), read_values(in, plan, -1), read_values(in, plan, 0),
            {}, {}, {}};
  step.sizes = read_expressions(in, plan.symbols.size(), 64);
  step.numbers.resize(in.count());
  for (double& number : step.numbers) number = in.number();
  step.program.resize(static_cast<std::size_t>(in.within(0, kMostOperations, "a number of operations")));
  auto registers = static_cast<std::int64_t>(step.inputs.size());
  for (Operation& o : step.program) {
    o.what = static_cast<Operator>(in.within(0, kOperators - 1, "an operator"));
    o.a = static_cast<int>(in.within(0, registers - 1, "a register"));
    o.b = static_cast<int>(in.within(0, registers - 1, "a register"));
    o.p = static_cast<float>(in.number());
    o.q = static_cast<float>(in.number());
    ++registers;
  }
  if (step.outputs.empty()) throw PlanError("a step has no output");
  for (int output : step.outputs)
    if (plan.values[static_cast<std::size_t>(plan.root(output))].kind != Kind::result)
      throw PlanError("a step writes to an input or a constant");
  // Indices are looked at before they are used, so nothing may change them in between.
  for (int input : step.inputs)
    if (input >= 0 && plan.values[static_cast<std::size_t>(input)].number != Number::float32)
      for (int output : step.outputs)
        if (plan.root(output) == plan.root(input)) throw PlanError("a step writes over the indices that it reads");
  return step;
}

}  // namespace

Expression::Expression(std::vector<Word> words, std::size_t symbols) : words_(std::move(words)) {
  std::int64_t depth = 0;
  for (const Word& word : words_) {
    if (word.code == symbol && (word.operand < 0 || word.operand >= static_cast<std::int64_t>(symbols)))
      throw PlanError("a size names a symbol that is not there");
    depth += word.code <= symbol ? 1 : -1;
    if (depth < 1 || depth > 16) throw PlanError("a size is no sound expression");
  }
  if (depth != 1) throw PlanError("a size is no sound expression");
}

bool Expression::fixed() const {
  return std::none_of(words_.begin(), words_.end(), [](const Word& word) { return word.code == symbol; });
}

std::int64_t Expression::value(const std::vector<std::int64_t>& symbols) const {
  std::int64_t stack[17];
  int top = -1;
  for (const Word& word : words_) {
    if (word.code <= symbol) {
      stack[++top] = word.code == constant ? word.operand : symbols[static_cast<std::size_t>(word.operand)];
      continue;
    }
    const std::int64_t b = stack[top--], a = stack[top];
    std::int64_t& to = stack[top];
    switch (word.code) {
      case add:
        if (__builtin_add_overflow(a, b, &to)) throw PlanError("a size is too large");
        break;
      case multiply:
        if (__builtin_mul_overflow(a, b, &to)) throw PlanError("a size is too large");
        break;
      case floor_divide:
      case modulo: {
        if (b <= 0) throw PlanError("a size is divided by zero or less");
        const std::int64_t rest = ((a % b) + b) % b;
        to = word.code == modulo ? rest : (a - rest) / b;
        break;
      }
      case most: to = a > b ? a : b; break;
      default: to = a < b ? a : b; break;
    }
  }
  return stack[0];
}

int Plan::root(int value) const {
  while (values[static_cast<std::size_t>(value)].kind == Kind::view)
    value = static_cast<int>(values[static_cast<std::size_t>(value)].place);
  return value;
}

Plan read_plan(const std::int64_t* words, std::size_t count) {
  Reader in(words, count);
  Plan plan;
  if (in.next() != kPlanVersion) throw PlanError("the plan is of another version; compile the network again");
  plan.constants = in.within(0, INT32_MAX, "a number of constants");
  plan.symbols.resize(in.count());
  for (Symbol& symbol : plan.symbols) symbol = {in.within(0, INT32_MAX, "an input"), in.within(0, kMostAxes - 1, "an axis")};
  const std::size_t values = in.count();
  plan.values.reserve(values);
  for (std::size_t i = 0; i < values; ++i) plan.values.push_back(read_value(in, plan));
  const std::size_t steps = in.count();
  plan.steps.reserve(steps);
  for (std::size_t i = 0; i < steps; ++i) plan.steps.push_back(read_step(in, plan));
  plan.inputs = read_values(in, plan, 0);
  plan.outputs = read_values(in, plan, 0);
  if (!in.done()) throw PlanError("the plan goes on after its end");
  for (const Symbol& symbol : plan.symbols)
    if (symbol.input >= static_cast<std::int64_t>(plan.inputs.size()) ||
        symbol.axis >= static_cast<std::int64_t>(plan.values[static_cast<std::size_t>(plan.inputs[static_cast<std::size_t>(symbol.input)])].size.size()))
      throw PlanError("a symbol belongs to an axis that is not there");
  for (std::size_t i = 0; i < plan.inputs.size(); ++i)
    if (const Value& value = plan.values[static_cast<std::size_t>(plan.inputs[i])];
        value.kind != Kind::input || value.place != static_cast<std::int64_t>(i))
      throw PlanError("an input of the plan is no input");
  for (const Value& value : plan.values)
    if (value.kind == Kind::input && (value.place < 0 || value.place >= static_cast<std::int64_t>(plan.inputs.size())))
      throw PlanError("a value is an input that is not there");
  std::vector<bool> given(plan.values.size(), false);
  for (int output : plan.outputs) {
    if (plan.values[static_cast<std::size_t>(output)].kind != Kind::result)
      throw PlanError("an output of the plan is no result of a step");
    if (given[static_cast<std::size_t>(output)]) throw PlanError("an output of the plan is there twice");
    given[static_cast<std::size_t>(output)] = true;
  }
  return plan;
}

}  // namespace gossamer::engine
