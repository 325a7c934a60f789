// A network in one file: what it takes and gives, its plan, and its constants as the kernels read them.
//
//   magic, version, bytes of the head, bytes of the file      8 bytes each
//   instruction set, whether rows are independent             words of the head, 8 bytes each
//   description                                               a text: its bytes, then as many words as these fill
//   inputs, outputs                                           how many; of each its name, and a label for each axis
//   constants                                                 how many; of each where it begins in the file, and its bytes
//   sums                                                      how many; a checksum of each piece of what follows the head
//   plan                                                      how many words; the words
//   checksum of the head so far                               8 bytes
//   constants, at multiples of 64 bytes
//
// Reading a file looks at the head alone. The sums of the rest are compared before the first run.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "../bind/levels.hpp"
#include "engine.hpp"
#include "mapping.hpp"

namespace gossamer::engine {

inline constexpr std::uint64_t kMagic = 0x0A1A0A0D4D534789;  // 0x89 "GSM" and ends of lines, which transfers as text change
inline constexpr std::int64_t kFileVersion = 1;
inline constexpr std::size_t kPiece = std::size_t{1} << 22;  // bytes that share a checksum

struct FileError : std::runtime_error {
  enum class Cause { unreadable, foreign, damaged, version, processor };
  FileError(Cause cause, const std::string& message) : std::runtime_error(message), cause(cause) {}
  Cause cause;
};

// An input or an output.
struct Port {
  std::string name;
  Number number;
  std::vector<std::int64_t> size;   // of an axis; -1 where it differs from call to call
  std::vector<std::string> labels;  // what such an axis counts; "" elsewhere
};

struct Head {
  Level level = Level::baseline;
  bool independent = false;  // whether each row of a batch gives its row of the result, whatever the others are
  std::string description;   // JSON, for people and tools
  std::vector<Port> inputs, outputs;
  std::vector<std::pair<std::size_t, std::size_t>> constants;  // offset and bytes in the file
  std::vector<std::uint64_t> sums;
  std::size_t bytes = 0;
  Plan plan;
};

// Throws FileError.
Head read_head(const std::byte* data, std::size_t bytes);

// A network from a file, ready to be called by many threads at once.
class Network {
 public:
  // Throws FileError. `threads` are those of each run, at least 1.
  Network(std::shared_ptr<const Mapping> file, int threads);
  static std::shared_ptr<Network> open(const std::string& path, int threads);
  static std::shared_ptr<Network> from_memory(const void* data, std::size_t bytes, int threads);  // which is copied

  const Head& head() const { return head_; }
  const Plan& plan() const { return engine_->plan(); }

  // Compares what was not looked at yet with its checksums, with all cores; throws FileError, now and from then on, where
  // they differ.
  void verify();

  // The instance for inputs of these sizes; throws PlanError where the network does not work for them, and as verify does.
  std::shared_ptr<const Instance> instance(const std::vector<std::vector<std::int64_t>>& sizes);
  std::vector<std::int64_t> output_size(const Instance& instance, std::size_t output) const;

  // Whether the memory of a call is there, and aligned as its numbers are.
  bool sound(const Instance& instance, const void* const* inputs, const void* const* outputs) const;

  // See Instance::run. Only instances of this network.
  std::int64_t run(const Instance& instance, const std::vector<void*>& inputs, const std::vector<void*>& outputs,
                   std::int64_t* nanoseconds = nullptr) const {
    return engine_->run(instance, inputs, outputs, nanoseconds);
  }

 private:
  void compare_sums() const;

  std::shared_ptr<const Mapping> file_;
  Head head_;
  std::unique_ptr<Engine> engine_;
  std::mutex mutex_;
  std::atomic<bool> good_{false};
  std::string damage_;  // found by `verify`
};

}  // namespace gossamer::engine
