// Feeds the file reader and what it lets through with arbitrary bytes; libFuzzer finds those that reach new code.
//
// The checksum of the head is put right, and those of the weights too, so that damage gets past it to the checks behind:
// a file that is made on purpose may give any answer, but must not read or write outside its memory.
#include <cstdlib>
#include <optional>

#include "network_file.hpp"

using namespace gossamer::engine;

namespace {

constexpr std::int64_t kMostNumbers = 1 << 16;  // larger ones are only laid out, not run

// Where the sums begin, which are words of the head: looked for from the front, as the reader does.
std::optional<std::size_t> sums_at(const std::vector<std::byte>& file, std::size_t head) {
  const auto word = [&](std::size_t at) {
    std::int64_t found;
    std::memcpy(&found, file.data() + at, 8);
    return found;
  };
  std::size_t at = 48;
  const auto skip = [&](std::int64_t words) {
    if (words < 0 || static_cast<std::uint64_t>(words) > (head - at) / 8) return false;
    at += static_cast<std::size_t>(words) * 8;
    return at + 8 <= head;
  };
  const auto text = [&] {
    const std::int64_t bytes = word(at);
    return bytes >= 0 && bytes < (1 << 20) && skip(1 + (bytes + 7) / 8);
  };
  if (at + 8 > head || !text()) return {};
  for (int side = 0; side < 2; ++side) {
    std::int64_t ports = word(at);
    if (!skip(1)) return {};
    for (; ports > 0; --ports) {
      if (!text()) return {};
      std::int64_t axes = word(at);
      if (axes > 8 || !skip(1)) return {};
      for (; axes > 0; --axes)
        if (!text()) return {};
    }
  }
  const std::int64_t constants = word(at);
  if (constants < 0 || constants > 1 << 20 || !skip(1 + 2 * constants)) return {};
  return at;
}

void put(std::vector<std::byte>& file, std::size_t at, std::uint64_t word) { std::memcpy(file.data() + at, &word, 8); }

void put_right(std::vector<std::byte>& file) {
  std::uint64_t head;
  std::memcpy(&head, file.data() + 16, 8);
  if (head % 8 != 0 || head < 40 || head > file.size()) return;
  put(file, 0, kMagic);
  put(file, 8, kFileVersion);
  put(file, 24, file.size());
  const std::size_t end = static_cast<std::size_t>(head) - 8;
  if (const auto sums = sums_at(file, end)) {
    std::size_t at = *sums + 8;
    for (std::size_t piece = static_cast<std::size_t>(head); piece < file.size() && at + 8 <= end; piece += kPiece, at += 8)
      put(file, at, checksum(file.data() + piece, std::min(kPiece, file.size() - piece)));
  }
  put(file, end, checksum(file.data(), end));
}

void run(Network& network, std::int64_t free_size) {
  std::vector<std::vector<std::int64_t>> sizes;
  for (const Port& port : network.head().inputs) {
    sizes.push_back(port.size);
    for (std::int64_t& size : sizes.back()) size = size < 0 ? free_size : size;
  }
  const auto instance = network.instance(sizes);
  if (instance->arena_bytes() > 4 * kMostNumbers) return;
  // Exactly as much memory as the shapes say, so that the address sanitizer sees a byte too far.
  std::vector<std::vector<std::byte>> memory;
  const auto room = [&](const std::vector<std::int64_t>& size, Number number) -> void* {
    std::int64_t count = 1;
    for (const std::int64_t axis : size)
      if (__builtin_mul_overflow(count, axis, &count) || count > kMostNumbers) return nullptr;
    memory.emplace_back(static_cast<std::size_t>(count) * (number == Number::int64 ? 8 : 4), std::byte{});
    return memory.back().data();
  };
  std::vector<void*> inputs, outputs;
  for (std::size_t i = 0; i < sizes.size(); ++i) inputs.push_back(room(sizes[i], network.head().inputs[i].number));
  for (std::size_t i = 0; i < network.head().outputs.size(); ++i)
    outputs.push_back(room(network.output_size(*instance, i), network.head().outputs[i].number));
  for (const auto* all : {&inputs, &outputs})
    for (void* each : *all)
      if (each == nullptr) return;
  network.run(*instance, inputs, outputs);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 40 || size > 1 << 16) return 0;
  std::vector<std::byte> file(size);
  std::memcpy(file.data(), data, size);
  put_right(file);
  try {
    Network network(std::make_shared<const Mapping>(file.data(), file.size()), 1);
    for (const std::int64_t free_size : {1, 3}) try {
        run(network, free_size);
      } catch (const PlanError&) {
      }
  } catch (const FileError&) {
  } catch (const std::bad_alloc&) {
  }
  return 0;
}
