#include "engine.hpp"

namespace gossamer::engine {
namespace {

constexpr std::size_t kMostInstances = 16;  // sets of sizes that are remembered

}  // namespace

Engine::Engine(Plan plan, std::vector<Constant> constants, int threads)
    : plan_(std::move(plan)), constants_(std::move(constants)), threads_(threads) {
  if (static_cast<std::int64_t>(constants_.size()) != plan_.constants) throw PlanError("the plan is for other constants");
  for (const Constant& constant : constants_) addresses_.push_back(constant.data);
  for (const Value& value : plan_.values)
    if (value.kind == Kind::constant) {
      const std::int64_t count = count_of(value), bytes = constants_[static_cast<std::size_t>(value.place)].bytes;
      if (count < 0 || count > bytes / value.bytes()) throw PlanError("a constant is larger than what is stored of it");
    }
}

std::int64_t Engine::count_of(const Value& value) const {
  const std::vector<std::int64_t> none(plan_.symbols.size(), 1);
  std::int64_t count = 1;
  for (const Expression& size : value.size) {
    const std::int64_t own = size.value(none);
    if (own < 0 || __builtin_mul_overflow(count, own, &count)) throw PlanError("a constant has a size that cannot be");
  }
  return count;
}

void Engine::check_patterns() const {
  for (const Step& step : plan_.steps) {
    if (step.what != What::linear && step.what != What::convolution && step.what != What::recurrent &&
        step.what != What::blocked_convolution)
      continue;
    if (!step.has(2) || !step.has(3)) throw PlanError("a product has no pattern");
    const Value &starts = plan_.values[static_cast<std::size_t>(step.inputs[2])],
                &indices = plan_.values[static_cast<std::size_t>(step.inputs[3])];
    if (starts.kind != Kind::constant || indices.kind != Kind::constant || starts.number != Number::int64)
      throw PlanError("the pattern of a product is no constant");
    const auto* indptr = static_cast<const std::int64_t*>(addresses_[static_cast<std::size_t>(starts.place)]);
    const std::int64_t count = count_of(starts);
    bool rises = count > 0 && indptr[0] == 0 && indptr[count - 1] == count_of(indices);
    for (std::int64_t i = 1; i < count && rises; ++i) rises = indptr[i - 1] <= indptr[i];
    if (!rises) throw PlanError("the pattern of a product is damaged");
  }
}

std::shared_ptr<const Instance> Engine::instance(const std::vector<std::vector<std::int64_t>>& sizes) {
  if (sizes.size() != plan_.inputs.size())
    throw PlanError("found " + std::to_string(sizes.size()) + " inputs, expected " + std::to_string(plan_.inputs.size()));
  std::vector<std::int64_t> symbols;
  for (const Symbol& symbol : plan_.symbols) {
    const auto& own = sizes[static_cast<std::size_t>(symbol.input)];
    if (symbol.axis >= static_cast<std::int64_t>(own.size()))
      throw PlanError("input " + std::to_string(symbol.input) + " has too few axes");
    symbols.push_back(own[static_cast<std::size_t>(symbol.axis)]);
  }
  std::shared_ptr<const Instance> found;
  {
    const std::shared_lock lock(mutex_);
    if (const auto at = instances_.find(symbols); at != instances_.end()) found = at->second;
  }
  if (!found) {
    found = std::make_shared<const Instance>(plan_, symbols, threads_);
    const std::unique_lock lock(mutex_);
    if (instances_.size() >= kMostInstances) instances_.clear();
    found = instances_.emplace(symbols, found).first->second;
  }
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const Tensor& expected = found->tensor(plan_.inputs[i]);
    bool same = static_cast<int>(sizes[i].size()) == expected.rank;
    for (int axis = 0; same && axis < expected.rank; ++axis) same = sizes[i][static_cast<std::size_t>(axis)] == expected.size[axis];
    if (same) continue;
    const auto shape = [](const std::int64_t* size, std::size_t rank) {
      std::string text = "(";
      for (std::size_t axis = 0; axis < rank; ++axis) text += (axis ? ", " : "") + std::to_string(size[axis]);
      return text + ")";
    };
    throw PlanError("input " + std::to_string(i) + " has shape " + shape(sizes[i].data(), sizes[i].size()) + ", expected " +
                    shape(expected.size, static_cast<std::size_t>(expected.rank)));
  }
  return found;
}

}  // namespace gossamer::engine
