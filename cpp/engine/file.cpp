#include "file.hpp"

#include <algorithm>
#include <system_error>
#include <thread>

#include "checksum.hpp"
#include "reader.hpp"

namespace gossamer::engine {
namespace {

using Cause = FileError::Cause;

constexpr std::size_t kWord = 8, kStart = 4 * kWord, kAlign = 64;
constexpr std::int64_t kLongest = 1 << 20;  // of a text

[[noreturn]] void damaged(const std::string& what) {
  throw FileError(Cause::damaged, "is damaged: " + what + "; save the network again");
}

// Whether a text is UTF-8 without zeros, so that it reads in C and in Python alike.
bool readable(const std::string& text) {
  for (std::size_t at = 0; at < text.size();) {
    const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
    const unsigned first = byte(at);
    const int more = first < 0x80 ? 0 : first < 0xC2 ? -1 : first < 0xE0 ? 1 : first < 0xF0 ? 2 : first < 0xF5 ? 3 : -1;
    if (first == 0 || more < 0) return false;
    unsigned code = more == 0 ? first : first & (0x3Fu >> more);
    for (int i = 1; i <= more; ++i) {
      if ((byte(at + static_cast<std::size_t>(i)) & 0xC0u) != 0x80u) return false;
      code = code << 6 | (byte(at + static_cast<std::size_t>(i)) & 0x3Fu);
    }
    constexpr unsigned kLeast[] = {0, 0x80, 0x800, 0x10000};
    if (code < kLeast[more] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return false;
    at += static_cast<std::size_t>(more) + 1;
  }
  return true;
}

std::string read_text(Reader& in) {
  const auto bytes = static_cast<std::size_t>(in.within(0, kLongest, "the length of a text"));
  std::string text((bytes + kWord - 1) / kWord * kWord, '\0');
  for (std::size_t at = 0; at < bytes; at += kWord) {
    const std::int64_t word = in.next();
    std::memcpy(text.data() + at, &word, kWord);
  }
  text.resize(bytes);
  if (!readable(text)) throw PlanError("a text is not UTF-8");
  return text;
}

std::vector<Port> read_ports(Reader& in) {
  std::vector<Port> ports(in.count());
  for (Port& port : ports) {
    port.name = read_text(in);
    port.labels.resize(static_cast<std::size_t>(in.within(0, kMostAxes, "a number of axes")));
    for (std::string& label : port.labels) label = read_text(in);
  }
  return ports;
}

// Number and sizes of a port are those of the plan's value.
void fit(std::vector<Port>& ports, const std::vector<int>& values, const Plan& plan) {
  if (ports.size() != values.size()) throw PlanError("the plan has other inputs or outputs than the head");
  const std::vector<std::int64_t> none(plan.symbols.size(), 0);
  for (std::size_t i = 0; i < ports.size(); ++i) {
    const Value& value = plan.values[static_cast<std::size_t>(values[i])];
    if (ports[i].labels.size() != value.size.size()) throw PlanError("a label is there for no axis");
    ports[i].number = value.number;
    for (const Expression& size : value.size) ports[i].size.push_back(size.fixed() ? size.value(none) : -1);
  }
}

Head read_body(Reader& in, std::size_t head_bytes, std::size_t file_bytes) {
  Head head;
  head.bytes = head_bytes;
  head.level = static_cast<Level>(in.within(0, static_cast<std::int64_t>(Level::avx512vnni), "an instruction set"));
  head.independent = in.within(0, 1, "a flag") != 0;
  head.description = read_text(in);
  head.inputs = read_ports(in);
  head.outputs = read_ports(in);
  head.constants.resize(in.count());
  const auto end = static_cast<std::int64_t>(file_bytes);
  for (auto& [offset, bytes] : head.constants) {
    const std::int64_t at = in.within(static_cast<std::int64_t>(head_bytes), end, "the place of a constant");
    if (at % static_cast<std::int64_t>(kAlign) != 0) throw PlanError("a constant is not aligned");
    offset = static_cast<std::size_t>(at);
    bytes = static_cast<std::size_t>(in.within(0, end - at, "the size of a constant"));
  }
  head.sums.resize(in.count());
  if (head.sums.size() != (file_bytes - head_bytes + kPiece - 1) / kPiece) throw PlanError("there are not as many sums as pieces");
  for (std::uint64_t& sum : head.sums) sum = static_cast<std::uint64_t>(in.next());
  std::vector<std::int64_t> words(in.count());
  for (std::int64_t& word : words) word = in.next();
  if (!in.done()) throw PlanError("the head goes on after its end");
  head.plan = read_plan(words.data(), words.size());
  if (head.plan.constants != static_cast<std::int64_t>(head.constants.size())) throw PlanError("the plan is for other constants");
  fit(head.inputs, head.plan.inputs, head.plan);
  fit(head.outputs, head.plan.outputs, head.plan);
  return head;
}

}  // namespace

Head read_head(const std::byte* data, std::size_t bytes) {
  const auto word_at = [&](std::size_t at) {
    std::uint64_t word;
    std::memcpy(&word, data + at, kWord);
    return word;
  };
  if (bytes < kWord || word_at(0) != kMagic) throw FileError(Cause::foreign, "is no .gsm file, or its beginning is damaged");
  if (bytes < kStart) damaged("it ends in its head");
  const auto version = static_cast<std::int64_t>(word_at(kWord));
  if (version < 1) damaged("its version is " + std::to_string(version));
  if (version != kFileVersion)
    throw FileError(Cause::version, "is of version " + std::to_string(version) + " of the format, which is newer than version " +
                                        std::to_string(kFileVersion) + " that this gossamer reads; install a newer one");
  const std::uint64_t head_bytes = word_at(2 * kWord), file_bytes = word_at(3 * kWord);
  if (file_bytes != bytes)
    damaged("it has " + std::to_string(bytes) + " bytes, and had " + std::to_string(file_bytes) + " when it was written");
  if (head_bytes < kStart + kWord || head_bytes > bytes || head_bytes % kWord != 0) damaged("its head has no such size");
  const std::size_t body = static_cast<std::size_t>(head_bytes) - kWord;
  if (checksum(data, body) != word_at(body)) damaged("the checksum of its head is wrong");
  std::vector<std::int64_t> words((body - kStart) / kWord);
  if (!words.empty()) std::memcpy(words.data(), data + kStart, words.size() * kWord);
  Reader in(words.data(), words.size());
  try {
    return read_body(in, static_cast<std::size_t>(head_bytes), bytes);
  } catch (const PlanError& error) {
    damaged(error.what());
  }
}

Network::Network(std::shared_ptr<const Mapping> file, int threads)
    : file_(std::move(file)), head_(read_head(file_->data(), file_->bytes())) {
  const std::vector<Level> usable = usable_levels();
  if (std::find(usable.begin(), usable.end(), head_.level) == usable.end())
    throw FileError(Cause::processor, std::string("needs the instruction set ") + name_of(head_.level) +
                                          ", which this processor has not; save the network on such a machine");
  std::vector<Constant> constants;
  for (const auto& [offset, bytes] : head_.constants)  // mapped for reading only: a plan writes to no constant
    constants.push_back({const_cast<std::byte*>(file_->data()) + offset, static_cast<std::int64_t>(bytes)});
  try {
    engine_ = std::make_unique<Engine>(std::move(head_.plan), std::move(constants), threads);
  } catch (const PlanError& error) {
    damaged(error.what());
  }
}

std::shared_ptr<Network> Network::from_memory(const void* data, std::size_t bytes, int threads) {
  return std::make_shared<Network>(std::make_shared<const Mapping>(data, bytes), threads);
}

std::shared_ptr<Network> Network::open(const std::string& path, int threads) {
  try {
    return std::make_shared<Network>(std::make_shared<const Mapping>(path), threads);
  } catch (const FileError& error) {
    throw FileError(error.cause, path + ": " + error.what());
  } catch (const std::system_error& error) {
    throw FileError(Cause::unreadable, path + ": could not be read (" + error.code().message() + ")");
  }
}

void Network::verify() {
  if (good_.load(std::memory_order_acquire)) return;
  const std::lock_guard lock(mutex_);
  if (good_.load(std::memory_order_relaxed)) return;
  if (damage_.empty()) try {
      compare_sums();
      engine_->check_patterns();
      good_.store(true, std::memory_order_release);
      return;
    } catch (const PlanError& error) {
      damage_ = error.what();
    }
  damaged(damage_);
}

void Network::compare_sums() const {
  std::atomic<std::size_t> next{0}, wrong{head_.sums.size()};
  const auto work = [&] {
    for (std::size_t piece; (piece = next++) < head_.sums.size();) {
      const std::size_t at = head_.bytes + piece * kPiece, bytes = std::min(kPiece, file_->bytes() - at);
      if (checksum(file_->data() + at, bytes) != head_.sums[piece]) wrong = std::min(wrong.load(), piece);
    }
  };
  std::vector<std::thread> others;
  const std::size_t helpers = std::min<std::size_t>(std::max(std::thread::hardware_concurrency(), 1u), head_.sums.size());
  try {
    for (std::size_t i = 1; i < helpers; ++i) others.emplace_back(work);
  } catch (const std::system_error&) {  // no more threads are to be had: those that are there do it
  }
  work();
  for (std::thread& other : others) other.join();
  if (wrong < head_.sums.size())
    throw PlanError("its weights differ from their checksum at about byte " + std::to_string(head_.bytes + wrong * kPiece));
}

std::shared_ptr<const Instance> Network::instance(const std::vector<std::vector<std::int64_t>>& sizes) {
  verify();
  for (const auto& size : sizes)
    for (const std::int64_t axis : size)
      if (axis < 0) throw PlanError("a size is below zero");
  return engine_->instance(sizes);
}

std::vector<std::int64_t> Network::output_size(const Instance& instance, std::size_t output) const {
  const Tensor& tensor = instance.tensor(engine_->plan().outputs.at(output));
  return {tensor.size, tensor.size + tensor.rank};
}

bool Network::sound(const Instance& instance, const void* const* inputs, const void* const* outputs) const {
  const Plan& plan = engine_->plan();
  const auto good = [&](int value, const void* memory) {
    if (memory == nullptr) return instance.tensor(value).count() == 0;
    const auto bytes = static_cast<std::uintptr_t>(plan.values[static_cast<std::size_t>(value)].bytes());
    return reinterpret_cast<std::uintptr_t>(memory) % bytes == 0;
  };
  for (std::size_t i = 0; i < plan.inputs.size(); ++i)
    if (!good(plan.inputs[i], inputs[i])) return false;
  for (std::size_t i = 0; i < plan.outputs.size(); ++i)
    if (!good(plan.outputs[i], outputs[i])) return false;
  return true;
}

}  // namespace gossamer::engine
