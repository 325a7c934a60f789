// Runs the unit tests of all kernels, for every instruction set that they are compiled for and this processor has, and of
// networks' files.
#include "check.hpp"

int main() {
  using namespace gossamer::tests;
  test_sparse();
  test_neighbours();
  test_low_bits();
  test_sampling();
  test_skipgram();
  test_flows();
  test_dense();
  test_network();
  if (failures == 0) std::puts("all kernels agree with their definitions, and damaged files are refused");
  return failures == 0 ? 0 : 1;
}
