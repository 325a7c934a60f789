#include "levels.hpp"

#include <atomic>

namespace gossamer {
namespace {

std::atomic<Level>& in_use() {
  static std::atomic<Level> level{usable_levels().front()};
  return level;
}

}  // namespace

const char* name_of(Level level) {
  switch (level) {
    case Level::avx512vnni: return "avx512vnni";
    case Level::avx512: return "avx512";
    case Level::avx2: return "avx2";
    default: return "baseline";
  }
}

std::vector<Level> usable_levels() {
  std::vector<Level> found;
#ifdef GOSSAMER_X86
  __builtin_cpu_init();
  const bool fma = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (fma && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    if (__builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vpopcntdq")) found.push_back(Level::avx512vnni);
    found.push_back(Level::avx512);
  }
  if (fma) found.push_back(Level::avx2);
#endif
  found.push_back(Level::baseline);
  return found;
}

Level chosen_level() { return in_use().load(std::memory_order_relaxed); }

bool force_level(const std::string& name) {
  for (const Level level : usable_levels())
    if (name == name_of(level)) {
      in_use().store(level, std::memory_order_relaxed);
      return true;
    }
  return false;
}

}  // namespace gossamer
