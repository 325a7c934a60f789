// Recurrent layers over time: the product with the state of the step before, then the gates as elementwise programs.
// The product with the inputs of all times is a linear step before this one.
#include <algorithm>
#include <cstddef>

#include "steps.hpp"
#include "tables.hpp"

namespace gossamer::engine {
namespace {

enum class Cell : std::int64_t { plain_tanh = 0, plain_relu = 1, gru = 2, lstm = 3 };
constexpr std::int64_t kCells = 4;

std::int64_t gates_of(Cell cell) { return cell == Cell::lstm ? 4 : cell == Cell::gru ? 3 : 1; }

// Inputs: the gates' part of the inputs (times, batch, gates · width); the weight of the state as a product has it
// (values, indptr, indices, bias); the first state (batch, width); an LSTM's first memory. Sizes: outputs, columns, height
// and 0 of the product; the cell; whether time runs backwards. Outputs: states (times, batch, width), the last state, an
// LSTM's last memory.
enum : std::size_t { kGates, kValues, kStarts, kIndices, kBias, kState, kMemory, kInputs };
enum : std::size_t { kOutputs, kColumns, kHeight, kRelu, kCell, kReverse, kSizes };

Cell cell_of(const Step& step, const Frame& frame) { return static_cast<Cell>(frame.size(step, kCell)); }

std::string recurrent_complaint(const Step& step, const Frame& frame) {
  if (step.inputs.size() > kInputs || step.sizes.size() != kSizes || !step.numbers.empty()) return "the attributes are not those of this step";
  for (const std::size_t i : {kGates, kValues, kStarts, kIndices, kState})
    if (!step.has(i)) return "an input is missing";
  const std::int64_t kind = frame.size(step, kCell), width = frame.size(step, kColumns), height = frame.size(step, kHeight);
  if (kind < 0 || kind >= kCells || width < 1) return "there is no such cell";
  if (height != 1 && height != 8 && height != 16) return "the weight has blocks of no known height";
  const std::int64_t outputs = gates_of(cell_of(step, frame)) * width;
  const Tensor& gates = frame.input(step, kGates);
  if (frame.size(step, kOutputs) != outputs || gates.rank != 3 || !plain(frame, step.inputs[kGates], {gates.size[0], gates.size[1], outputs}))
    return "the input is not (times, batch, gates)";
  if (!sound_pattern(step, frame, kStarts, (outputs + height - 1) / height)) return "the pattern of the weight is none";
  if (!holds(frame, step.inputs[kValues], Number::float32) ||
      frame.input(step, kValues).count() != frame.input(step, kIndices).count() * height)
    return "there are not as many weights as places for them";
  if (step.has(kBias) && !plain(frame, step.inputs[kBias], {outputs})) return "the bias has not one number an output";
  const std::int64_t batch = gates.size[1];
  const bool memory = cell_of(step, frame) == Cell::lstm;
  if (step.outputs.size() != (memory ? 3 : 2) || !plain(frame, step.outputs[0], {gates.size[0], batch, width}) ||
      !plain(frame, step.outputs[1], {batch, width}) || !plain(frame, step.inputs[kState], {batch, width}))
    return "the states are not (batch, width)";
  if (memory && (!step.has(kMemory) || !plain(frame, step.inputs[kMemory], {batch, width}) || !plain(frame, step.outputs[2], {batch, width})))
    return "the memories are not (batch, width)";
  return "";
}

Product product(const Step& step, const Frame& frame) {
  const std::int64_t outputs = frame.size(step, kOutputs), width = frame.size(step, kColumns), height = frame.size(step, kHeight);
  const bool there = frame.data != nullptr;
  return {pattern_of(step, frame, kStarts, (outputs + height - 1) / height, width),
          outputs,
          frame.input(step, kGates).size[1],
          static_cast<int>(height),
          Element::float32,
          Element::float32,
          there ? frame.from(step, kValues) : nullptr,
          nullptr,
          there ? frame.from(step, kBias) : nullptr,
          false,
          nullptr,
          frame.threads};
}

std::size_t sums_of(const Step& step, const Frame& frame) {
  const auto floats = static_cast<std::size_t>(frame.input(step, kGates).size[1] * frame.size(step, kOutputs));
  return (floats + 15) / 16 * 16;
}

// The product's own, behind it the sums of the gates.
std::size_t recurrent_scratch(const Step& step, const Frame& frame) {
  const Product p = product(step, frame);
  const std::size_t own = p.height == 1 ? tables().layers.csr_scratch(p, true) : tables().layers.block_scratch(p, true);
  return (own + 15) / 16 * 16 + sums_of(step, frame);
}

// A program on parts of rows: each input is (batch, width) with its own distance between rows.
struct Part {
  const float* data;
  std::int64_t row;
};

void run_program(std::int64_t batch, std::int64_t width, std::initializer_list<Part> parts,
                 std::initializer_list<Operation> program, float* out, int threads) {
  Pointwise p{};
  p.axes = 2;
  p.size[0] = batch;
  p.size[1] = width;
  for (const Part& part : parts) {
    p.input[p.inputs] = part.data;
    p.stride[p.inputs][0] = part.row;
    p.stride[p.inputs][1] = 1;
    ++p.inputs;
  }
  p.program = program.begin();
  p.length = static_cast<int>(program.size());
  p.out = out;
  p.threads = threads;
  tables().dense.pointwise(p);
}

Operation operation(Operator what, int a, int b = 0) { return {what, a, b, 0.0f, 0.0f}; }

// What a step of time works on.
struct Moment {
  std::int64_t batch, width, row;
  const float* gates;     // of the input
  float* sums;            // of the state, with its bias
  const float* state;     // before
  const float* memory;    // before
  float* next_memory;
  float* next;
  int threads;
};

void plain_cell(const Moment& m, Operator activation) {
  run_program(m.batch, m.width, {{m.gates, m.row}, {m.sums, m.row}}, {operation(Operator::add, 0, 1), operation(activation, 2)}, m.next,
              m.threads);
}

// r = σ(.), z = σ(.), n = tanh(x_n + r h_n), and n + z (state - n).
void gru_cell(const Moment& m) {
  const std::int64_t w = m.width;
  run_program(m.batch, w,
              {{m.gates, m.row}, {m.sums, m.row}, {m.gates + w, m.row}, {m.sums + w, m.row}, {m.gates + 2 * w, m.row},
               {m.sums + 2 * w, m.row}, {m.state, w}},
              {operation(Operator::add, 0, 1), operation(Operator::sigmoid, 7), operation(Operator::add, 2, 3),
               operation(Operator::sigmoid, 9), operation(Operator::multiply, 8, 5), operation(Operator::add, 4, 11),
               operation(Operator::tanh, 12), operation(Operator::subtract, 6, 13), operation(Operator::multiply, 10, 14),
               operation(Operator::add, 13, 15)},
              m.next, m.threads);
}

// memory = σ(f) memory + σ(i) tanh(g), state = σ(o) tanh(memory); gates in the order i, f, g, o.
void lstm_cell(const Moment& m) {
  const std::int64_t w = m.width;
  run_program(m.batch, 4 * w, {{m.gates, m.row}, {m.sums, m.row}}, {operation(Operator::add, 0, 1)}, m.sums, m.threads);
  run_program(m.batch, w, {{m.sums, m.row}, {m.sums + w, m.row}, {m.sums + 2 * w, m.row}, {m.memory, w}},
              {operation(Operator::sigmoid, 0), operation(Operator::sigmoid, 1), operation(Operator::tanh, 2),
               operation(Operator::multiply, 5, 3), operation(Operator::multiply, 4, 6), operation(Operator::add, 7, 8)},
              m.next_memory, m.threads);
  run_program(m.batch, w, {{m.sums + 3 * w, m.row}, {m.next_memory, w}},
              {operation(Operator::sigmoid, 0), operation(Operator::tanh, 1), operation(Operator::multiply, 2, 3)}, m.next, m.threads);
}

bool recurrent_run(const Step& step, const Frame& frame) {
  const Tensor& gates = frame.input(step, kGates);
  const Cell cell = cell_of(step, frame);
  const std::int64_t times = gates.size[0], batch = gates.size[1], row = gates.size[2], width = frame.size(step, kColumns);
  const bool backwards = frame.size(step, kReverse) != 0;
  Product p = product(step, frame);
  float* sums = frame.scratch + recurrent_scratch(step, frame) - sums_of(step, frame);
  float* states = frame.to(step);
  const float* state = frame.from(step, kState);
  const float* memory = step.has(kMemory) ? frame.from(step, kMemory) : nullptr;
  float* next_memory = cell == Cell::lstm ? frame.to(step, 2) : nullptr;
  for (std::int64_t i = 0; i < times; ++i) {
    const std::int64_t t = backwards ? times - 1 - i : i;
    p.x = state;
    p.out = sums;
    if (!(p.height == 1 ? tables().layers.csr(p, true, frame.scratch) : tables().layers.block(p, true, frame.scratch))) return false;
    const Moment m{batch, width, row, frame.from(step, kGates) + t * batch * row, sums, state, memory, next_memory,
                   states + t * batch * width, frame.threads};
    switch (cell) {
      case Cell::plain_tanh: plain_cell(m, Operator::tanh); break;
      case Cell::plain_relu: plain_cell(m, Operator::relu); break;
      case Cell::gru: gru_cell(m); break;
      case Cell::lstm: lstm_cell(m); break;
    }
    state = m.next;
    memory = next_memory;
  }
  std::copy_n(state, batch * width, frame.to(step, 1));
  if (cell == Cell::lstm && times == 0) std::copy_n(frame.from(step, kMemory), batch * width, next_memory);
  return true;
}

}  // namespace

const Behaviour kRecurrent{recurrent_complaint, recurrent_scratch, recurrent_run};

}  // namespace gossamer::engine
