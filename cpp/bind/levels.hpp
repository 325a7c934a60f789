// The instruction sets that kernels are compiled for, and which one is in use.
#pragma once

namespace gossamer {

enum class Level { baseline, avx2, avx512, avx512vnni };

// Changes with `force`, for the whole process.
Level chosen_level();

}  // namespace gossamer
