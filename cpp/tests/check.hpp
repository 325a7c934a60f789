// What the unit tests of the kernels share: random data, sparse patterns with hubs and empty rows, and comparisons.
//
// Every buffer has exactly the size that the contract states, so that the address sanitizer sees a byte too far. A case
// is run with 1, 2 and 3 threads and has to give the same bits each time.
#pragma once

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "../kernels/kernels.hpp"

namespace gossamer::tests {

inline int failures = 0;

inline void fail(const std::string& what) {
  std::fprintf(stderr, "FAILED %s\n", what.c_str());
  ++failures;
}

inline void expect(bool good, const std::string& what) {
  if (!good) fail(what);
}

inline void expect_close(const std::vector<float>& found, const std::vector<float>& wanted, const std::string& what,
                         float tolerance = 2e-4f) {
  if (found.size() != wanted.size()) return fail(what + ": sizes differ");
  for (std::size_t i = 0; i < found.size(); ++i)
    if (!(std::fabs(found[i] - wanted[i]) <= tolerance * (1.0f + std::fabs(wanted[i]))))
      return fail(what + ": place " + std::to_string(i) + " is " + std::to_string(found[i]) + ", expected " +
                  std::to_string(wanted[i]));
}

// The memory that a kernel borrows: not a float more, aligned as the bindings align it.
class Lent {
 public:
  explicit Lent(std::size_t floats) : memory_(nullptr) {
    if (floats != 0 && posix_memalign(&memory_, 64, floats * sizeof(float)) != 0) std::abort();
  }
  ~Lent() { std::free(memory_); }
  Lent(const Lent&) = delete;
  Lent& operator=(const Lent&) = delete;
  float* get() const { return static_cast<float*>(memory_); }
  std::uint32_t* words() const { return static_cast<std::uint32_t*>(memory_); }

 private:
  void* memory_;
};

struct Random {
  std::mt19937_64 engine;
  explicit Random(unsigned seed) : engine(seed) {}
  std::int64_t below(std::int64_t bound) { return std::uniform_int_distribution<std::int64_t>(0, bound - 1)(engine); }
  float number() { return std::normal_distribution<float>()(engine); }
  std::vector<float> numbers(std::int64_t count) {
    std::vector<float> made(static_cast<std::size_t>(count));
    for (float& value : made) value = number();
    return made;
  }
};

// A sparse matrix that owns its memory: one row in three is empty, one is full, columns may repeat unless `distinct`.
struct Sparse {
  std::int64_t rows, columns;
  std::vector<std::int64_t> indptr{0};
  std::vector<std::int32_t> indices;
  std::vector<std::int32_t> row_of;

  Sparse(std::int64_t rows, std::int64_t columns, Random& random, bool distinct = true) : rows(rows), columns(columns) {
    for (std::int64_t row = 0; row < rows; ++row) {
      const bool full = row == rows / 2, empty = row % 3 == 1;
      for (std::int64_t column = 0; column < columns && !empty; ++column)
        if (full || random.below(4) == 0) add(row, distinct ? column : random.below(columns));
      indptr.push_back(static_cast<std::int64_t>(indices.size()));
    }
  }

  std::int64_t entries() const { return static_cast<std::int64_t>(indices.size()); }
  Pattern pattern() const { return {rows, columns, entries(), indptr.data(), indices.data(), 4}; }

  // The transpose, with the place of each of its entries in this one.
  Sparse transposed(std::vector<std::int32_t>& edge) const {
    Sparse made;
    made.rows = columns;
    made.columns = rows;
    for (std::int64_t column = 0; column < columns; ++column) {
      for (std::int64_t e = 0; e < entries(); ++e)
        if (indices[e] == column) {
          made.add(column, row_of[e]);
          edge.push_back(static_cast<std::int32_t>(e));
        }
      made.indptr.push_back(made.entries());
    }
    return made;
  }

 private:
  Sparse() : rows(0), columns(0) {}
  void add(std::int64_t row, std::int64_t column) {
    indices.push_back(static_cast<std::int32_t>(column));
    row_of.push_back(static_cast<std::int32_t>(row));
  }
};

// Runs `fill`, which computes a result with so many threads, and compares all of them, bit for bit.
template <class T>
std::vector<T> same_for_all_threads(std::size_t size, const std::string& what,
                                    const std::function<bool(std::vector<T>&, int)>& fill) {
  std::vector<T> first(size);
  expect(fill(first, 1), what + ": refused");
  for (int threads : {2, 3}) {
    std::vector<T> other(size);
    expect(fill(other, threads), what + ": refused");
    expect(size == 0 || std::memcmp(first.data(), other.data(), size * sizeof(T)) == 0,
           what + ": differs with " + std::to_string(threads) + " threads");
  }
  return first;
}

// One family each, for every instruction set.
void test_sparse();
void test_neighbours();
void test_low_bits();
void test_sampling();
void test_skipgram();
void test_flows();
void test_dense();

// Files of networks.
void test_network();

}  // namespace gossamer::tests
