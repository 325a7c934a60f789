// The instruction sets that kernels are compiled for, and which one is in use.
#pragma once

#include <string>
#include <vector>

namespace gossamer {

enum class Level { baseline, avx2, avx512, avx512vnni };

const char* name_of(Level level);

// Those that this processor has, best first.
std::vector<Level> usable_levels();

// The one in use, at first the best; changes with `force_level`, for the whole process.
Level chosen_level();

// Uses another; says whether this processor has it.
bool force_level(const std::string& name);

}  // namespace gossamer
