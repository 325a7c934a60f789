// The tables of a family over the instruction sets of this processor: GOSSAMER_TABLES(Kernels, table) makes
// `levels_of_table()`.
#pragma once

#include <vector>

namespace gossamer::tests {

enum class Has { avx2, avx512, avx512vnni };

inline bool has(Has what) {
#ifdef GOSSAMER_X86
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  switch (what) {
    case Has::avx2: return avx2;
    case Has::avx512: return avx512;
    case Has::avx512vnni:
      return avx512 && __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vpopcntdq");
  }
#endif
  return what != what;
}

template <class Table>
struct Level {
  const char* name;
  const Table* table;
};

}  // namespace gossamer::tests

#define GOSSAMER_DECLARE(isa, Table, name) \
  namespace gossamer::isa {                \
  extern const Table name;                 \
  }

#ifdef GOSSAMER_X86
#define GOSSAMER_TABLES(Table, name)                                                                     \
  GOSSAMER_DECLARE(baseline, Table, name)                                                                \
  GOSSAMER_DECLARE(avx2, Table, name)                                                                    \
  GOSSAMER_DECLARE(avx512, Table, name)                                                                  \
  namespace gossamer::tests {                                                                            \
  static std::vector<Level<Table>> levels_of_##name() {                                                  \
    std::vector<Level<Table>> found{{"baseline", &baseline::name}};                                      \
    if (has(Has::avx2)) found.push_back({"avx2", &avx2::name});                                          \
    if (has(Has::avx512)) found.push_back({"avx512", &avx512::name});                                    \
    return found;                                                                                        \
  }                                                                                                      \
  }
#else
#define GOSSAMER_TABLES(Table, name)                                                                     \
  GOSSAMER_DECLARE(baseline, Table, name)                                                                \
  namespace gossamer::tests {                                                                            \
  static std::vector<Level<Table>> levels_of_##name() { return {{"baseline", &baseline::name}}; }        \
  }
#endif
